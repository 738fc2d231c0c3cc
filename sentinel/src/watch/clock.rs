//! The clocks, read once for each input of the engine.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::engine::Clock;

/// The time now.
#[must_use]
pub fn now() -> Clock {
    let unix = nanoseconds(clock_gettime(ClockId::Realtime));
    let monotonic = nanoseconds(clock_gettime(ClockId::Monotonic));
    let boot = nanoseconds(clock_gettime(ClockId::Boottime));
    Clock {
        now: u64::try_from(monotonic).unwrap_or_default(),
        monotonic_to_unix: unix - monotonic,
        boot_to_unix: unix - boot,
    }
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
