//! Which process holds which socket: one walk over every open file of every process, instead of one
//! for each socket.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::respond::namespace;

/// Processes whose open files are looked through.
const PROCESSES: usize = 65_536;
/// Open files looked at, all together.
const FILES: usize = 4_000_000;

/// A process's descriptor of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its descriptor.
    pub fd: i32,
}

/// Finds the holders of the sockets with these inode numbers; a socket held by several is given to
/// the first that is not process 1, which hands sockets to others.
#[must_use]
pub fn find(wanted: &HashSet<u32>) -> HashMap<u32, Holder> {
    let mut found: HashMap<u32, Holder> = HashMap::with_capacity(wanted.len());
    let mut files = 0;
    if wanted.is_empty() {
        return found;
    }
    for pid in namespace::processes().take(PROCESSES) {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for entry in entries {
            files += 1;
            if files > FILES {
                tracing::warn!("more than {FILES} open files: some sockets lack their process");
                return found;
            }
            let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(inode) = fs::read_link(entry.path()).ok().and_then(|link| inode(&link)) else {
                continue;
            };
            let is_better = found.get(&inode).is_none_or(|holder| holder.pid == 1);
            if wanted.contains(&inode) && is_better {
                found.insert(inode, Holder { pid, fd });
            }
        }
        if found.len() == wanted.len() && found.values().all(|holder| holder.pid != 1) {
            break;
        }
    }
    found
}

fn inode(link: &std::path::Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_with_its_descriptor() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = listener.as_raw_fd();
        let inode = fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        let inode = u32::try_from(inode).unwrap();
        let found = find(&HashSet::from([inode, u32::MAX]));
        assert_eq!(found.get(&inode), Some(&Holder { pid: std::process::id(), fd }));
        assert_eq!(found.len(), 1);
        assert!(find(&HashSet::new()).is_empty());
    }
}
