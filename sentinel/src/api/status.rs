//! `GET /status`: the agent at a glance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use sentinel_common::verdict::{Loss, Reason, Verdict, loss_counter, outcome_counter};
use serde::Serialize;

use super::{Attached, InForce, NodeFigures, Shared};
use crate::audit::{Cut, OfPolicy, Report};
use crate::datapath::Attachment;
use crate::datapath::pin::{self, Pinned};
use crate::event::hook::Other;
use crate::event::line::SignatureFigures;
use crate::feed::Feed;
use crate::watch::wires::Coverage;

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
    /// What a connection that behaves like a miner's leads to.
    pub encrypted_mining: &'static str,
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
    /// The policies in force, one by one.
    pub in_force: Vec<InForce>,
    /// What was wrong with the last policy, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    /// What whoever runs it should know of settings, policies and this host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The signature set.
    pub signatures: SignatureFigures,
    /// What was wrong with the last signatures, when they were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_error: Option<String>,
    /// What each policy under audit would have blocked.
    pub audited: Vec<Audited>,
    /// What is attached.
    pub programs: Vec<Attachment>,
    /// What is wrong with the hooks: nothing is judged there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken_hooks: Vec<String>,
    /// Programs of others on the same hooks of the same cgroup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_programs: Vec<Other>,
    /// What stays in the kernel when the agent goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// Where an agent before has pinned what judges as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<PathBuf>,
    /// What is known of the names that policies allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<LearnedFigures>,
    /// The container runtimes that are asked which pods there are.
    pub runtimes: Vec<RuntimeFigures>,
    /// The Kubernetes API server, where it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesFigures>,
    /// Which machine this is.
    pub node: NodeFigures,
    /// What was open at the start, once it has been looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_start: Option<AtStart>,
    /// How far workloads are judged, by network namespace.
    pub coverage: Vec<Coverage>,
    /// Packets and calls, by reason and verdict; pairs that never happened are left out.
    pub packets: Vec<Outcomes>,
    /// Kernel losses by kind; those that never happened are left out.
    pub losses: BTreeMap<&'static str, u64>,
}

/// The connections that were open when the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AtStart {
    /// Those that this host opened.
    pub connections: usize,
    /// Addresses they lead to.
    pub addresses: usize,
    /// Processes that hold them.
    pub processes: usize,
    /// Those for which no process was found.
    pub unattributed: usize,
    /// Those that would not be allowed today.
    pub not_allowed: usize,
    /// TCP connections, of either direction, that are read from their next packet on.
    pub resumed: usize,
    /// TCP connections that could not be taken up, whatever was said on them before.
    pub not_resumed: usize,
    /// Connections that there was no room to list.
    pub left_out: usize,
}

/// What a policy under audit would have blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// Its name.
    pub policy: String,
    /// Events.
    pub hits: u64,
    /// Since when they are counted, RFC 3339.
    pub since: String,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Cut>,
}

fn audited(shared: &Shared) -> Vec<Audited> {
    let Report { since, policies } = shared.audits().report();
    let of = |of: OfPolicy| Audited {
        policy: of.policy,
        hits: of.hits,
        since: since.clone(),
        last: of.cuts.into_iter().max_by(|one, other| one.last.cmp(&other.last)),
    };
    policies.into_iter().map(of).collect()
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
        let Attached { programs, cgroup, generation, pinned } = shared.attached();
        let totals = shared.refresh();
        let not_ready = shared.not_ready();
        let left_behind = pin::left_behind(pinned.as_ref().map(|own| own.folder.as_path()));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: about.started,
            ready: not_ready.is_none(),
            not_ready,
            cgroup,
            mode: about.mode.label(),
            stratum: about.stratum.label(),
            encrypted_mining: about.encrypted_mining.label(),
            egress: about.egress.label(),
            names: about.names.label(),
            feeds: about.feeds,
            generation,
            policies: about.policies,
            prefixes: about.prefixes,
            in_force: about.in_force,
            policy_error: about.policy_error,
            warnings: about.warnings,
            signatures: about.signatures,
            signature_error: about.signature_error,
            audited: audited(shared),
            programs,
            broken_hooks: about.hooks.broken,
            other_programs: about.hooks.others,
            pinned,
            left_behind,
            learned: about.learned,
            runtimes: about.runtimes,
            kubernetes: about.kubernetes,
            node: shared.node().figures(),
            at_start: about.at_start,
            coverage: about.coverage,
            packets: packets(&totals),
            losses: losses(&totals),
        }
    }
}

/// What is wrong with the hooks, and who else is on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookFigures {
    /// What is not where it was put, and cannot be put back.
    pub broken: Vec<String>,
    /// Programs of others.
    pub others: Vec<Other>,
}

/// A container runtime that is asked which pods there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuntimeFigures {
    /// Its socket.
    pub socket: String,
    /// `answers`, `fails` (what it told last still counts) or `absent`.
    pub state: &'static str,
    /// Its name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Pods that are there.
    pub pods: usize,
    /// Containers that are there.
    pub containers: usize,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The Kubernetes API server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KubernetesFigures {
    /// The name that it knows this node by.
    pub node: String,
    /// `asked`, `answers` or `degraded`: of what is in `errors`, what it told last counts.
    pub state: &'static str,
    /// Pods of this node.
    pub pods: usize,
    /// Namespaces.
    pub namespaces: usize,
    /// Addresses of services and of the ends behind them.
    pub service_addresses: usize,
    /// Policies that are objects.
    pub policies: usize,
    /// Those of them that are refused, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_policies: BTreeMap<String, String>,
    /// Why it does not answer, by what is asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<&'static str, String>,
}

/// What is known of the names that policies allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LearnedFigures {
    /// Whose answers are believed.
    pub resolvers: Vec<IpAddr>,
    /// Pairs of address and pattern.
    pub pairs: usize,
    /// Addresses that stand for more than one pattern, the first few.
    pub shared: Vec<IpAddr>,
    /// How many there are.
    pub shared_count: usize,
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
