//! What the score's context is made of: a workload's use of the processor, a program's file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use crate::attribution::Process;
use crate::detect::Binary;

/// Younger than this counts as fresh, seconds.
const FRESH: i128 = 3600;
const SECOND: i128 = 1_000_000_000;

/// Microseconds of processor time that a cgroup2 folder has used; `None` where it does not tell.
#[must_use]
pub fn cpu_usage(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
}

/// Processors that a cgroup2 folder may use: its own limit, or all that there are.
#[must_use]
pub fn cpu_limit(folder: &Path) -> f64 {
    let all = thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let text = fs::read_to_string(folder.join("cpu.max")).unwrap_or_default();
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>().ok());
    match (words.next().flatten(), words.next().flatten()) {
        (Some(quota), Some(period)) if period > 0.0 => (quota / period).min(all),
        _ => all,
    }
}

/// Whether this host has a card that programs can compute on: then an idle processor says little.
#[must_use]
pub fn has_compute_card() -> bool {
    ["/dev/nvidiactl", "/dev/kfd"].iter().any(|device| Path::new(device).exists())
}

/// What is odd about a process's program; `None` where its file is not to be seen. `now` is Unix
/// time, `boot_to_unix` what to add to time since boot for it, both in nanoseconds.
#[must_use]
pub fn binary(process: &Process, now: i128, boot_to_unix: i128) -> Option<Binary> {
    let exe = process.exe.as_deref()?;
    let file = fs::metadata(format!("/proc/{}/exe", process.pid)).ok()?;
    let changed = i128::from(file.mtime().max(file.ctime())) * SECOND;
    let started = i128::from(process.start_time) + boot_to_unix;
    let in_memory = exe.starts_with("/memfd:");
    Some(Binary {
        fresh: now - changed.max(started) < FRESH * SECOND,
        deleted: process.deleted && !in_memory,
        in_memory,
        in_temporary: ["/tmp/", "/var/tmp/", "/dev/shm/"].iter().any(|at| exe.starts_with(at)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{clock, procfs};

    #[test]
    fn a_cgroups_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cpu_usage(folder.path()), None);
        assert!(cpu_limit(folder.path()) >= 1.0);
        fs::write(folder.path().join("cpu.stat"), "usage_usec 1234\nuser_usec 1\n").unwrap();
        fs::write(folder.path().join("cpu.max"), "50000 100000\n").unwrap();
        assert_eq!(cpu_usage(folder.path()), Some(1234));
        assert!((cpu_limit(folder.path()) - 0.5).abs() < 1e-9);
        fs::write(folder.path().join("cpu.max"), "max 100000\n").unwrap();
        assert!(cpu_limit(folder.path()) >= 1.0);
    }

    #[test]
    fn this_process_is_fresh_and_its_program_is_there() {
        let clock = clock::now();
        let now = i128::from(clock.now) + clock.monotonic_to_unix;
        let process = procfs::snapshot(std::process::id(), 0).unwrap();
        let binary = binary(&process, now, clock.boot_to_unix).unwrap();
        assert!(binary.fresh && !binary.deleted && !binary.in_memory);
        let later = super::binary(&process, now + 7200 * SECOND, clock.boot_to_unix).unwrap();
        assert!(!later.fresh);
    }
}
