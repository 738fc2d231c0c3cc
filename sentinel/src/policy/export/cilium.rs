//! To a CiliumNetworkPolicy, or the one for the whole cluster.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::objects::{
    Block, CiliumPort, CiliumPorts, CiliumRule, CiliumSpec, DefaultDeny, Fqdn, Labels, Metadata,
    Object,
};
use super::{Losses, Ports, Said, blocks, ports};
use crate::policy::model::{EgressRule, IngressRule, PeerSelector, Port};
use crate::policy::parse::Parsed;

/// Ports that one entry takes.
const PORTS: usize = 40;
/// What `ANY` with a port stands for.
const ANY: [&str; 1] = ["ANY"];
/// How a pod's namespace is called among its labels.
const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";
/// How a pod's namespace's labels are called among its own.
const NAMESPACE_LABEL: &str = "k8s:io.cilium.k8s.namespace.labels.";

/// `None` where nothing of it can be said.
pub(super) fn object(parsed: &Parsed, losses: &mut Losses<'_>) -> Option<Object<CiliumSpec>> {
    let document = &parsed.document;
    let spec = &document.spec;
    let (egress, egress_deny) = (spec.egress.as_deref(), spec.egress_deny.as_deref());
    let (ingress, ingress_deny) = (spec.ingress.as_deref(), spec.ingress_deny.as_deref());
    let names = egress.into_iter().flatten().flat_map(|rule| &rule.to_fqdns);
    if let Some(name) = names.clone().next() {
        losses.at(name, "toFQDNs need a rule that shows Cilium your resolver's answers: add one (toPorts.rules.dns)");
    }
    let open =
        [egress_deny.is_some() && egress.is_none(), ingress_deny.is_some() && ingress.is_none()];
    let [open_egress, open_ingress] = open.map(|is_open| is_open.then_some(false));
    let default_deny = DefaultDeny { egress: open_egress, ingress: open_ingress };
    let has_any =
        [egress.is_some(), egress_deny.is_some(), ingress.is_some(), ingress_deny.is_some()];
    if !has_any.contains(&true) {
        losses.whole("left out: nothing of it is about connections");
        return None;
    }
    let namespace = document.metadata.namespace.as_ref();
    let own = namespace.map(|namespace| namespace.value.as_str());
    if namespace.is_none() && spec.workload.is_none() {
        losses.whole("processes of the host are not selected: only pods are");
    }
    losses.whole(
        "addresses of pods that Cilium manages are not matched by CIDRs: name those pods by labels",
    );
    let kind =
        if namespace.is_some() { "CiliumNetworkPolicy" } else { "CiliumClusterwideNetworkPolicy" };
    Some(Object {
        api_version: "cilium.io/v2",
        kind,
        metadata: Metadata {
            name: document.metadata.name.value.clone(),
            namespace: namespace.map(|namespace| namespace.value.clone()),
        },
        spec: CiliumSpec {
            endpoint_selector: labels(parsed),
            enable_default_deny: open.contains(&true).then_some(default_deny),
            egress: egress.map(|rules| {
                or_nothing(rules.iter().flat_map(|rule| out(rule, own, losses)).collect())
            }),
            egress_deny: denied(
                egress_deny
                    .map(|rules| rules.iter().flat_map(|rule| out(rule, own, losses)).collect()),
            ),
            ingress: ingress.map(|rules| {
                or_nothing(rules.iter().filter_map(|rule| into(rule, losses)).collect())
            }),
            ingress_deny: denied(
                ingress_deny
                    .map(|rules| rules.iter().filter_map(|rule| into(rule, losses)).collect()),
            ),
        },
    })
}

fn labels(parsed: &Parsed) -> Labels {
    let mut match_labels = BTreeMap::new();
    let workload = parsed.document.spec.workload.as_ref().map(|workload| &workload.value);
    let pods = workload.and_then(|workload| workload.pod_selector.as_ref());
    for (key, value) in pods.into_iter().flat_map(|pods| &pods.match_labels) {
        match_labels.insert(key.clone(), value.clone());
    }
    let around = workload.and_then(|workload| workload.namespace_selector.as_ref());
    for (key, value) in around.into_iter().flat_map(|around| &around.match_labels) {
        match_labels.insert(format!("{NAMESPACE_LABEL}{key}"), value.clone());
    }
    Labels { match_labels }
}

/// A list without an entry is no list to Cilium: one entry that names nobody allows nothing.
fn or_nothing(rules: Vec<CiliumRule>) -> Vec<CiliumRule> {
    if rules.is_empty() { vec![CiliumRule::default()] } else { rules }
}

/// A denial that names nobody would deny everything.
fn denied(rules: Option<Vec<CiliumRule>>) -> Option<Vec<CiliumRule>> {
    rules.filter(|rules| !rules.is_empty())
}

/// Names and addresses cannot stand in one rule.
fn out(rule: &EgressRule, own: Option<&str>, losses: &mut Losses<'_>) -> Vec<CiliumRule> {
    let Some(to_ports) = to_ports(rule.ports.as_deref(), losses) else { return Vec::new() };
    if let (true, Some(name)) = (rule.allow_private_addresses, rule.to_fqdns.first()) {
        losses.at(name, "allowPrivateAddresses cannot be said: Cilium takes answers of any range");
    } else if let Some(name) = rule.to_fqdns.first() {
        losses.at(name, "answers in private ranges are not refused: Cilium takes any");
    }
    if let Some(required) = rule.require_server_name.as_ref().filter(|it| it.value) {
        losses.at(
            required,
            "requireServerName is left out: Cilium has serverNames, which need its proxy",
        );
    }
    let mut rules = Vec::new();
    let to_cidr_set = set(&rule.to_cidrs, &rule.except);
    if !to_cidr_set.is_empty() {
        rules.push(CiliumRule { to_cidr_set, to_ports: to_ports.clone(), ..CiliumRule::default() });
    }
    if let Some(selector) = &rule.to_workloads {
        let to_endpoints = vec![endpoints(&selector.value, own)];
        let to_ports = to_ports.clone();
        rules.push(CiliumRule { to_endpoints, to_ports, ..CiliumRule::default() });
    }
    let to_fqdns: Vec<Fqdn> = rule.to_fqdns.iter().map(|name| fqdn(name, losses)).collect();
    if !to_fqdns.is_empty() {
        rules.push(CiliumRule { to_fqdns, to_ports, ..CiliumRule::default() });
    }
    rules
}

/// Of another namespace than the policy's own Cilium wants to be told.
fn endpoints(selector: &PeerSelector, own: Option<&str>) -> Labels {
    let pods = selector.pod_selector.iter().flat_map(|pods| &pods.match_labels);
    let mut match_labels: BTreeMap<String, String> =
        pods.map(|(key, value)| (key.clone(), value.clone())).collect();
    let around = selector.namespace_selector.iter().flat_map(|around| &around.match_labels);
    match_labels
        .extend(around.map(|(key, value)| (format!("{NAMESPACE_LABEL}{key}"), value.clone())));
    if let (Some(own), None) = (own, &selector.namespace_selector) {
        match_labels.insert(NAMESPACE.to_owned(), own.to_owned());
    }
    Labels { match_labels }
}

fn into(rule: &IngressRule, losses: &mut Losses<'_>) -> Option<CiliumRule> {
    let to_ports = to_ports(rule.ports.as_deref(), losses)?;
    let from_cidr_set = set(&rule.from_cidrs, &rule.except);
    let is_any = !from_cidr_set.is_empty();
    is_any.then(|| CiliumRule { from_cidr_set, to_ports, ..CiliumRule::default() })
}

fn set(cidrs: &[Spanned<String>], except: &[Spanned<String>]) -> Vec<Block> {
    blocks(cidrs, except).into_iter().map(|(cidr, except)| Block { cidr, except }).collect()
}

fn fqdn(name: &Spanned<String>, losses: &mut Losses<'_>) -> Fqdn {
    let text = name.value.trim_end_matches('.').to_ascii_lowercase();
    if text.starts_with("*.") {
        losses.at(name, format!("{text}: a star of Cilium's may end at a dot, names further below are not allowed then"));
        return Fqdn::MatchPattern(text);
    }
    Fqdn::MatchName(text)
}

/// `None` where nothing can be said of them; none at all are every port.
fn to_ports(written: Option<&[Port]>, losses: &mut Losses<'_>) -> Option<Vec<CiliumPorts>> {
    let ports = match ports(written, &ANY, losses) {
        Said::Nothing => return None,
        Said::Everything => return Some(Vec::new()),
        Said::Ports(ports) => ports.into_iter().map(port).collect::<Vec<_>>(),
    };
    Some(ports.chunks(PORTS).map(|ports| CiliumPorts { ports: ports.to_vec() }).collect())
}

fn port(ports: Ports) -> CiliumPort {
    let Ports { protocol, first, last } = ports;
    CiliumPort {
        port: first.unwrap_or_default().to_string(),
        end_port: last.filter(|last| Some(*last) != first),
        protocol,
    }
}
