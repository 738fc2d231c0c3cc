//! Figures for Prometheus. The kernel's own counters are the truth on packets; what userspace counts
//! only explains. No label ever holds an address, a process or a name from outside; of the machine itself one
//! series tells.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashSet;
use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use sentinel_common::event::Kind;
use sentinel_common::learn::Lesson;
use sentinel_common::verdict::{
    COUNTERS, Loss, Mode, Reason, Verdict, lesson_counter, loss_counter, outcome_counter,
};

use super::attributed::Attributed;
use super::hooks::Hooks;
use super::kubernetes::Kubernetes;
use super::node::NodeInfo;
use super::registry::{counters, gauge, kinds, plain, register};
use super::runtimes::Runtimes;
use crate::action::{Count, Outcome};
use crate::decode::DecodeError;
use crate::event::line::{Measure, SignatureFigures};
use crate::event::word::Words;
use crate::feed::Tally;
use crate::lookups;
use crate::policy::PolicySet;

const PACKETS: &str = "Packets and calls judged in the kernel, by reason and verdict. Each CPU counts for itself; the sum is read when asked for.";
const LOSSES: &str = "What was lost, skipped or could not be done, in the kernel or in the agent.";
const EVENTS: &str =
    "Events that reached the agent, by kind and verdict; fewer than packets, a flow tells once.";
const SUPPRESSED: &str = "Events left out of the journal because many like them are in it.";
const PENDING: &str = "Events that wait for their process or for the end of their socket.";
const FOLLOWED: &str =
    "Connections whose traffic is sampled for the score of mining that cannot be read.";
const COLLISIONS: &str = "Names that only shared a hash with a feed's domain: not told of.";
const LESSONS: &str = "Addresses in answers to questions about policies' names, and answers that taught nothing, by what came of them.";
const FEED_ENTRIES: &str = "Entries of the feeds in force, by their kind.";
const LEARNED: &str = "What policies' names are known to lead to: pairs of address and pattern, and addresses shared by patterns.";
const DECODE_ERRORS: &str =
    "Records of the kernel that could not be read, by what is wrong with them.";
const GENERATION: &str = "Number of the policy in force, counted from 1.";
const COUNTERMEASURES: &str = "What was done beyond the verdict, by what came of it.";

const AUDITED: &str = "Events of what a policy under audit would have blocked, by policy and rule; a socket tells of each destination once.";
/// Series of policies and rules; what is beyond is one series, `other`.
const AUDITED_RULES: usize = 2048;
/// Policies under audit that have their series before their first hit.
const FROM_THE_START: usize = 100;

/// Losses of userspace, beside those of the kernel.
const LOSS_KINDS: [&str; 9] = [
    "journal",
    "pending",
    "limiter",
    "queue",
    "survey",
    "detector",
    "pods",
    "process_table",
    "kubernetes",
];

/// All figures; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    packets: IntCounterVec,
    losses: IntCounterVec,
    events: IntCounterVec,
    suppressed: IntCounter,
    attributed: Attributed,
    decode_errors: IntCounterVec,
    countermeasures: IntCounterVec,
    pending: IntGauge,
    followed: IntGauge,
    generation: IntGauge,
    load_failures: IntCounter,
    signature_set: IntGauge,
    signature_states: IntGauge,
    signature_rules: IntGauge,
    signature_failures: IntCounter,
    feed_entries: IntGaugeVec,
    name_collisions: IntCounter,
    lessons: IntCounterVec,
    learned: IntGaugeVec,
    audited: IntCounterVec,
    runtimes: Runtimes,
    kubernetes: Kubernetes,
    hooks: Hooks,
    node: NodeInfo,
    /// Policies and rules that have a series of their own.
    audited_rules: Arc<DashSet<(String, String)>>,
    /// The kernel's totals at the last look, so that counters only ever grow.
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Metrics {
    /// All figures at zero.
    ///
    /// # Errors
    /// When a name is malformed or given twice, which a test rules out.
    pub fn new(started_unix_seconds: f64) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            packets: counters(&registry, "packets_total", PACKETS, &["reason", "verdict"])?,
            losses: counters(&registry, "losses_total", LOSSES, &["kind"])?,
            events: counters(&registry, "events_total", EVENTS, &["kind", "verdict"])?,
            suppressed: plain(&registry, "suppressed_events_total", SUPPRESSED)?,
            attributed: Attributed::new(&registry)?,
            decode_errors: counters(&registry, "decode_errors_total", DECODE_ERRORS, &["kind"])?,
            countermeasures: counters(
                &registry,
                "countermeasures_total",
                COUNTERMEASURES,
                &["action", "result"],
            )?,
            pending: gauge(&registry, "pending_events", PENDING)?,
            followed: gauge(&registry, "followed_connections", FOLLOWED)?,
            generation: gauge(&registry, "policy_generation", GENERATION)?,
            load_failures: plain(
                &registry,
                "policy_load_failures_total",
                "Policies that were refused; the one before stays in force.",
            )?,
            signature_set: gauge(
                &registry,
                "signature_set",
                "Number of the signature set in force, counted from 1.",
            )?,
            signature_failures: plain(
                &registry,
                "signature_load_failures_total",
                "Signature sets that were refused; the one before stays in force.",
            )?,
            signature_states: gauge(
                &registry,
                "signature_states",
                "States of the signature automaton in force.",
            )?,
            signature_rules: gauge(
                &registry,
                "signature_rules",
                "Rules of the signature set in force.",
            )?,
            feed_entries: kinds(&registry, "feed_entries", FEED_ENTRIES)?,
            name_collisions: plain(&registry, "name_collisions_total", COLLISIONS)?,
            lessons: counters(&registry, "dns_answers_total", LESSONS, &["result"])?,
            learned: kinds(&registry, "learned_addresses", LEARNED)?,
            audited: counters(&registry, "policy_audit_hits_total", AUDITED, &["policy", "rule"])?,
            runtimes: Runtimes::new(&registry)?,
            kubernetes: Kubernetes::new(&registry)?,
            hooks: Hooks::new(&registry)?,
            node: NodeInfo::new(&registry)?,
            audited_rules: Arc::default(),
            seen: Arc::new(Mutex::new(vec![0; COUNTERS])),
            registry,
        };
        metrics.fill();
        metrics.about_this_process(started_unix_seconds)?;
        Ok(metrics)
    }

    /// Every series from the start, at zero: a rate over a series that appears late misses its
    /// first step.
    fn fill(&self) {
        for (reason, verdict) in outcomes() {
            self.packets.with_label_values(&[reason.label(), verdict.label()]);
        }
        let kinds = Loss::ALL.iter().map(|loss| loss.label()).chain(LOSS_KINDS);
        for kind in kinds.chain(lookups::LOSSES) {
            self.losses.with_label_values(&[kind]);
        }
        for kind in Kind::ALL {
            for verdict in Verdict::ALL {
                self.events.with_label_values(&[kind.label(), verdict.label()]);
            }
        }
        for kind in DecodeError::KINDS {
            self.decode_errors.with_label_values(&[kind]);
        }
        for lesson in Lesson::ALL {
            self.lessons.with_label_values(&[lesson.label()]);
        }
        self.set_learned(0, 0);
        self.set_feeds(Tally::default());
        for outcome in [Outcome::Destroyed, Outcome::NotFound, Outcome::Failed(String::new())] {
            self.countermeasure(&outcome, 0);
        }
    }

    fn about_this_process(&self, started_unix_seconds: f64) -> prometheus::Result<()> {
        let opts = Opts::new("sentinel_build_info", "1, with the agent's version as a label.");
        let build = register(&self.registry, IntGaugeVec::new(opts, &["version"])?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let start = Gauge::new(
            "process_start_time_seconds",
            "When the agent started, in seconds since the epoch.",
        )?;
        register(&self.registry, start)?.set(started_unix_seconds);
        Ok(())
    }

    /// Counts one thing.
    pub fn count(&self, count: &Count) {
        match count {
            Count::Event { kind, verdict } => {
                self.events.with_label_values(&[kind.label(), verdict.label()]).inc();
                self.attributed.event();
            }
            Count::Countermeasure(outcome) => self.countermeasure(outcome, 1),
            Count::Unattributed(why) => self.attributed.missing(*why),
            Count::UnattributedAtStart(why) => self.attributed.at_start(*why),
            Count::Suppressed => self.suppressed.inc(),
            Count::PendingOverflow => self.lost("pending"),
            Count::SurveyOverflow(left_out) => self.lost_many("survey", *left_out),
            Count::ProcessOverflow(left_out) => self.lost_many("process_table", *left_out),
            Count::LimiterOverflow => self.lost("limiter"),
            Count::NameCollision => self.name_collisions.inc(),
            Count::Hook { finding, result } => self.hooks.count(*finding, *result),
        }
    }

    fn countermeasure(&self, outcome: &Outcome, by: u64) {
        let labels = [Measure::SockDestroy.word(), outcome.result().word()];
        self.countermeasures.with_label_values(&labels).inc_by(by);
    }

    /// Counts several losses of userspace at once.
    pub fn lost_many(&self, kind: &'static str, count: u64) {
        self.losses.with_label_values(&[kind]).inc_by(count);
    }

    /// Connections that are followed for a score.
    pub fn set_followed(&self, connections: usize) {
        self.followed.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// Counts a loss of userspace: one of `journal`, `pending`, `limiter`, `queue`, `survey`, `detector`,
    /// `pods`, `process_table`, `kubernetes`.
    pub fn lost(&self, kind: &'static str) {
        self.lost_many(kind, 1);
    }

    /// What Kubernetes tells.
    #[must_use]
    pub const fn kubernetes(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// What happens to the hooks.
    #[must_use]
    pub const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Which machine this is.
    #[must_use]
    pub const fn node(&self) -> &NodeInfo {
        &self.node
    }

    /// What container runtimes tell.
    #[must_use]
    pub const fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// Counts a record that could not be read.
    pub fn decode_error(&self, error: &DecodeError) {
        self.decode_errors.with_label_values(&[error.kind()]).inc();
    }

    /// Events that wait.
    pub fn set_pending(&self, events: usize) {
        self.pending.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// The policy in force.
    pub fn set_generation(&self, generation: u32) {
        self.generation.set(i64::from(generation));
    }

    /// Counts a policy that was refused.
    pub fn policy_refused(&self) {
        self.load_failures.inc();
    }

    /// The signature set in force.
    pub fn set_signatures(&self, set: &SignatureFigures) {
        self.signature_set.set(i64::from(set.set));
        self.signature_states.set(i64::try_from(set.states).unwrap_or(i64::MAX));
        self.signature_rules.set(i64::try_from(set.rules).unwrap_or(i64::MAX));
    }

    /// Counts a signature set that was refused.
    pub fn signatures_refused(&self) {
        self.signature_failures.inc();
    }

    /// The feeds in force.
    pub fn set_feeds(&self, tally: Tally) {
        let Tally { domains, addresses, prefixes } = tally;
        for (kind, count) in [("domain", domains), ("address", addresses), ("prefix", prefixes)] {
            let gauge = self.feed_entries.with_label_values(&[kind]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Why the agent should not count as ready by what it could attribute, if it should not.
    #[must_use]
    pub fn unattributed(&self) -> Option<String> {
        self.attributed.failing()
    }

    /// Counts what a policy under audit would have blocked. `rule` may carry its place behind it, which
    /// is no label: it changes with every line that is added above.
    pub fn audited(&self, policy: &str, rule: &str, by: u64) {
        let rule = rule.split(" (").next().unwrap_or(rule);
        let rule = if rule == "no rule" { "default" } else { rule };
        let (known, pair) = (&self.audited_rules, (policy.to_owned(), rule.to_owned()));
        // A reload and an event at one moment may both be the last that there was room for.
        let labels = if known.contains(&pair) || known.len() < AUDITED_RULES {
            known.insert(pair);
            [policy, rule]
        } else {
            ["other", "other"]
        };
        self.audited.with_label_values(&labels).inc_by(by);
    }

    /// Has every policy under audit a series for its default and for each denial, from the start. In a cluster
    /// of many policies few are on a pod of this node: their series come with their first hit.
    pub fn set_audited(&self, set: &PolicySet, cap: Mode) {
        let audited = || set.policies.iter().filter(|it| it.mode.min(cap) == Mode::Audit);
        if audited().nth(FROM_THE_START).is_some() {
            return;
        }
        for policy in audited() {
            let name = policy.name.to_string();
            self.audited(&name, "no rule", 0);
            for rule in policy.rules.iter().filter(|rule| rule.list.ends_with("Deny")) {
                self.audited(&name, &rule.to_string(), 0);
            }
        }
    }

    /// Takes the kernel's totals over.
    pub fn set_kernel(&self, totals: &[u64]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut growth = |slot: u32| {
            let slot = usize::try_from(slot).unwrap_or(usize::MAX);
            let total = totals.get(slot).copied().unwrap_or_default();
            seen.get_mut(slot).map_or(0, |seen| {
                let growth = total.saturating_sub(*seen);
                *seen = total.max(*seen);
                growth
            })
        };
        for (reason, verdict) in outcomes() {
            let by = growth(outcome_counter(reason, verdict));
            self.packets.with_label_values(&[reason.label(), verdict.label()]).inc_by(by);
        }
        for lesson in Lesson::ALL {
            let by = growth(lesson_counter(*lesson));
            self.lessons.with_label_values(&[lesson.label()]).inc_by(by);
        }
        for loss in Loss::ALL {
            let by = growth(loss_counter(*loss));
            self.losses.with_label_values(&[loss.label()]).inc_by(by);
        }
    }

    /// What policies' names are known to lead to: pairs of address and pattern, and addresses that
    /// stand for more than one pattern.
    pub fn set_learned(&self, pairs: usize, shared: usize) {
        for (kind, count) in [("pair", pairs), ("shared", shared)] {
            let gauge = self.learned.with_label_values(&[kind]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!("metrics cannot be written out: {error}");
        }
        text
    }
}

fn outcomes() -> impl Iterator<Item = (Reason, Verdict)> {
    Reason::ALL.iter().flat_map(|reason| Verdict::ALL.iter().map(|verdict| (*reason, *verdict)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_totals_become_counters_that_only_grow() {
        let metrics = Metrics::new(0.0).unwrap();
        let mut totals = vec![0; COUNTERS];
        let slot = outcome_counter(Reason::Stratum, Verdict::Blocked) as usize;
        totals[slot] = 5;
        totals[loss_counter(Loss::Event) as usize] = 2;
        metrics.set_kernel(&totals);
        metrics.set_kernel(&totals);
        totals[slot] = 7;
        metrics.set_kernel(&totals);
        let text = metrics.render();
        assert!(
            text.contains("sentinel_packets_total{reason=\"stratum\",verdict=\"blocked\"} 7\n")
        );
        assert!(text.contains("sentinel_losses_total{kind=\"event\"} 2\n"));
        assert!(text.contains("sentinel_losses_total{kind=\"journal\"} 0\n"));
    }

    #[test]
    fn rules_under_audit_have_a_bounded_number_of_series() {
        let metrics = Metrics::new(0.0).unwrap();
        for number in 0..AUDITED_RULES + 5 {
            metrics.audited("web", &format!("egressDeny[{number}] (p.yaml:{number})"), 1);
        }
        metrics.audited("web", "egressDeny[1] (p.yaml:9)", 1);
        let text = metrics.render();
        let series = "sentinel_policy_audit_hits_total{policy=\"web\",rule=\"egressDeny[1]\"} 2\n";
        assert!(text.contains(series));
        let other = "sentinel_policy_audit_hits_total{policy=\"other\",rule=\"other\"} 5\n";
        assert!(text.contains(other));
    }

    #[test]
    fn many_policies_have_no_series_before_their_first_hit() {
        let set = |count: usize| {
            let document = |number: usize| {
                format!(
                    "---\napiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: p{number}}}\n\
                     spec: {{workload: {{cgroup: /x}}, mode: audit, egress: []}}\n"
                )
            };
            let text = (0..count).map(document).collect();
            let source = crate::policy::Source { name: "p.yaml".to_owned(), text };
            crate::policy::compile(&[source], time::OffsetDateTime::UNIX_EPOCH).unwrap()
        };
        for (count, series) in [(FROM_THE_START, FROM_THE_START), (FROM_THE_START + 1, 0)] {
            let metrics = Metrics::new(0.0).unwrap();
            metrics.set_audited(&set(count), Mode::Audit);
            let text = metrics.render();
            let lines = text.lines().filter(|line| line.starts_with("sentinel_policy_audit_hits"));
            assert_eq!(lines.count(), series);
        }
    }

    #[test]
    fn short_totals_of_another_kernel_object_do_no_harm() {
        let metrics = Metrics::new(1.5).unwrap();
        metrics.set_kernel(&[1]);
        assert!(metrics.render().contains("process_start_time_seconds 1.5\n"));
    }
}
