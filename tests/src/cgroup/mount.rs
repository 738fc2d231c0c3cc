//! Where cgroup2 is mounted: `/sys/fs/cgroup` on a pure host, a directory beside v1 on a hybrid one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Finds the cgroup2 mount point of this process.
pub fn mount_point() -> Result<PathBuf> {
    let table =
        fs::read_to_string("/proc/self/mountinfo").context("the mount table is unreadable")?;
    find(&table).context("no cgroup2 file system is mounted: mount -t cgroup2 none /sys/fs/cgroup")
}

/// Picks the cgroup2 line from a mount table. A mount of the hierarchy's root wins over one of a
/// subtree, which is what a container's cgroup namespace shows.
fn find(table: &str) -> Option<PathBuf> {
    let mut found = None;
    for line in table.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        if kind.split(' ').next() != Some("cgroup2") {
            continue;
        }
        let mut fields = mount.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { continue };
        let point = PathBuf::from(unescape(point));
        if root == "/" {
            return Some(point);
        }
        found.get_or_insert(point);
    }
    found
}

/// Turns the octal escapes of the mount table (`\040`) back into characters.
fn unescape(field: &str) -> String {
    let mut text = field.to_owned();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(escape, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_host_has_it_beside_v1() {
        let table = "37 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                     41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw shared:9 - cgroup2 none rw\n";
        assert_eq!(find(table), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
    }

    #[test]
    fn a_pure_host_has_it_at_the_top_and_some_have_none() {
        let table = "26 22 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(find(table), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(find("23 27 0:22 / /sys rw - sysfs sysfs rw\n"), None);
    }
}
