//! To a NetworkPolicy.

use serde_saphyr::Spanned;

use super::objects::{
    Block, Labels, Metadata, NetworkEgress, NetworkIngress, NetworkPort, NetworkSpec, Object, Peer,
};
use super::{Losses, Ports, Said, blocks, ports};
use crate::policy::model::{EgressRule, IngressRule, Port};
use crate::policy::parse::Parsed;

/// What `ANY` with a port stands for.
const ANY: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// `None` where nothing of it can be said.
pub(super) fn object(parsed: &Parsed<'_>, losses: &mut Losses<'_>) -> Option<Object<NetworkSpec>> {
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
    for (key, rules) in [
        ("egressDeny", spec.egress_deny.as_ref().map(Vec::len)),
        ("ingressDeny", spec.ingress_deny.as_ref().map(Vec::len)),
    ] {
        if rules.is_some_and(|rules| rules > 0) {
            losses.whole(format!("{key} cannot be said: a NetworkPolicy only allows"));
        }
    }
    if spec.egress.is_none() && spec.ingress.is_none() {
        losses.whole("left out: nothing of it is about what a NetworkPolicy allows");
        return None;
    }
    let egress = spec.egress.as_ref();
    let egress =
        egress.map(|rules| rules.iter().filter_map(|rule| out(rule, losses)).collect::<Vec<_>>());
    let ingress = spec.ingress.as_ref();
    let ingress =
        ingress.map(|rules| rules.iter().filter_map(|rule| into(rule, losses)).collect::<Vec<_>>());
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

fn out(rule: &EgressRule, losses: &mut Losses<'_>) -> Option<NetworkEgress> {
    for name in &rule.to_fqdns {
        losses.at(name, format!("the name {} cannot be said and is left out", name.value));
    }
    let (to, ports) = sides(&rule.to_cidrs, &rule.except, rule.ports.as_deref(), losses)?;
    Some(NetworkEgress { to, ports })
}

fn into(rule: &IngressRule, losses: &mut Losses<'_>) -> Option<NetworkIngress> {
    let (from, ports) = sides(&rule.from_cidrs, &rule.except, rule.ports.as_deref(), losses)?;
    Some(NetworkIngress { from, ports })
}

/// `None` where nothing is left: a list without an entry would mean everything.
fn sides(
    cidrs: &[Spanned<String>],
    except: &[Spanned<String>],
    written: Option<&[Port]>,
    losses: &mut Losses<'_>,
) -> Option<(Vec<Peer>, Vec<NetworkPort>)> {
    let blocks = blocks(cidrs, except).into_iter();
    let peers: Vec<Peer> =
        blocks.map(|(cidr, except)| Peer { ip_block: Block { cidr, except } }).collect();
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
