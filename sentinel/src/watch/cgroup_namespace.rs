//! The view of the cgroup tree. In a container of its own cgroup namespace every path is told from that
//! container's cgroup, and the root of the host's tree reads as `/../..`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// KERNEL include/uapi/linux/nsfs.h, `PROC_CGROUP_INIT_INO`: the number of the host's own, since 4.6.
const INITIAL: u64 = 0xEFFF_FFFB;
const OURS: &str = "/proc/self/ns/cgroup";
/// With the host's processes in view, its first one is in the initial namespace.
const FIRST: &str = "/proc/1/ns/cgroup";

/// Why this process does not see the host's cgroups.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The first process in view is in a container too.
    #[error(
        "this container shows neither the host's cgroups nor its processes: start it with hostPID, and with the host's /sys/fs/cgroup"
    )]
    NoHost,
    /// The kernel refused.
    #[error("the host's cgroup namespace cannot be entered: {0}; grant CAP_SYS_ADMIN and CAP_SYS_PTRACE")]
    Refused(#[from] io::Error),
}

/// Enters the host's cgroup namespace, if this thread is in another. Threads that it starts later are
/// there too, those that run already are not.
///
/// # Errors
/// When it cannot be found or entered.
pub fn enter_hosts() -> Result<(), ViewError> {
    enter(Path::new(OURS), Path::new(FIRST))
}

fn enter(ours: &Path, first: &Path) -> Result<(), ViewError> {
    if std::fs::metadata(ours)?.ino() == INITIAL {
        return Ok(());
    }
    let first = File::open(first)?;
    if first.metadata()?.ino() != INITIAL {
        return Err(ViewError::NoHost);
    }
    Ok(move_into_link_name_space(first.as_fd(), Some(LinkNameSpaceType::ControlGroup))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_process_that_is_in_a_container_too_is_not_taken_for_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, first) = (folder.path().join("ours"), folder.path().join("first"));
        std::fs::write(&ours, "").unwrap();
        assert!(matches!(enter(&ours, &first), Err(ViewError::Refused(_))));
        std::fs::write(&first, "").unwrap();
        let error = enter(&ours, &first).unwrap_err();
        assert!(error.to_string().contains("hostPID"), "{error}");
    }
}
