//! A process as `/proc` shows it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use ::procfs::process::Process as Entry;
use ::procfs::{ProcError, ProcResult};

use crate::attribution::hybrid::{self, V1};
use crate::attribution::workload::of_path;
use crate::attribution::{Process, identity};
use crate::event::line::Missing;

/// Bytes of a command line that are kept.
const CMDLINE: u64 = 4096;
/// Arguments of a command line that are kept.
const ARGUMENTS: usize = 128;

/// Reads a process; `start_time` (nanoseconds since boot, 0 when unknown) tells it from a later one
/// with its number.
///
/// # Errors
/// Why it cannot be described.
pub fn snapshot(pid: u32, start_time: u64) -> Result<Box<Process>, Missing> {
    // The entry keeps the process's folder open: all that is read is of one process.
    let entry = i32::try_from(pid).map_err(|_| Missing::Exited)?;
    let entry = Entry::new(entry).map_err(|error| missing(&error))?;
    let process = describe(&entry, pid).map_err(|error| missing(&error))?;
    if identity::same_start(start_time, process.start_time) {
        Ok(Box::new(process))
    } else {
        Err(Missing::Reused)
    }
}

/// The process's cgroup2 path as it is now, from the root of the agent's cgroup namespace.
#[must_use]
pub fn cgroup(pid: u32) -> Option<String> {
    let entry = Entry::new(i32::try_from(pid).ok()?).ok()?;
    let controllers = entry.cgroups().ok()?;
    controllers.into_iter().find(|group| group.hierarchy == 0).map(|group| group.pathname)
}

/// The container that the process is in, where v1 hierarchies alone tell of it.
#[must_use]
pub fn v1(pid: u32) -> Option<V1> {
    hybrid::container(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// Whether this host has v1 hierarchies beside cgroup2.
#[must_use]
pub fn is_hybrid() -> bool {
    fs::read_to_string("/proc/self/cgroup").is_ok_and(|lines| hybrid::is_hybrid(&lines))
}

/// How many containers are in v1 hierarchies alone: no policy on containers or pods is on them.
#[must_use]
pub fn containers_of_v1() -> usize {
    if !is_hybrid() {
        return 0;
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let containers = pids.filter_map(|pid| of_path(&v1(pid)?.path).container);
    containers.collect::<BTreeSet<String>>().len()
}

/// Whether the process has `CAP_NET_ADMIN` or may get it: its bounding set says so. One that is gone may
/// nothing.
#[must_use]
pub fn may_make_interfaces(pid: u32) -> bool {
    const NET_ADMIN: u32 = 12;
    let Ok(pid) = i32::try_from(pid) else { return false };
    match Entry::new(pid).and_then(|entry| entry.status()) {
        Ok(status) => (status.capprm | status.capbnd.unwrap_or(u64::MAX)) >> NET_ADMIN & 1 == 1,
        Err(error) => missing(&error) == Missing::Denied,
    }
}

fn describe(entry: &Entry, pid: u32) -> ProcResult<Process> {
    let stat = entry.stat()?;
    let uid = entry.status().map(|status| status.ruid).or_else(|_| entry.uid())?;
    let (exe, deleted) = program(entry);
    let start_time = identity::nanoseconds(stat.starttime, ::procfs::ticks_per_second());
    Ok(Process {
        pid,
        ppid: u32::try_from(stat.ppid).unwrap_or_default(),
        exe,
        deleted,
        comm: stat.comm,
        cmdline: cmdline(entry),
        uid,
        start_time,
        file: None,
        parents: Vec::new(),
    })
}

/// The kernel appends ` (deleted)` to the path; a file may also be called that, so the link count
/// decides.
fn program(entry: &Entry) -> (Option<String>, bool) {
    let Ok(path) = entry.exe() else { return (None, false) };
    let path = path.to_string_lossy().into_owned();
    let file = fs::metadata(format!("/proc/{}/exe", entry.pid()));
    let unlinked = file.is_ok_and(|file| file.nlink() == 0);
    match path.strip_suffix(" (deleted)") {
        Some(short) if unlinked => (Some(short.to_owned()), true),
        _ => (Some(path), unlinked),
    }
}

/// Arguments need not be UTF-8, nor end.
fn cmdline(entry: &Entry) -> Vec<String> {
    let mut bytes = Vec::new();
    let Ok(file) = entry.open_relative("cmdline") else { return Vec::new() };
    if file.take(CMDLINE).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let arguments = bytes.split(|byte| *byte == 0).take(ARGUMENTS);
    arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

fn missing(error: &ProcError) -> Missing {
    match error {
        ProcError::PermissionDenied(_) => Missing::Denied,
        _ => Missing::Exited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let pid = std::process::id();
        let process = snapshot(pid, 0).unwrap();
        assert_eq!(
            process.exe.as_deref().map(std::path::Path::new),
            std::env::current_exe().ok().as_deref()
        );
        assert!(!process.deleted);
        assert!(process.cmdline[0].contains("sentinel"));
        assert_eq!(snapshot(pid, process.start_time + 5_000_000).map(|found| found.pid), Ok(pid));
        assert_eq!(snapshot(pid, process.start_time + 50_000_000), Err(Missing::Reused));
    }

    #[test]
    fn capabilities_are_read() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
        let has = u64::from_str_radix(bounds.trim(), 16).unwrap() & 0x1000 != 0;
        assert_eq!(may_make_interfaces(std::process::id()), has);
        assert!(!may_make_interfaces(0x3fff_ffff));
    }

    #[test]
    fn a_number_without_a_process_is_said_so() {
        assert_eq!(snapshot(u32::MAX, 0), Err(Missing::Exited));
        assert_eq!(snapshot(0x3fff_ffff, 0), Err(Missing::Exited));
    }
}
