//! Starting real processes in a cgroup and a network namespace, and ending them again.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::CapabilitySet;
use serde::de::DeserializeOwned;

use crate::cgroup::TestCgroup;
use crate::netlab::NetNs;
use crate::sys::{self, Place};

/// Finds the `sentinel-lab` program: `$SENTINEL_LAB`, or beside or above the running binary.
pub fn lab_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SENTINEL_LAB") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("the running binary has no path")?;
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join("sentinel-lab"));
    beside.into_iter().find(|path| path.is_file()).context(
        "sentinel-lab is not beside this binary: build it (cargo build -p sentinel-tests) or set SENTINEL_LAB",
    )
}

/// The program of this name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The one that this variable names, or the one on the path.
pub(crate) fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| on_path(name))
}

/// Where a command is to run.
#[derive(Debug, Default)]
pub struct Placement<'a> {
    cgroup: Option<&'a TestCgroup>,
    netns: Option<&'a NetNs>,
    dies_with_parent: Option<Signal>,
    without: Option<CapabilitySet>,
}

impl<'a> Placement<'a> {
    /// In this cgroup.
    pub fn cgroup(mut self, cgroup: &'a TestCgroup) -> Self {
        self.cgroup = Some(cgroup);
        self
    }

    /// In this network namespace.
    pub fn netns(mut self, netns: &'a NetNs) -> Self {
        self.netns = Some(netns);
        self
    }

    /// Without these capabilities, for good.
    pub fn without(mut self, capabilities: CapabilitySet) -> Self {
        self.without = Some(capabilities);
        self
    }

    /// Asked to end (SIGTERM) when the *thread* that spawns it ends, which should be a main thread;
    /// in a process group of its own, so that Ctrl-C on a terminal reaches only the parent.
    pub fn dies_with_thread(mut self) -> Self {
        self.dies_with_parent = Some(Signal::TERM);
        self
    }

    /// Starts the command; it stands in its place before its program runs.
    pub fn spawn(self, mut command: Command) -> Result<Running> {
        let name = command.get_program().to_string_lossy().into_owned();
        let cgroup_procs = self.cgroup.map(|group| group.open_procs().map(OwnedFd::from));
        let netns = self.netns.map(NetNs::try_clone_fd);
        let place = Place {
            cgroup_procs: cgroup_procs.transpose()?,
            netns: netns.transpose()?,
            dies_with_parent: self.dies_with_parent,
            without: self.without,
        };
        if self.dies_with_parent.is_some() {
            command.process_group(0);
        }
        sys::place_before_exec(&mut command, place);
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let running = Running { name, child, output: None };
        if let Some(cgroup) = self.cgroup {
            cgroup.remember(running.pid())?;
        }
        Ok(running)
    }

    /// Starts the command with its stdout captured, for [`Running::report`].
    pub fn spawn_reporting(self, mut command: Command) -> Result<Running> {
        command.stdout(Stdio::piped());
        let mut running = self.spawn(command)?;
        if let Some(mut stdout) = running.child.stdout.take() {
            running.output = Some(thread::spawn(move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).map(|_| text)
            }));
        }
        Ok(running)
    }
}

/// A started process, ended (by its id) when dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    output: Option<JoinHandle<std::io::Result<String>>>,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The exit status if the process has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("{} cannot be waited for", self.name))
    }

    /// Waits for the end of the process, at most this long.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} (pid {}) did not end within {within:?}", self.name, self.pid());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end and reads the one JSON value the process wrote to stdout.
    pub fn report<T: DeserializeOwned>(mut self, within: Duration) -> Result<T> {
        let status = self.wait(within)?;
        let output = self.output.take().context("the output was not captured")?;
        let text = match output.join() {
            Ok(text) => text?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        serde_json::from_str(text.trim())
            .with_context(|| format!("{} ended with {status} and no report: {text:?}", self.name))
    }

    /// Asks the process to end (SIGTERM), and kills it if it does not within the time given.
    pub fn stop(mut self, within: Duration) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        self.wait(within)
    }

    /// Has the process read its files again (SIGHUP).
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("{} cannot be told {signal:?}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors only if it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
