//! Notices that a file has changed, by looking every now and then.
//!
//! By looking, because notifications miss what matters here: a folder that is mounted from a
//! ConfigMap changes by a swapped link two levels up, an editor replaces the file under its name, and
//! network file systems tell nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Entries of a folder that are looked at.
const ENTRIES: usize = 1024;

/// What tells one state of a file from another; all zero when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Of the last change, seconds and nanoseconds.
    changed: (i64, i64),
}

type Snapshot = BTreeMap<PathBuf, Stamp>;

/// Files that are watched.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// What was told of last.
    known: Snapshot,
    /// What was seen at the last look, when it was not what is known: told of once it stands still.
    pending: Option<Snapshot>,
    timer: Interval,
}

impl Files {
    /// Watches these files, and the files in these folders. Needs a runtime.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let mut timer = interval(EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let known = look(&paths);
        Self { paths, known, pending: None, timer }
    }

    /// What has changed so far counts as known: it is about to be read.
    pub fn mark(&mut self) {
        self.known = look(&self.paths);
        self.pending = None;
    }

    /// Watches these from now on. What was watched before keeps its mark: it may have changed since,
    /// and have been read before it did.
    pub fn follow(&mut self, paths: Vec<PathBuf>) {
        let mut now = look(&paths);
        for (path, stamp) in &mut now {
            *stamp = self.known.get(path).copied().unwrap_or(*stamp);
        }
        (self.known, self.paths) = (now, paths);
    }

    /// Returns when something has changed and then stood still for one look: a file that is being
    /// written is not read half. Loses nothing when it is dropped.
    pub async fn changed(&mut self) {
        loop {
            self.timer.tick().await;
            if self.has_settled(look(&self.paths)) {
                return;
            }
        }
    }

    fn has_settled(&mut self, now: Snapshot) -> bool {
        if now == self.known {
            self.pending = None;
            return false;
        }
        if self.pending.as_ref() == Some(&now) {
            self.known = now;
            self.pending = None;
            return true;
        }
        self.pending = Some(now);
        false
    }
}

fn look(paths: &[PathBuf]) -> Snapshot {
    let mut seen = Snapshot::new();
    for path in paths {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries.take(ENTRIES) {
            seen.insert(entry.path(), stamp(&entry.path()));
        }
        seen.insert(path.clone(), stamp(path));
    }
    seen
}

/// Links are followed: what counts is the file that would be read.
fn stamp(path: &Path) -> Stamp {
    let Ok(data) = fs::metadata(path) else { return Stamp::default() };
    Stamp {
        device: data.dev(),
        inode: data.ino(),
        size: data.size(),
        changed: (data.ctime(), data.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_once_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "1").unwrap();
        let mut files = Files::new(vec![folder.path().to_owned()]);
        let look = || look(&[folder.path().to_owned()]);
        assert!(!files.has_settled(look()));
        fs::write(&path, "22").unwrap();
        assert!(!files.has_settled(look()), "it may be half written");
        fs::write(&path, "333").unwrap();
        assert!(!files.has_settled(look()), "it was");
        assert!(files.has_settled(look()));
        assert!(!files.has_settled(look()), "told once");
        fs::remove_file(&path).unwrap();
        assert!(!files.has_settled(look()));
        assert!(files.has_settled(look()), "gone is changed");
    }

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["c.yaml", "p.yaml"].map(|name| folder.path().join(name)).to_vec();
        let [config, policy] = paths.as_slice() else { panic!("two files") };
        fs::write(config, "1").unwrap();
        let mut files = Files::new(vec![config.clone()]);
        fs::write(config, "22").unwrap();
        files.mark();
        assert!(!files.has_settled(look(&files.paths)), "known by the mark");
        fs::write(policy, "1").unwrap();
        fs::write(config, "333").unwrap();
        files.follow(paths.clone());
        assert!(!files.has_settled(look(&paths)));
        assert!(files.has_settled(look(&paths)), "it was read before");
        files.mark();
        files.follow(paths.clone());
        assert!(!files.has_settled(look(&paths)) && files.pending.is_none(), "nothing is new");
    }

    #[tokio::test]
    async fn a_file_replaced_behind_a_link_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, link) =
            (folder.path().join("1"), folder.path().join("2"), folder.path().join("p.yaml"));
        fs::write(&one, "x").unwrap();
        fs::write(&two, "x").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let mut files = Files::new(vec![link.clone()]);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        let paths = [link];
        assert!(!files.has_settled(look(&paths)));
        assert!(files.has_settled(look(&paths)));
    }
}
