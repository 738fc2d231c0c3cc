//! Whether the programs are still where they were put: what a look at them finds, and the journal's line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use schemars::JsonSchema;
use serde::Serialize;

use super::word::{Word, word_enum};

word_enum! {
    /// What is wrong with a hook, or new on it.
    Finding {
        /// The program is not where it was put any more, a cgroup or the end of a wire: somebody has detached it.
        Detached => "detached",
        /// The link's pin is gone: it would not outlive the agent.
        Unpinned => "unpinned",
        /// The cgroup that everything was attached to is gone.
        CgroupGone => "cgroup_gone",
        /// What the programs are told to do has been written over.
        Altered => "altered",
        /// A connection of the agent's own that every policy refuses was let pass: the programs do not judge.
        NotRefused => "not_refused",
        /// Another program is on the same hook of the same cgroup. One that was attached later may override
        /// what a `connect` or `sendmsg` hook says; nobody overrides the packet hooks.
        OtherProgram => "other_program",
    }
}

word_enum! {
    /// What became of it.
    HookResult {
        /// It is as it was put again.
        Restored => "restored",
        /// It cannot be put right; it is tried again every second.
        Failed => "failed",
        /// Nothing is done about it.
        Noted => "noted",
    }
}

word_enum! {
    /// The kind of a [`Hook`] line.
    HookKind {
        /// The only one.
        Hook => "hook",
    }
}

/// Something is wrong with a hook, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defect {
    /// The program, or the map.
    pub program: &'static str,
    /// What is wrong.
    pub finding: Finding,
}

/// A program of somebody else's on one of the hooks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Other {
    /// Our program there.
    pub program: &'static str,
    /// The other's number in the kernel.
    pub id: u32,
    /// What it calls itself, at most 15 bytes; empty when it cannot be asked.
    pub name: String,
}

/// What a look at all hooks has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What was wrong and is put right.
    pub restored: Vec<Defect>,
    /// What is wrong and cannot be put right, and why.
    pub broken: BTreeMap<Defect, String>,
    /// Who else is there.
    pub others: BTreeSet<Other>,
}

impl Inspection {
    /// Something was wrong, and is put right or cannot be.
    pub(crate) fn mended(&mut self, defect: Defect, outcome: Result<(), impl Display>) {
        match outcome {
            Ok(()) => self.restored.push(defect),
            Err(why) => drop(self.broken.insert(defect, why.to_string())),
        }
    }
}

/// Something happened to a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hook {
    /// When it was noticed, RFC 3339, UTC: at most a second and a half after it happened.
    pub time: String,
    /// Always `hook`.
    pub kind: Word<HookKind>,
    /// What.
    pub finding: Word<Finding>,
    /// The program that it is about, or the map.
    pub program: String,
    /// What became of it.
    pub result: Word<HookResult>,
    /// Why it cannot be put right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The other program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherProgram>,
}

/// A program of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OtherProgram {
    /// Its number in the kernel, as `bpftool prog` shows it.
    pub id: u32,
    /// What it calls itself.
    pub name: String,
}
