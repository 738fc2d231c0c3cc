//! To a NetworkPolicy.

use serde_saphyr::Spanned;

use super::objects::{
    Block, Labels, Metadata, NetworkEgress, NetworkIngress, NetworkPort, NetworkSpec, Object, Peer,
};
use super::{Losses, Ports, Said, blocks, ports};
use crate::policy::model::{EgressRule, IngressRule, LabelSelector, PeerSelector, Port};
use crate::policy::parse::Parsed;

/// What `ANY` with a port stands for.
const ANY: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// `None` where nothing of it can be said.
pub(super) fn object(parsed: &Parsed, losses: &mut Losses<'_>) -> Option<Object<NetworkSpec>> {
    let document = &parsed.document;
    let spec = &document.spec;
    let workload = spec.workload.as_ref().map(|workload| &workload.value);
    let Some(namespace) = &document.metadata.namespace else {
        losses.whole("left out: a NetworkPolicy is of one namespace: give it metadata.namespace");
        return None;
    };
    if workload.is_some_and(|workload| workload.namespace_selector.is_some()) {
        losses.whole("left out: a NetworkPolicy cannot select namespaces");
        return None;
    }
    for selector in spec.egress_deny.iter().flatten().filter_map(|rule| rule.to_workloads.as_ref())
    {
        losses.at(
            selector,
            "egressDeny of pods cannot be said: the object ALLOWS MORE where this policy allows them",
        );
    }
    let denied = spec.egress_deny.iter().flatten();
    let denied = denied.map(|rule| (&rule.to_cidrs, &rule.except, rule.ports.is_none()));
    let not_to = holes("egressDeny", denied, losses);
    let denied = spec.ingress_deny.iter().flatten();
    let denied = denied.map(|rule| (&rule.from_cidrs, &rule.except, rule.ports.is_none()));
    let not_from = holes("ingressDeny", denied, losses);
    if spec.egress.is_none() && spec.ingress.is_none() {
        losses.whole("left out: nothing of it is about what a NetworkPolicy allows");
        return None;
    }
    let egress = spec.egress.as_ref();
    let egress = egress.map(|rules| {
        rules.iter().filter_map(|rule| out(rule, &not_to, losses)).collect::<Vec<_>>()
    });
    let ingress = spec.ingress.as_ref();
    let ingress = ingress.map(|rules| {
        rules.iter().filter_map(|rule| into(rule, &not_from, losses)).collect::<Vec<_>>()
    });
    let types = [("Egress", egress.is_some()), ("Ingress", ingress.is_some())];
    let labels = workload.and_then(|workload| workload.pod_selector.as_ref());
    Some(Object {
        api_version: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: Metadata {
            name: document.metadata.name.value.clone(),
            namespace: Some(namespace.value.clone()),
        },
        spec: NetworkSpec {
            pod_selector: Labels {
                match_labels: labels.map(|it| it.match_labels.clone()).unwrap_or_default(),
            },
            policy_types: types.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect(),
            egress,
            ingress,
        },
    })
}

fn out(
    rule: &EgressRule,
    denied: &[Spanned<String>],
    losses: &mut Losses<'_>,
) -> Option<NetworkEgress> {
    for name in &rule.to_fqdns {
        losses.at(name, format!("the name {} cannot be said and is left out", name.value));
    }
    let workloads = rule.to_workloads.as_ref().map(|selector| {
        if !denied.is_empty() {
            let what =
                "what egressDeny takes away of these pods cannot be said: the object ALLOWS MORE";
            losses.at(selector, what);
        }
        let labels = |labels: &LabelSelector| Labels { match_labels: labels.match_labels.clone() };
        let PeerSelector { pod_selector, namespace_selector } = &selector.value;
        Peer {
            pod_selector: pod_selector.as_ref().map(labels),
            namespace_selector: namespace_selector.as_ref().map(labels),
            ..Peer::default()
        }
    });
    let except = joined(&rule.except, denied);
    let (to, ports) = sides(&rule.to_cidrs, &except, workloads, rule.ports.as_deref(), losses)?;
    Some(NetworkEgress { to, ports })
}

fn into(
    rule: &IngressRule,
    denied: &[Spanned<String>],
    losses: &mut Losses<'_>,
) -> Option<NetworkIngress> {
    let (from, ports) = sides(
        &rule.from_cidrs,
        &joined(&rule.except, denied),
        None,
        rule.ports.as_deref(),
        losses,
    )?;
    Some(NetworkIngress { from, ports })
}

/// A NetworkPolicy only allows: what is denied on every port becomes an exception of what this policy
/// allows, and what is denied on some ports is lost.
fn holes<'a>(
    key: &str,
    denied: impl Iterator<Item = (&'a Vec<Spanned<String>>, &'a Vec<Spanned<String>>, bool)>,
    losses: &mut Losses<'_>,
) -> Vec<Spanned<String>> {
    let mut holes = Vec::new();
    for (cidrs, except, every_port) in denied {
        let Some(first) = cidrs.first() else { continue };
        if every_port && except.is_empty() {
            losses.at(
                first,
                format!("{key} is only left out of what this policy allows: another may allow it"),
            );
            holes.extend(cidrs.iter().cloned());
        } else {
            let what = format!(
                "{key} with ports or exceptions cannot be said: the object ALLOWS MORE where this policy allows it"
            );
            losses.at(first, what);
        }
    }
    holes
}

fn joined(one: &[Spanned<String>], other: &[Spanned<String>]) -> Vec<Spanned<String>> {
    one.iter().chain(other).cloned().collect()
}

/// `None` where nothing is left: a list without an entry would mean everything.
fn sides(
    cidrs: &[Spanned<String>],
    except: &[Spanned<String>],
    workloads: Option<Peer>,
    written: Option<&[Port]>,
    losses: &mut Losses<'_>,
) -> Option<(Vec<Peer>, Vec<NetworkPort>)> {
    let blocks = blocks(cidrs, except).into_iter();
    let block = |(cidr, except)| Some(Block { cidr, except });
    let peers = blocks.map(|one| Peer { ip_block: block(one), ..Peer::default() });
    let peers: Vec<Peer> = peers.chain(workloads).collect();
    let ports = match ports(written, &ANY, losses) {
        Said::Nothing => return None,
        Said::Everything => Vec::new(),
        Said::Ports(ports) => ports.into_iter().map(port).collect(),
    };
    (!peers.is_empty()).then_some((peers, ports))
}

fn port(ports: Ports) -> NetworkPort {
    let Ports { protocol, first, last } = ports;
    NetworkPort { protocol, port: first, end_port: last.filter(|last| Some(*last) != first) }
}
