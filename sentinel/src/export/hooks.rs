//! Figures on the hooks.

use prometheus::{IntCounterVec, IntGauge, Registry};

use super::registry::{counters, gauge};
use crate::event::hook::{Finding, HookResult};
use crate::event::word::Words;

const EVENTS: &str = "What happened to the hooks, by what became of it: anything but other_program is somebody's doing or a cgroup that is gone.";
const MISSING: &str =
    "What is wrong with the hooks and cannot be put right: nothing is judged there.";

/// All of them; clones share them.
#[derive(Clone, Debug)]
pub struct Hooks {
    events: IntCounterVec,
    missing: IntGauge,
}

impl Hooks {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let figures = Self {
            events: counters(registry, "hook_events_total", EVENTS, &["finding", "result"])?,
            missing: gauge(registry, "hooks_missing", MISSING)?,
        };
        for finding in Finding::ALL {
            let results: &[HookResult] = match finding {
                Finding::OtherProgram => &[HookResult::Noted],
                _ => &[HookResult::Restored, HookResult::Failed],
            };
            results.iter().for_each(|result| figures.add(*finding, *result, 0));
        }
        Ok(figures)
    }

    /// Counts one thing that happened.
    pub fn count(&self, finding: Finding, result: HookResult) {
        self.add(finding, result, 1);
    }

    fn add(&self, finding: Finding, result: HookResult, by: u64) {
        self.events.with_label_values(&[finding.word(), result.word()]).inc_by(by);
    }

    /// How many are missing now.
    pub fn set_missing(&self, hooks: usize) {
        self.missing.set(i64::try_from(hooks).unwrap_or(i64::MAX));
    }
}
