//! Control groups of version 2 for test workloads.

mod mount;

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::process::{Placement, Running};
use crate::sync::lock;

pub use mount::mount_point;

/// How long a dropped group waits for its ended processes to be gone.
const EMPTY_WITHIN: Duration = Duration::from_secs(2);

/// A group under the cgroup2 mount; dropped, it ends the processes it started and disappears.
#[derive(Debug)]
pub struct TestCgroup {
    path: PathBuf,
    /// Directories to remove, innermost first.
    made: Vec<PathBuf>,
    started: Arc<Mutex<Vec<OwnedFd>>>,
}

impl TestCgroup {
    /// Makes `name` (which may contain `/`) under the cgroup2 mount, missing parents included.
    pub fn new(name: &str) -> Result<TestCgroup> {
        TestCgroup::under(&mount_point()?, name)
    }

    /// Like [`TestCgroup::new`], with the process id and a counter in the name, so that parallel
    /// tests do not meet.
    pub fn unique(name: &str) -> Result<TestCgroup> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        TestCgroup::new(&format!("{name}-{}-{count}", std::process::id()))
    }

    /// Makes a group inside this one; it must be dropped before this one.
    pub fn child(&self, name: &str) -> Result<TestCgroup> {
        TestCgroup::under(&self.path, name)
    }

    fn under(parent: &Path, name: &str) -> Result<TestCgroup> {
        let path = parent.join(name);
        let mut group =
            TestCgroup { path: parent.to_owned(), made: Vec::new(), started: Arc::default() };
        for part in Path::new(name).components() {
            group.path.push(part);
            match fs::create_dir(&group.path) {
                Ok(()) => group.made.insert(0, group.path.clone()),
                // The group itself may be left from a run that was killed: it is ours. Its parents may
                // be anyone's.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    if group.path == path {
                        group.made.insert(0, path.clone());
                    }
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cgroup {} cannot be made", path.display()));
                }
            }
        }
        Ok(group)
    }

    /// The group's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group's id: the inode of its directory, as `bpf_get_current_cgroup_id` tells it.
    pub fn id(&self) -> Result<u64> {
        let meta = fs::metadata(&self.path);
        Ok(meta.with_context(|| format!("cgroup {} is gone", self.path.display()))?.ino())
    }

    /// Starts a command that is in the group before its program runs.
    pub fn run(&self, command: Command) -> Result<Running> {
        Placement::default().cgroup(self).spawn(command)
    }

    /// Opens the group's process list for writing.
    pub(crate) fn open_procs(&self) -> Result<File> {
        open_procs(&self.path)
    }

    /// Remembers a process, to end it at the latest when the group is dropped.
    pub(crate) fn remember(&self, pid: u32) -> Result<()> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process id")?;
        lock(&self.started).push(pidfd_open(pid, PidfdFlags::empty())?);
        Ok(())
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        for process in lock(&self.started).drain(..) {
            // Fails for those that ended by themselves.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
        let deadline = Instant::now() + EMPTY_WITHIN;
        for made in &self.made {
            while fs::remove_dir(made).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
                && Instant::now() < deadline
            {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Moves the calling process into a group.
pub fn join(group: &Path) -> Result<()> {
    let procs = open_procs(group)?;
    rustix::io::write(&procs, b"0")
        .with_context(|| format!("cgroup {} does not take this process", group.display()))?;
    Ok(())
}

fn open_procs(group: &Path) -> Result<File> {
    let file = OpenOptions::new().write(true).open(group.join("cgroup.procs"));
    file.with_context(|| format!("cgroup {} cannot be joined", group.display()))
}
