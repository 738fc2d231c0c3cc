//! What the score's context is made of: a workload's use of the processor, a program's file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use crate::attribution::{Process, identity};
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

/// Microseconds in which something in a cgroup2 folder waited for a processor; 0 where the kernel does
/// not tell (`CONFIG_PSI`, Documentation/accounting/psi.rst).
#[must_use]
pub fn cpu_wait(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("cpu.pressure")).unwrap_or_default();
    let some = text.lines().find_map(|line| line.strip_prefix("some "));
    let total = some.and_then(|line| line.rsplit_once("total="));
    total.and_then(|(_, total)| total.trim().parse().ok()).unwrap_or_default()
}

/// Microseconds of processor time that a process has used; `None` where it is gone.
#[must_use]
pub fn process_usage(process: &Process) -> Option<u64> {
    let entry = ::procfs::process::Process::new(i32::try_from(process.pid).ok()?).ok()?;
    let stat = entry.stat().ok()?;
    let ticks = ::procfs::ticks_per_second();
    let is_it =
        identity::same_start(process.start_time, identity::nanoseconds(stat.starttime, ticks));
    let used = stat.utime.saturating_add(stat.stime).saturating_mul(1_000_000);
    is_it.then(|| used.checked_div(ticks)).flatten()
}

/// Processors that there are.
#[must_use]
pub fn processors() -> f64 {
    thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// Processors that a cgroup2 folder may use: the least of its own limit, those of the folders that it
/// is in (a pod's, around its containers'), and what there is.
#[must_use]
pub fn cpu_limit(folder: &Path) -> f64 {
    let is_cgroup = |at: &&Path| *at == folder || at.join("cgroup.procs").exists();
    let limits = folder.ancestors().take_while(is_cgroup).filter_map(own_limit);
    limits.fold(processors(), f64::min)
}

fn own_limit(folder: &Path) -> Option<f64> {
    let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>().ok());
    match (words.next()??, words.next()??) {
        (quota, period) if period > 0.0 => Some(quota / period),
        _ => None,
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
        assert_eq!(cpu_wait(folder.path()), 0);
        let pressure = "some avg10=44.48 avg60=37.65 avg300=27.90 total=129497455\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        fs::write(folder.path().join("cpu.pressure"), pressure).unwrap();
        assert_eq!(cpu_wait(folder.path()), 129_497_455);
        assert!((cpu_limit(folder.path()) - 0.5).abs() < 1e-9);
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join("cgroup.procs"), "").unwrap();
        for (own, expected) in [("max 100000\n", 0.5), ("20000 100000\n", 0.2)] {
            fs::write(inner.join("cpu.max"), own).unwrap();
            assert!(
                (cpu_limit(&inner) - expected).abs() < 1e-9,
                "a pod's limit holds within: {own}"
            );
        }
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
        assert!(process_usage(&process).is_some());
        let other = Process { start_time: process.start_time + 50_000_000, ..*process.clone() };
        assert_eq!(process_usage(&other), None, "the number is another's now");
        let later = super::binary(&process, now + 7200 * SECOND, clock.boot_to_unix).unwrap();
        assert!(!later.fresh);
    }
}
