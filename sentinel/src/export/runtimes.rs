//! Figures on the container runtimes that are asked which pods there are.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::registry::{counters, gauge, kinds};
use crate::watch::cri::Calls;

const CALLS: &str = "Calls to container runtimes, by what came of them.";
const ANSWERING: &str = "Container runtimes whose last call was answered.";
const KNOWN: &str = "Pods and containers that the runtimes list as being there.";

/// All of them; clones share them.
#[derive(Clone, Debug)]
pub struct Runtimes {
    calls: IntCounterVec,
    answering: IntGauge,
    known: IntGaugeVec,
}

impl Runtimes {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let figures = Self {
            calls: counters(registry, "cri_calls_total", CALLS, &["result"])?,
            answering: gauge(registry, "cri_runtimes_answering", ANSWERING)?,
            known: kinds(registry, "cri_workloads", KNOWN)?,
        };
        figures.count(Calls::default());
        figures.set(0, (0, 0));
        Ok(figures)
    }

    /// Counts calls.
    pub fn count(&self, calls: Calls) {
        let Calls { answered, failed, timed_out } = calls;
        for (result, count) in [("answered", answered), ("failed", failed), ("timeout", timed_out)]
        {
            self.calls.with_label_values(&[result]).inc_by(count);
        }
    }

    /// How many runtimes answer, and how many pods and containers there are.
    pub fn set(&self, answering: usize, (pods, containers): (usize, usize)) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.answering.set(number(answering));
        self.known.with_label_values(&["pod"]).set(number(pods));
        self.known.with_label_values(&["container"]).set(number(containers));
    }
}
