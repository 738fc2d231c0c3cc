//! `GET /status`: the agent at a glance.

use std::collections::BTreeMap;

use sentinel_common::verdict::{Loss, Reason, Verdict, loss_counter, outcome_counter};
use serde::Serialize;

use super::Shared;
use crate::datapath::Attachment;
use crate::feed::Feed;

/// The agent at a glance.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The agent's version.
    pub version: &'static str,
    /// Its process id.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// Whether it sees and judges everything it should.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// The cgroup2 folder it is attached to.
    pub cgroup: String,
    /// The most that is done about anything: `audit` or `enforce`.
    pub mode: &'static str,
    /// What a mining-pool message leads to.
    pub stratum: &'static str,
    /// What a destination outside the allowlist leads to.
    pub egress: &'static str,
    /// What a mining pool's name or address leads to.
    pub names: &'static str,
    /// Lists of mining pools.
    pub feeds: Vec<Feed>,
    /// Number of the policy in force.
    pub generation: u32,
    /// Policy files.
    pub policies: Vec<String>,
    /// Prefixes in the allowlist.
    pub prefixes: usize,
    /// What was wrong with the last policy, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    /// Dialects that are looked for.
    pub dialects: usize,
    /// Signature rules.
    pub signature_rules: usize,
    /// What is attached.
    pub programs: Vec<Attachment>,
    /// Packets and calls, by reason and verdict; pairs that never happened are left out.
    pub packets: Vec<Outcomes>,
    /// Kernel losses by kind; those that never happened are left out.
    pub losses: BTreeMap<&'static str, u64>,
}

/// Packets and calls with one outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Outcomes {
    /// Why.
    pub reason: &'static str,
    /// What was done.
    pub verdict: &'static str,
    /// How many.
    pub count: u64,
}

impl Status {
    /// As of now.
    #[must_use]
    pub fn of(shared: &Shared) -> Self {
        let about = shared.about();
        let (programs, cgroup, generation) = shared.attached();
        let totals = shared.refresh();
        let not_ready = shared.not_ready();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: about.started,
            ready: not_ready.is_none(),
            not_ready,
            cgroup,
            mode: about.mode.label(),
            stratum: about.stratum.label(),
            egress: about.egress.label(),
            names: about.names.label(),
            feeds: about.feeds,
            generation,
            policies: about.policies,
            prefixes: about.prefixes,
            policy_error: about.policy_error,
            dialects: about.signatures.dialects,
            signature_rules: about.signatures.rules,
            programs,
            packets: packets(&totals),
            losses: losses(&totals),
        }
    }
}

/// What happened at all, from the kernel's totals.
pub(crate) fn packets(totals: &[u64]) -> Vec<Outcomes> {
    let pairs = Reason::ALL
        .iter()
        .flat_map(|reason| Verdict::ALL.iter().map(|verdict| (*reason, *verdict)));
    let counted = pairs.map(|(reason, verdict)| Outcomes {
        reason: reason.label(),
        verdict: verdict.label(),
        count: slot(totals, outcome_counter(reason, verdict)),
    });
    counted.filter(|outcomes| outcomes.count > 0).collect()
}

pub(crate) fn losses(totals: &[u64]) -> BTreeMap<&'static str, u64> {
    let counted = Loss::ALL.iter().map(|loss| (loss.label(), slot(totals, loss_counter(*loss))));
    counted.filter(|(_, count)| *count > 0).collect()
}

fn slot(totals: &[u64], index: u32) -> u64 {
    usize::try_from(index).ok().and_then(|index| totals.get(index)).copied().unwrap_or_default()
}
