//! One network namespace held by a descriptor.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sys;

/// The namespace of the calling thread, not of the process.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network namespace that lives as long as this value or a process inside it.
#[derive(Debug)]
pub struct NetNs {
    name: String,
    fd: OwnedFd,
}

impl NetNs {
    /// Makes an empty namespace; `name` only appears in thread names and errors.
    pub fn new(name: &str) -> Result<NetNs> {
        let fd = thread::scope(|scope| {
            scope
                .spawn(unshared_namespace)
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let fd = fd.with_context(|| {
            format!("network namespace {name} cannot be made: root (CAP_SYS_ADMIN) is needed")
        })?;
        Ok(NetNs { name: name.to_owned(), fd })
    }

    /// Runs a closure in a thread that stands in this namespace and returns what it returns.
    ///
    /// A panic of the closure goes on in the caller.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().name(self.name.clone());
            let handle = thread.spawn_scoped(scope, || {
                self.enter()?;
                act()
            })?;
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A path by which another process of this user can enter, while this process lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }

    /// A second descriptor of the namespace.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.fd.try_clone().with_context(|| format!("namespace {} cannot be reopened", self.name))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("namespace {} cannot be entered", self.name))
    }
}

fn unshared_namespace() -> Result<OwnedFd> {
    sys::unshare_net()?;
    // Hosts that switch IPv6 off hand that on to new namespaces. Where /proc/sys is read-only or
    // IPv6 is absent, adding the first IPv6 address reports it.
    for scope in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "0");
    }
    Ok(File::open(OWN_NAMESPACE)?.into())
}
