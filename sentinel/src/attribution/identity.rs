//! Whether the process that has a number now is the one that had it then.

/// How far two readings of one start may lie apart. `/proc` counts in ticks of 10 ms and rounds
/// down; twice that leaves room for a kernel with another idea of rounding.
pub const SLACK: u64 = 20_000_000;
const SECOND: u64 = 1_000_000_000;

/// Turns the `starttime` of `/proc/PID/stat` into nanoseconds since boot.
#[must_use]
pub const fn nanoseconds(ticks: u64, ticks_per_second: u64) -> u64 {
    let rate = if ticks_per_second == 0 { 100 } else { ticks_per_second };
    (ticks / rate).saturating_mul(SECOND).saturating_add(ticks % rate * SECOND / rate)
}

/// Whether both are the start of one process, in nanoseconds since boot. An unknown start (0) is
/// taken on trust: there is nothing to compare.
#[must_use]
pub const fn same_start(seen: u64, found: u64) -> bool {
    seen == 0 || seen.abs_diff(found) <= SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        assert_eq!(nanoseconds(12_345, 100), 123_450_000_000);
        assert_eq!(nanoseconds(1, 0), 10_000_000);
        assert_eq!(nanoseconds(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn a_reused_number_is_told_apart() {
        assert!(same_start(5_009_999_999, 5_000_000_000));
        assert!(!same_start(5_000_000_000, 5_030_000_000));
        assert!(same_start(0, 77));
    }
}
