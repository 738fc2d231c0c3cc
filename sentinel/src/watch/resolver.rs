//! Joins what `/proc`, the cgroup tree and the sockets say into one answer on an event's maker.

use super::cgroupfs::Tree;
use super::{procfs, sockets};
use crate::action::EventId;
use crate::attribution::hybrid::V1;
use crate::attribution::workload::of_path;
use crate::attribution::{Attribution, Socket};
use crate::event::Owner;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The event that waits.
    pub id: EventId,
    /// Who the kernel says it was.
    pub owner: Option<Owner>,
    /// The event's cgroup; 0 when unknown.
    pub cgroup: u64,
    /// The event's socket.
    pub socket: Socket,
}

/// Answers questions, one after the other.
#[derive(Debug)]
pub struct Resolver {
    tree: Option<Tree>,
    /// There are v1 hierarchies, which may tell of containers that cgroup2 does not tell of.
    is_hybrid: bool,
}

impl Resolver {
    /// On the cgroup tree that this process sees.
    #[must_use]
    pub fn new() -> Self {
        Self { tree: Tree::mounted(), is_hybrid: procfs::is_hybrid() }
    }

    /// Finds out. Reads files; the unowned case may walk all of `/proc`.
    pub fn answer(&mut self, question: &Question) -> Attribution {
        match &question.owner {
            // First of all the process: it may not live for long.
            Some(owner) => {
                let process = procfs::snapshot(owner.pid, owner.start_time);
                let id = if question.cgroup == 0 { owner.cgroup } else { question.cgroup };
                let pid = process.as_ref().ok().map(|process| process.pid);
                let is_other = id != owner.cgroup && owner.cgroup != 0;
                let process_cgroup = if is_other { self.cgroup(owner.cgroup, pid) } else { None };
                let cgroup = self.cgroup(id, pid);
                let v1 = if is_other { None } else { self.v1(cgroup.as_deref(), pid) };
                Attribution { cgroup, process, process_cgroup, v1 }
            }
            None => {
                let cgroup = self.cgroup(question.cgroup, None);
                let likely = self.processes(cgroup.as_deref());
                let holder = sockets::holder(&question.socket, &likely);
                let process = holder.and_then(|pid| procfs::snapshot(pid, 0));
                let pid = process.as_ref().ok().map(|process| process.pid);
                let cgroup = cgroup.or_else(|| procfs::cgroup(pid?));
                let v1 = self.v1(cgroup.as_deref(), pid);
                Attribution { process, cgroup, process_cgroup: None, v1 }
            }
        }
    }

    /// The container that a process is in, where its cgroup2 path tells of none.
    fn v1(&self, cgroup: Option<&str>, pid: Option<u32>) -> Option<V1> {
        let is_told = cgroup.is_some_and(|path| of_path(path).is_contained());
        if is_told || !self.is_hybrid { None } else { procfs::v1(pid?) }
    }

    /// Processes of a cgroup, as guesses.
    #[must_use]
    pub fn processes(&self, cgroup: Option<&str>) -> Vec<u32> {
        let tree = self.tree.as_ref();
        tree.zip(cgroup).map(|(tree, path)| tree.processes(path)).unwrap_or_default()
    }

    fn cgroup(&mut self, id: u64, pid: Option<u32>) -> Option<String> {
        let hint = pid.and_then(procfs::cgroup);
        match &mut self.tree {
            Some(tree) if id != 0 => tree.path(id, hint.as_deref()),
            _ => hint,
        }
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}
