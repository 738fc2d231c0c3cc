//! The journal's words for processes.

use schemars::JsonSchema;
use serde::Serialize;

use super::word::{Word, word_enum};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Process {
    /// Process id on this host.
    pub pid: u32,
    /// Its parent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppid: Option<u32>,
    /// The program's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The program's file is gone from the disk.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// What the task calls itself.
    pub comm: String,
    /// Arguments, the first being the program's name; long ones are cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmdline: Vec<String>,
    /// Real user id.
    pub uid: u32,
    /// When it started, RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// The device of its program's file, `major:minor`, as the kernel numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe_device: Option<String>,
    /// The inode number of its program's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe_inode: Option<u64>,
    /// Its parent, that one's, and so on to a container's first process, as far as known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// Why `exe` and the rest are not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Word<Missing>>,
}

word_enum! {
    /// Why a process could not be described in full.
    Missing {
        /// It was gone when it was looked at.
        Exited => "exited",
        /// Its number belongs to another process by now.
        Reused => "reused",
        /// Its `/proc` entries may not be read.
        Denied => "denied",
        /// No process holds the socket.
        Unowned => "unowned",
        /// It took too long to find out.
        Timeout => "timeout",
        /// Too many events waited for an answer.
        Overflow => "overflow",
    }
}

/// A process's parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Parent {
    /// Process id on this host.
    pub pid: u32,
    /// The program it ran when its child began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}

/// The cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessCgroup {
    /// Inode number of its folder.
    pub id: u64,
    /// Path from the cgroup2 root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
