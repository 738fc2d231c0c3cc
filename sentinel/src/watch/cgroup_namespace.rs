//! The view of the cgroup tree. In a container of its own cgroup namespace every path is told from that
//! container's cgroup, and the root of the host's tree reads as `/../..`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::respond::namespace;

/// KERNEL include/uapi/linux/nsfs.h, `PROC_CGROUP_INIT_INO`: the number of the host's own, since 4.6.
const INITIAL: u64 = 0xEFFF_FFFB;
const OURS: &str = "/proc/self/ns/cgroup";
/// Why this process does not see the host's cgroups.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Every process in view is in a container too.
    #[error(
        "this container shows neither the host's cgroups nor its processes: start it with hostPID, and with the host's /sys/fs/cgroup"
    )]
    NoHost,
    /// The kernel refused.
    #[error(
        "the host's cgroup namespace cannot be entered: {0}; grant CAP_SYS_ADMIN and CAP_SYS_PTRACE"
    )]
    Refused(#[from] io::Error),
}

/// Enters the host's cgroup namespace, if this thread is in another. Threads that it starts later are
/// there too, those that run already are not.
///
/// # Errors
/// When it cannot be found or entered.
pub fn enter_hosts() -> Result<(), ViewError> {
    let others = namespace::processes().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/cgroup")));
    enter(Path::new(OURS), others)
}

/// Of the host's processes any will do: not each can be looked at, the first one least of all.
fn enter(ours: &Path, others: impl Iterator<Item = PathBuf>) -> Result<(), ViewError> {
    if std::fs::metadata(ours)?.ino() == INITIAL {
        return Ok(());
    }
    let initial = others
        .filter_map(|path| File::open(path).ok())
        .find(|file| file.metadata().is_ok_and(|metadata| metadata.ino() == INITIAL))
        .ok_or(ViewError::NoHost)?;
    let entered = move_into_link_name_space(initial.as_fd(), Some(LinkNameSpaceType::ControlGroup));
    Ok(entered.map_err(io::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_in_a_container_too_are_not_taken_for_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (folder.path().join("ours"), folder.path().join("other"));
        assert!(matches!(enter(&ours, std::iter::empty()), Err(ViewError::Refused(_))));
        std::fs::write(&ours, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let error = enter(&ours, [other].into_iter()).unwrap_err();
        assert!(error.to_string().contains("hostPID"), "{error}");
    }
}
