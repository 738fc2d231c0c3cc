//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Twice as long each time, give or take a quarter: many agents must not ask at one moment.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
    noise: RandomState,
    taken: u64,
}

impl Backoff {
    /// Waits this long at first, and that long at most.
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, next: first, noise: RandomState::new(), taken: 0 }
    }

    /// The last attempt was a success.
    pub(super) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now; a failure that is likely to last is waited for longest from the start.
    pub(super) fn next(&mut self, lasting: bool) -> Duration {
        let base = if lasting { self.last } else { self.next };
        self.next = (base * 2).min(self.last);
        self.taken += 1;
        let per_mille = 750 + self.noise.hash_one(self.taken) % 500;
        base * u32::try_from(per_mille).unwrap_or(1000) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(30);

    #[test]
    fn it_grows_to_its_bound_and_starts_anew() {
        let mut backoff = Backoff::new(FIRST, LAST);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next(false)).collect();
        assert!(waits[0] >= FIRST * 3 / 4 && waits[0] <= FIRST * 5 / 4, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LAST * 5 / 4), "{waits:?}");
        assert!(waits[11] >= LAST * 3 / 4, "{waits:?}");
        backoff.reset();
        assert!(backoff.next(false) <= FIRST * 5 / 4);
        assert!(backoff.next(true) >= LAST * 3 / 4);
    }

    #[test]
    fn two_do_not_wait_alike() {
        let waits = || {
            let mut backoff = Backoff::new(FIRST, LAST);
            (0..8).map(|_| backoff.next(false)).collect::<Vec<_>>()
        };
        assert_ne!(waits(), waits());
    }
}
