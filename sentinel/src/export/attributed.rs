//! Events that name no process, and whether they have become so many that the agent no longer does what it
//! is for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounterVec, Registry};

use super::registry::counters;
use crate::event::line::Missing;
use crate::event::word::Words as _;

const TOTAL: &str = "Events whose process could not be described, by why.";
/// What is looked back on, and in which steps it is forgotten.
const WINDOW: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_secs(10);
/// Fewer events than this say nothing.
const LEAST: u64 = 50;

/// The figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Attributed {
    total: IntCounterVec,
    recent: Arc<Mutex<Recent>>,
}

impl Attributed {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let total = counters(registry, "unattributed_events_total", TOTAL, &["reason"])?;
        for why in Missing::ALL {
            total.with_label_values(&[why.word()]);
        }
        Ok(Self { total, recent: Arc::default() })
    }

    pub(super) fn event(&self) {
        self.recent().add(Instant::now(), 1, 0);
    }

    /// What nobody holds, as the kernel's own sockets and frames, has no process: that is no failure.
    pub(super) fn missing(&self, why: Missing) {
        self.at_start(why);
        if why != Missing::Unowned {
            self.recent().add(Instant::now(), 0, 1);
        }
    }

    /// What was open before the agent came is not looked up as events are.
    pub(super) fn at_start(&self, why: Missing) {
        self.total.with_label_values(&[why.word()]).inc();
    }

    /// Why the agent should not count as ready, if it should not.
    pub(super) fn failing(&self) -> Option<String> {
        self.recent().failing(Instant::now())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts of the last minutes, oldest first.
#[derive(Debug, Default)]
struct Recent(VecDeque<Counts>);

#[derive(Clone, Copy, Debug)]
struct Counts {
    begun: Instant,
    events: u64,
    missing: u64,
}

impl Recent {
    fn add(&mut self, now: Instant, events: u64, missing: u64) {
        self.forget(now);
        match self.0.back_mut() {
            Some(last) if now.duration_since(last.begun) < STEP => {
                last.events += events;
                last.missing += missing;
            }
            _ => self.0.push_back(Counts { begun: now, events, missing }),
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|first| now.duration_since(first.begun) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// More than half without a process.
    fn failing(&mut self, now: Instant) -> Option<String> {
        self.forget(now);
        let (events, missing) = self
            .0
            .iter()
            .fold((0, 0), |sum, counts| (sum.0 + counts.events, sum.1 + counts.missing));
        (events >= LEAST && missing * 2 > events).then(|| {
            format!(
                "{missing} of the last {events} events name no process: see sentinel_unattributed_events_total for the reasons, and `sentinel doctor`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_enough_is_a_failure_until_it_is_long_ago() {
        let start = Instant::now();
        let mut recent = Recent::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        recent.add(at(0), LEAST - 1, LEAST - 1);
        assert_eq!(recent.failing(at(0)), None, "too few to say");
        recent.add(at(20), 1, 0);
        let why = recent.failing(at(20)).unwrap();
        assert!(why.starts_with("49 of the last 50 events name no process"), "{why}");
        recent.add(at(40), 48, 0);
        assert_eq!(recent.failing(at(40)), None, "exactly half");
        recent.add(at(40), 0, 1);
        assert!(recent.failing(at(299)).is_some());
        assert_eq!(recent.failing(at(300)), None, "what was missing is forgotten");
        assert!(recent.0.len() <= 3);
    }

    #[test]
    fn a_socket_that_nobody_holds_is_no_failure() {
        let figures = Attributed::new(&Registry::new()).unwrap();
        for _ in 0..LEAST {
            figures.event();
            figures.missing(Missing::Unowned);
            figures.at_start(Missing::Denied);
        }
        assert_eq!(figures.failing(), None);
        (0..LEAST).for_each(|_| figures.missing(Missing::Timeout));
        assert!(figures.failing().is_some());
    }
}
