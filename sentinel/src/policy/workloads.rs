//! Rules on workloads to the addresses that these have now.

use std::sync::Arc;

use sentinel_common::address;
use sentinel_common::policy::{ANY_PORT, PortRange};
use serde_saphyr::{Location, Spanned};

use super::diagnostic::Diagnostic;
use super::model::{PeerSelector, Spec};
use super::prefix::Prefix;
use super::rule::{Front, Resolved};
use super::selector::holds;
use crate::attribution::peers::{FrontPort, Peer};

/// Adds where the selected pods are, and the services before them.
pub(super) fn add(
    rule: &mut Resolved<'_>,
    selector: &Spanned<PeerSelector>,
    peers: &[Arc<Peer>],
    findings: &mut Vec<Diagnostic>,
) {
    let PeerSelector { pod_selector, namespace_selector } = &selector.value;
    if pod_selector.is_none() && namespace_selector.is_none() {
        let message = "toWorkloads selects nobody".to_owned();
        let help = "write podSelector: {matchLabels: ...}, or podSelector: {} for every pod";
        findings.push(rule.parsed.finding(selector, message, Some(help.to_owned())));
    }
    let own = rule.parsed.document.metadata.namespace.as_ref().map(|own| own.value.as_str());
    let place = selector.referenced;
    for peer in peers.iter().filter(|peer| selects(&selector.value, own, peer)) {
        let to: Vec<(Prefix, Location)> = peer
            .addresses
            .iter()
            .map(|address| (Prefix::of(&address::of(*address), 128), place))
            .collect();
        match &peer.front {
            None => rule.to.extend(to),
            Some(ports) => {
                let ranges = rule.ranges.iter().flat_map(|range| before(range, ports)).collect();
                rule.fronts.push(Front { to, ranges });
            }
        }
    }
}

/// Whom a policy's rules on workloads mean, whoever is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meant {
    selectors: Vec<PeerSelector>,
}

impl Meant {
    /// By the rules of a policy.
    pub(super) fn of(spec: &Spec) -> Self {
        let rules = spec.egress.iter().chain(&spec.egress_deny).flatten();
        let selectors = rules.filter_map(|rule| rule.to_workloads.as_ref());
        Self { selectors: selectors.map(|rule| rule.value.clone()).collect() }
    }

    /// Whether there are such rules: they mean other addresses when pods come and go.
    pub(super) const fn is_anybody(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// Whether this one is meant, in a policy of this namespace.
    #[must_use]
    pub fn is(&self, own: Option<&str>, peer: &Peer) -> bool {
        self.selectors.iter().any(|selector| selects(selector, own, peer))
    }
}

/// As a NetworkPolicy does; `own` is the policy's namespace.
fn selects(selector: &PeerSelector, own: Option<&str>, peer: &Peer) -> bool {
    let namespace = match (&selector.namespace_selector, own) {
        (Some(labels), _) => holds(labels, &peer.namespace_labels),
        (None, Some(own)) => peer.namespace == own,
        (None, None) => true,
    };
    namespace && selector.pod_selector.as_ref().is_none_or(|labels| holds(labels, &peer.labels))
}

/// What a range of the pods' ports is at a service before them: a client that goes there names the
/// service's ports.
fn before(range: &PortRange, ports: &[FrontPort]) -> Vec<PortRange> {
    if range.flags & ANY_PORT != 0 {
        return vec![*range];
    }
    let reached = ports.iter().filter(|lead| {
        (range.protocol == 0 || range.protocol == lead.protocol)
            && (range.first..=range.last).contains(&lead.target)
    });
    let at = |lead: &FrontPort| PortRange {
        first: lead.port,
        last: lead.port,
        protocol: lead.protocol,
        ..*range
    };
    reached.map(at).collect()
}
