//! From a socket to a process to a workload: tables and joins, no I/O. What is read from the system
//! comes in as facts from [`crate::watch`].

pub mod cgroups;
pub mod cluster;
pub mod hybrid;
pub mod identity;
pub mod node;
pub mod owner;
pub mod peers;
pub mod pods;
pub mod processes;
pub mod services;
mod standing;
pub mod workload;

use std::net::SocketAddr;

pub use workload::Workload;

use crate::event::line::Missing;

/// A socket, by all that can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// IP protocol number.
    pub protocol: u8,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    /// The kernel's number for it, never given twice; 0 when unknown.
    pub cookie: u64,
}

/// A process as `/proc` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// The program's path; `None` for a kernel thread or where it may not be read.
    pub exe: Option<String>,
    /// The program's file is gone from the disk.
    pub deleted: bool,
    /// What it calls itself.
    pub comm: String,
    /// Its arguments.
    pub cmdline: Vec<String>,
    /// Real user id.
    pub uid: u32,
    /// Start, nanoseconds since boot, in the coarse steps of `/proc/PID/stat`.
    pub start_time: u64,
    /// Its program's file: major and minor number of the device, and inode number.
    pub file: Option<((u32, u32), u64)>,
    /// Its parent, that one's, and so on, as far as known.
    pub parents: Vec<processes::Ancestor>,
}

/// What was found out about the maker of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The process, or why there is none.
    pub process: Result<Box<Process>, Missing>,
    /// The event's cgroup, as a path from the cgroup2 root.
    pub cgroup: Option<String>,
    /// The same of the process, where that was in another.
    pub process_cgroup: Option<String>,
    /// The container that the process is in, where only a v1 hierarchy tells.
    pub v1: Option<hybrid::V1>,
}

impl Attribution {
    /// Nothing was found.
    #[must_use]
    pub const fn missing(why: Missing) -> Self {
        Self { process: Err(why), cgroup: None, process_cgroup: None, v1: None }
    }
}
