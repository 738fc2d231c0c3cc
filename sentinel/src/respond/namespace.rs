//! Network namespaces: which ones there are, and work done inside one.
//!
//! A thread that entered a namespace cannot be trusted to come back, so each visit is a thread of its
//! own that ends with it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Namespaces looked into for one socket.
const NAMESPACES: usize = 256;
/// Processes looked at to find them.
const PROCESSES: usize = 65_536;

/// Does `work` on a thread inside a namespace.
///
/// # Errors
/// When the thread or the namespace cannot be entered (`EPERM` without `CAP_SYS_ADMIN`), or what
/// `work` says.
pub fn inside<T: Send>(
    namespace: &File,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let visit = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        })?;
        visit.join().unwrap_or_else(|_| Err(io::Error::other("the visit to a namespace failed")))
    })
}

/// Visits namespaces until `work` finds what it looks for: those of `first` (processes, most likely
/// first), then every other one that a process on this host is in.
///
/// # Errors
/// The last failure, when nothing was found and something failed.
pub fn search<T: Send>(
    first: impl IntoIterator<Item = u32>,
    work: impl Fn() -> io::Result<Option<T>> + Sync,
) -> io::Result<Option<T>> {
    let mut failure = None;
    for (_, namespace) in namespaces(first) {
        match inside(&namespace, &work) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// Does `work` in every namespace that a process on this host is in, once each; it is told the
/// namespace's inode number. What failed comes back beside what was done.
pub fn each<T: Send>(work: impl Fn(u64) -> io::Result<T> + Sync) -> (Vec<T>, Vec<io::Error>) {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (number, namespace) in namespaces([std::process::id()]) {
        match inside(&namespace, || work(number)) {
            Ok(answer) => done.push(answer),
            Err(error) => failed.push(error),
        }
    }
    (done, failed)
}

/// Namespaces with their inode numbers, those of `first` before all others.
fn namespaces(first: impl IntoIterator<Item = u32>) -> impl Iterator<Item = (u64, File)> {
    let mut seen = HashSet::new();
    let all = first.into_iter().chain(processes()).take(PROCESSES);
    all.filter_map(move |pid| {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).ok()?;
        let number = namespace.metadata().ok()?.ino();
        let is_new = seen.len() < NAMESPACES && seen.insert(number);
        is_new.then_some((number, namespace))
    })
}

/// Every process, read only when it is asked for.
pub fn processes() -> impl Iterator<Item = u32> {
    let folders = std::iter::once_with(|| std::fs::read_dir("/proc"));
    let names = folders.flatten().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_numbers() {
        assert!(processes().any(|pid| pid == std::process::id()));
    }
}
