//! How often is asked and told: all nodes together no more in a large fleet than in a small one.

use std::time::{Duration, Instant};

use super::LOOK;
use super::summary::Report;

/// Nodes that look every [`LOOK`] who writes for all, and tell how figures have grown; of more each does so
/// more seldom.
const LOOKING: u32 = 50;
/// Nodes that say every [`LOOK`] what has changed, and whose reports are read that often.
const TELLING: u32 = 500;
/// How often a node says that it lives.
const ALIVE: Duration = Duration::from_secs(60);

/// How often, in a fleet of a size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) nodes: u32,
}

impl Pace {
    fn of(self, at_a_time: u32) -> Duration {
        LOOK * self.nodes.div_ceil(at_a_time).max(1)
    }

    /// Whether to look who writes for all: whoever does looks each time.
    pub(super) fn looks(self, leads: bool, last: Option<Instant>) -> bool {
        // A turn comes a quarter sooner than it should: that is no reason to leave it out.
        leads || last.is_none_or(|last| last.elapsed() + LOOK / 2 > self.of(LOOKING))
    }

    /// Whether to read what all nodes say.
    pub(super) fn reads(self, last: Option<Instant>) -> bool {
        last.is_none_or(|last| last.elapsed() + LOOK / 2 > self.of(TELLING))
    }

    /// Whether to say this, where that was said last: figures alone can wait. Nodes have said theirs at
    /// different moments, so that they do not all tell of one change at once.
    pub(super) fn tells(self, now: &Report, last: Option<&(Report, Instant)>) -> bool {
        let Some((before, at)) = last else { return true };
        let wait = match (before == now, is_same(before, now)) {
            (true, _) => ALIVE,
            (false, true) => self.of(LOOKING).min(ALIVE),
            (false, false) => self.of(TELLING).min(ALIVE),
        };
        at.elapsed() + LOOK / 2 > wait
    }
}

/// Whether both have the same in force on as many workloads.
fn is_same(one: &Report, other: &Report) -> bool {
    let substance = |report: &Report| -> Vec<(String, i64, u32)> {
        let of = report.iter();
        of.map(|(title, on)| (title.clone(), on.generation, on.workloads)).collect()
    };
    substance(one) == substance(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::policy_status::summary::OnNode;

    fn ago(seconds: u64) -> Option<Instant> {
        Instant::now().checked_sub(Duration::from_secs(seconds))
    }

    #[test]
    fn a_large_fleet_asks_no_more_than_a_small_one() {
        let (small, large) = (Pace { nodes: 3 }, Pace { nodes: 5000 });
        assert!(small.looks(false, ago(5)) && small.reads(ago(5)));
        assert!(!large.looks(false, ago(400)) && large.looks(false, ago(500)));
        assert!(large.looks(true, ago(5)), "who writes for all says so in time");
        assert!(!large.reads(ago(40)) && large.reads(ago(50)));
        assert!(large.looks(false, None) && large.reads(None));
    }

    #[test]
    fn news_does_not_wait_and_figures_may() {
        let report = |generation, hits| -> Report {
            let on = OnNode { generation, workloads: 1, hits };
            [("EgressPolicy shop/web".to_owned(), on)].into()
        };
        let said = |seconds: u64| ago(seconds).map(|at| (report(1, 1), at));
        let small = Pace { nodes: 3 };
        assert!(small.tells(&report(1, 9), said(5).as_ref()));
        assert!(!small.tells(&report(1, 1), said(50).as_ref()));
        assert!(small.tells(&report(2, 1), said(5).as_ref()));
        assert!(small.tells(&report(1, 1), None) && small.tells(&report(1, 1), said(61).as_ref()));
        let large = Pace { nodes: 5000 };
        assert!(!large.tells(&report(1, 9), said(50).as_ref()));
        assert!(large.tells(&report(1, 9), said(61).as_ref()));
        assert!(!large.tells(&report(2, 1), said(20).as_ref()));
        assert!(large.tells(&report(2, 1), said(50).as_ref()));
    }
}
