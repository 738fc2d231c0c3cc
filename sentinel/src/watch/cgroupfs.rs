//! The cgroup2 tree: where it is mounted, what its ids stand for, which processes are where.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::attribution::cgroups::{CAPACITY, Cgroups};

/// At most one walk of the tree in this time: a cgroup that is gone must not cost one for each event.
const BETWEEN_WALKS: Duration = Duration::from_millis(250);
/// Processes of a cgroup that are taken as a guess.
const PROCESSES: usize = 64;

/// The tree, with what is known of it.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    known: Cgroups,
    walked: Option<Instant>,
}

impl Tree {
    /// The tree that is mounted at `root`.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root, known: Cgroups::default(), walked: None }
    }

    /// The tree that this process sees, found in `/proc/self/mountinfo`.
    #[must_use]
    pub fn mounted() -> Option<Self> {
        let mounts = ::procfs::process::Process::myself().ok()?.mountinfo().ok()?;
        let mounts: Vec<_> =
            mounts.into_iter().filter(|mount| mount.fs_type == "cgroup2").collect();
        let whole = mounts.iter().find(|mount| mount.root == "/").or(mounts.first())?;
        Some(Self::at(whole.mount_point.clone()))
    }

    /// The path of a cgroup. `hint` is a path that it probably has.
    pub fn path(&mut self, id: u64, hint: Option<&str>) -> Option<String> {
        if id == 0 {
            return None;
        }
        if let Some(hint) = hint
            && inode(&self.folder(hint)) == Some(id)
        {
            self.known.insert(id, hint.to_owned());
            return Some(hint.to_owned());
        }
        if self.known.path(id).is_none() {
            self.walk();
        }
        self.known.path(id).map(str::to_owned)
    }

    /// The path of a folder of this tree, from its root; `/` is the root itself.
    #[must_use]
    pub fn relative(&self, folder: &Path) -> Option<String> {
        let below = folder.strip_prefix(&self.root).ok()?;
        Some(format!("/{}", below.to_str()?))
    }

    /// The id of a cgroup, by its path.
    #[must_use]
    pub fn id(&self, path: &str) -> Option<u64> {
        inode(&self.folder(path))
    }

    /// Processes of a cgroup, no more than a few.
    #[must_use]
    pub fn processes(&self, path: &str) -> Vec<u32> {
        let list = fs::read_to_string(self.folder(path).join("cgroup.procs")).unwrap_or_default();
        list.lines().filter_map(|line| line.parse().ok()).take(PROCESSES).collect()
    }

    /// The folder of a cgroup.
    #[must_use]
    pub fn folder(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The paths of all folders with this name, sorted.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<String> {
        let mut folders = vec![String::from("/")];
        let (mut found, mut visited) = (Vec::new(), 0);
        while let Some(path) = folders.pop() {
            visited += 1;
            if visited > CAPACITY {
                break;
            }
            folders.extend(children(&self.folder(&path), &path));
            if path.rsplit('/').next() == Some(name) {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    fn walk(&mut self) {
        if self.walked.is_some_and(|last| last.elapsed() < BETWEEN_WALKS) {
            return;
        }
        let mut folders = vec![String::from("/")];
        let mut visited = 0;
        while let Some(path) = folders.pop() {
            visited += 1;
            if visited > CAPACITY {
                tracing::warn!("more than {CAPACITY} cgroups: some events will lack their path");
                break;
            }
            let folder = self.folder(&path);
            folders.extend(children(&folder, &path));
            if let Some(id) = inode(&folder) {
                self.known.insert(id, path);
            }
        }
        self.walked = Some(Instant::now());
    }
}

fn children(folder: &Path, path: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let base = path.trim_end_matches('/');
    folders.map(|entry| format!("{base}/{}", entry.file_name().to_string_lossy())).collect()
}

fn inode(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok().map(|about| about.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_paths_by_hint_or_by_walk() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/nginx.service");
        fs::create_dir_all(&service).unwrap();
        fs::write(service.join("cgroup.procs"), "12\n13\n").unwrap();
        let id = inode(&service).unwrap();
        let mut tree = Tree::at(root.path().to_owned());
        let path = Some("/system.slice/nginx.service".to_owned());
        assert_eq!(tree.path(id, None), path);
        assert_eq!(tree.path(id, Some("/elsewhere")), path);
        assert_eq!(tree.path(id, Some("/system.slice/nginx.service")), path);
        assert_eq!(tree.path(0, None), None);
        assert_eq!(tree.path(u64::MAX, None), None);
        assert_eq!(tree.relative(&service).as_deref(), path.as_deref());
        assert_eq!(tree.relative(root.path()).as_deref(), Some("/"));
        assert_eq!(tree.id("/system.slice/nginx.service"), Some(id));
        assert_eq!(tree.named("nginx.service"), ["/system.slice/nginx.service"]);
        assert_eq!(tree.processes("/system.slice/nginx.service"), [12, 13]);
        assert!(tree.processes("/none").is_empty());
    }
}
