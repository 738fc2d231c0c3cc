//! Which part of the host is watched, and who holds what is in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::cgroupfs::Tree;
use super::holders::Holder;
use super::inventory::Open;
use super::procfs;
use crate::attribution::{Attribution, Process};
use crate::event::line::Missing;

/// The watched part of the cgroup tree, with what was read of its processes.
#[derive(Debug)]
pub struct Scope {
    tree: Option<Tree>,
    /// The watched folder's path, without a slash at its end; empty is the whole host.
    within: String,
    processes: HashMap<u32, Result<Box<Process>, Missing>>,
}

impl Scope {
    /// Everything below this cgroup2 folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let tree = Tree::mounted();
        let within = tree.as_ref().and_then(|tree| tree.relative(folder)).unwrap_or_default();
        Self { tree, within: within.trim_end_matches('/').to_owned(), processes: HashMap::new() }
    }

    /// The connection's maker, or `None` when it is not watched. A connection whose cgroup nobody can
    /// tell is watched only where everything is.
    pub fn maker(&mut self, open: &Open, holder: Option<Holder>) -> Option<Attribution> {
        let pid = holder.map(|holder| holder.pid);
        let path = match (&mut self.tree, open.cgroup) {
            (Some(tree), id) if id != 0 => tree.path(id, None),
            _ => pid.and_then(procfs::cgroup),
        };
        if !self.is_within(path.as_deref()) {
            return None;
        }
        let process = match pid {
            Some(pid) => self.process(pid),
            None => Err(Missing::Unowned),
        };
        Some(Attribution { process, cgroup: path, process_cgroup: None, v1: None })
    }

    /// The path of a cgroup, where its connections are watched.
    pub fn path(&mut self, cgroup: u64) -> Option<String> {
        let path = self.tree.as_mut().and_then(|tree| tree.path(cgroup, None))?;
        self.is_within(Some(&path)).then_some(path)
    }

    /// Whether the connections of a cgroup are watched.
    pub fn watches(&mut self, cgroup: u64) -> bool {
        if self.within.is_empty() {
            return true;
        }
        let path = self.tree.as_mut().and_then(|tree| tree.path(cgroup, None));
        self.is_within(path.as_deref())
    }

    /// Whether that is the whole host.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.within.is_empty()
    }

    /// The cgroup of a process, `None` when it is not watched.
    #[must_use]
    pub fn path_of(&self, pid: u32) -> Option<String> {
        let path = procfs::cgroup(pid);
        if !self.is_within(path.as_deref()) {
            return None;
        }
        Some(path.unwrap_or_default())
    }

    /// The folder of a cgroup, by its path.
    #[must_use]
    pub fn folder(&self, path: &str) -> Option<PathBuf> {
        self.tree.as_ref().map(|tree| tree.folder(path))
    }

    /// Forgets what was read of processes: their numbers are given again.
    pub fn forget_processes(&mut self) {
        self.processes.clear();
    }

    /// The id of a process's cgroup; 0 when unknown.
    #[must_use]
    pub fn cgroup_of(&self, pid: u32) -> u64 {
        let path = procfs::cgroup(pid);
        self.tree.as_ref().zip(path).and_then(|(tree, path)| tree.id(&path)).unwrap_or_default()
    }

    fn process(&mut self, pid: u32) -> Result<Box<Process>, Missing> {
        self.processes.entry(pid).or_insert_with(|| procfs::snapshot(pid, 0)).clone()
    }

    fn is_within(&self, path: Option<&str>) -> bool {
        if self.within.is_empty() {
            return true;
        }
        let rest = path.and_then(|path| path.strip_prefix(&self.within));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_not_its_neighbour() {
        let mut scope = Scope { tree: None, within: "/a/b".to_owned(), processes: HashMap::new() };
        for (path, expected) in [
            (Some("/a/b"), true),
            (Some("/a/b/c"), true),
            (Some("/a/bc"), false),
            (Some("/"), false),
            (None, false),
        ] {
            assert_eq!(scope.is_within(path), expected, "{path:?}");
        }
        scope.within.clear();
        assert!(scope.is_within(None));
    }
}
