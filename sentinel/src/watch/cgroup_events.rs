//! Cgroups as they come and go, by inotify: a folder is watched before it is listed, so none that is
//! made meanwhile is missed.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Room for events of one read, bytes.
const BUFFER: usize = 16 * 1024;
/// Cgroups that are followed; a busy node has some thousands.
pub const CAPACITY: usize = 65_536;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A cgroup is there: its path from the root, and its id.
    Appeared(String, u64),
    /// It is gone.
    Vanished(String),
    /// Events were lost: everything is to be looked at again.
    Lost,
}

/// A tree of cgroups that is watched.
#[derive(Debug)]
pub struct CgroupEvents {
    inotify: OwnedFd,
    root: PathBuf,
    /// Paths by watch descriptor.
    watched: HashMap<i32, String>,
}

impl CgroupEvents {
    /// Watches the tree that is mounted at `root`, and lists what is in it.
    ///
    /// # Errors
    /// When the system has no inotify left, or the root cannot be watched.
    pub fn start(root: &Path) -> io::Result<(Self, Vec<Change>)> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut this = Self { inotify, root: root.to_owned(), watched: HashMap::new() };
        let mut found = Vec::new();
        this.enter("/".to_owned(), &mut found)?;
        Ok((this, found))
    }

    /// Watches and lists everything again.
    ///
    /// # Errors
    /// When the root cannot be watched.
    pub fn restart(&mut self) -> io::Result<Vec<Change>> {
        let (this, found) = Self::start(&self.root)?;
        *self = this;
        Ok(found)
    }

    /// What has happened, once something has; nothing when the time is over.
    ///
    /// # Errors
    /// When inotify fails.
    pub fn next(&mut self, patience: Duration) -> io::Result<Vec<Change>> {
        let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(CStr::to_string_lossy);
                    events.push((event.wd(), event.events(), name.map(String::from)));
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut changes = Vec::new();
        for (descriptor, flags, name) in events {
            self.take(descriptor, flags, name, &mut changes);
        }
        Ok(changes)
    }

    fn take(
        &mut self,
        descriptor: i32,
        flags: ReadFlags,
        name: Option<String>,
        changes: &mut Vec<Change>,
    ) {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            changes.push(Change::Lost);
            return;
        }
        if flags.contains(ReadFlags::IGNORED) {
            self.watched.remove(&descriptor);
            return;
        }
        let (Some(parent), Some(name)) = (self.watched.get(&descriptor), name) else { return };
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        if !flags.contains(ReadFlags::ISDIR) {
            return;
        }
        if flags.contains(ReadFlags::DELETE) {
            changes.push(Change::Vanished(path));
        } else if let Err(error) = self.enter(path, changes) {
            // Gone already, most likely; of one that stays the next look at everything tells.
            tracing::debug!("a new cgroup cannot be watched: {error}");
        }
    }

    /// Watches a folder, tells of it, and goes down.
    fn enter(&mut self, path: String, changes: &mut Vec<Change>) -> io::Result<()> {
        if self.watched.len() >= CAPACITY {
            return Err(io::Error::other("there are more cgroups than can be followed"));
        }
        let folder = self.root.join(path.trim_start_matches('/'));
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        let descriptor = inotify::add_watch(&self.inotify, &folder, flags)?;
        let id = fs::metadata(&folder)?.ino();
        self.watched.insert(descriptor, path.clone());
        let base = path.trim_end_matches('/').to_owned();
        changes.push(Change::Appeared(path, id));
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let below = format!("{base}/{}", entry.file_name().to_string_lossy());
                // It may be gone again.
                let _ = self.enter(below, changes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let (mut events, found) = CgroupEvents::start(root.path()).unwrap();
        let paths = |changes: &[Change]| -> Vec<String> {
            let path = |change: &Change| match change {
                Change::Appeared(path, id) => format!("+{path}{}", if *id == 0 { "?" } else { "" }),
                Change::Vanished(path) => format!("-{path}"),
                Change::Lost => "lost".to_owned(),
            };
            changes.iter().map(path).collect()
        };
        assert_eq!(paths(&found), ["+/", "+/a", "+/a/b"]);
        fs::create_dir_all(root.path().join("a/c/d")).unwrap();
        fs::write(root.path().join("a/file"), "no cgroup").unwrap();
        fs::remove_dir(root.path().join("a/b")).unwrap();
        let second = Duration::from_secs(1);
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let changes = events.next(second).unwrap();
            assert!(!changes.is_empty(), "{seen:?}");
            seen.extend(paths(&changes));
        }
        assert_eq!(seen, ["+/a/c", "+/a/c/d", "-/a/b"]);
        assert_eq!(events.next(Duration::ZERO).unwrap(), []);
    }
}
