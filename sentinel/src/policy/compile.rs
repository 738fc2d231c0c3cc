//! One document to a policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_common::policy::MAX_RULES;
use sentinel_common::verdict::Mode;
use serde_saphyr::Spanned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::diagnostic::Diagnostic;
use super::encrypted_dns;
use super::fqdn::Pattern;
use super::model::{EncryptedDns, PolicyMode, Spec, Stratum, Unknown};
use super::parse::{CLUSTER, Parsed};
use super::rule::{self, Place, Resolved};
use super::selector::{Glob, Selector};
use super::set::{Policy, PolicyName, Ways};
use super::spread::{contains, pack, spread};
use super::trie::Trie;
use super::workloads::Meant;
use crate::attribution::peers::Peer;

pub(super) fn name(parsed: &Parsed) -> PolicyName {
    let metadata = &parsed.document.metadata;
    PolicyName {
        namespace: metadata.namespace.as_ref().map(|namespace| namespace.value.clone()),
        name: metadata.name.value.clone(),
    }
}

pub(super) fn policy(
    parsed: &Parsed,
    peers: &[Arc<Peer>],
    findings: &mut Vec<Diagnostic>,
) -> Policy {
    let spec = &parsed.document.spec;
    let rules = rules(parsed, peers, findings);
    let lists = [
        ("egress", spec.egress.is_some()),
        ("egressDeny", spec.egress_deny.is_some()),
        ("ingress", spec.ingress.is_some()),
        ("ingressDeny", spec.ingress_deny.is_some()),
        (encrypted_dns::LIST, denies_encrypted_dns(spec).is_some()),
    ];
    if let (None, Some((list, _))) = (&spec.mode, lists.iter().find(|(_, is_there)| *is_there)) {
        let message = format!("{list} needs a mode beside it");
        let help = "write mode: audit to watch first, mode: enforce to block".to_owned();
        findings.push(parsed.finding(&parsed.document.metadata.name, message, Some(help)));
    }
    let Ways { egress, ingress } = &rules;
    let mut names: BTreeMap<Pattern, Vec<_>> = BTreeMap::new();
    let mut private = Vec::new();
    for rule in egress {
        for pattern in &rule.names {
            let ranges = names.entry(pattern.clone()).or_default();
            for range in &rule.ranges {
                if !ranges.iter().any(|earlier| contains(earlier, range)) {
                    ranges.push(*range);
                }
            }
            private.extend(rule.private.then(|| pattern.clone()));
        }
    }
    Policy {
        name: name(parsed),
        file: parsed.file.to_string(),
        line: u32::try_from(parsed.document.metadata.name.referenced.line()).unwrap_or(u32::MAX),
        selector: selector(parsed, findings),
        mode: match spec.mode.as_ref().map(|mode| mode.value) {
            Some(PolicyMode::Enforce) => Mode::Enforce,
            Some(PolicyMode::Audit) => Mode::Audit,
            None => Mode::Off,
        },
        stratum: spec.stratum.as_ref().map(|stratum| match stratum.value {
            Stratum::Off => Mode::Off,
            Stratum::Alert => Mode::Audit,
            Stratum::Block => Mode::Enforce,
        }),
        closed: spec.unknown_workloads.as_ref().is_some_and(|it| it.value == Unknown::Closed),
        expires: expires(parsed, findings),
        isolates: Ways { egress: spec.egress.is_some(), ingress: spec.ingress.is_some() },
        prefixes: Ways {
            egress: Trie::new(spread(egress, findings)),
            ingress: Trie::new(spread(ingress, findings)),
        },
        names: names.into_iter().map(|(pattern, ranges)| (pattern, pack(ranges))).collect(),
        private,
        workloads: Meant::of(spec),
        rules: egress.iter().chain(ingress).map(|rule| rule.source.clone()).collect(),
    }
}

/// The rules of a policy, numbered through.
fn rules<'a>(
    parsed: &'a Parsed,
    peers: &[Arc<Peer>],
    findings: &mut Vec<Diagnostic>,
) -> Ways<Vec<Resolved<'a>>> {
    let Spec { egress, egress_deny, ingress, ingress_deny, .. } = &parsed.document.spec;
    let mut number = 0_u16;
    let mut next = |list, index, denies| {
        number = number.saturating_add(1);
        Place { list, index, denies, number }
    };
    let mut out = Vec::new();
    for (list, rules, denies) in [("egress", egress, false), ("egressDeny", egress_deny, true)] {
        for (index, rule) in rules.iter().flatten().enumerate() {
            out.push(rule::egress(parsed, rule, next(list, index, denies), peers, findings));
        }
    }
    if let Some(said) = denies_encrypted_dns(&parsed.document.spec) {
        out.extend(encrypted_dns::denials(parsed, said, &mut next));
    }
    let mut into = Vec::new();
    for (list, rules, denies) in [("ingress", ingress, false), ("ingressDeny", ingress_deny, true)]
    {
        for (index, rule) in rules.iter().flatten().enumerate() {
            into.push(rule::ingress(parsed, rule, next(list, index, denies), findings));
        }
    }
    if number > MAX_RULES {
        let message = format!("more than {MAX_RULES} rules cannot be numbered");
        findings.push(parsed.finding(&parsed.document.metadata.name, message, None));
    }
    Ways { egress: out, ingress: into }
}

fn denies_encrypted_dns(spec: &Spec) -> Option<&Spanned<EncryptedDns>> {
    spec.encrypted_dns.as_ref().filter(|said| said.value == EncryptedDns::Deny)
}

fn selector(parsed: &Parsed, findings: &mut Vec<Diagnostic>) -> Selector {
    let metadata = &parsed.document.metadata;
    let mut selector = Selector {
        namespace: metadata.namespace.as_ref().map(|namespace| namespace.value.clone()),
        ..Selector::default()
    };
    let is_cluster = parsed.document.kind.value == CLUSTER;
    if let (true, Some(namespace)) = (is_cluster, &metadata.namespace) {
        let message = format!("a {CLUSTER} is of no namespace");
        let help = "take it out, or write kind: EgressPolicy".to_owned();
        findings.push(parsed.finding(namespace, message, Some(help)));
    }
    let Some(workload) = &parsed.document.spec.workload else { return selector };
    let written = &workload.value;
    selector.pods.clone_from(&written.pod_selector);
    selector.namespaces.clone_from(&written.namespace_selector);
    for (text, glob) in
        [(&written.systemd_unit, &mut selector.unit), (&written.cgroup, &mut selector.cgroup)]
    {
        let Some(text) = text else { continue };
        match Glob::parse(&text.value) {
            Ok(read) => *glob = Some(read),
            Err(message) => findings.push(parsed.finding(text, message, None)),
        }
    }
    if let (Some(cgroup), true) = (&written.cgroup, written.cgroup.is_some())
        && !cgroup.value.starts_with('/')
    {
        let message = format!("\"{}\" does not begin at the cgroup2 root", cgroup.value);
        let help = format!("write /{}", cgroup.value);
        findings.push(parsed.finding(cgroup, message, Some(help)));
    }
    if written.namespace_selector.is_some() && selector.namespace.is_some() {
        let message = "namespaceSelector is for policies of no namespace".to_owned();
        let help = format!("take it out, or write kind: {CLUSTER}");
        findings.push(parsed.finding(workload, message, Some(help)));
    }
    if selector.is_node() {
        let message = "workload selects nothing".to_owned();
        let help = "leave it out for everything, or write podSelector, systemdUnit or cgroup";
        findings.push(parsed.finding(workload, message, Some(help.to_owned())));
    }
    selector
}

fn expires(parsed: &Parsed, findings: &mut Vec<Diagnostic>) -> Option<OffsetDateTime> {
    let text = parsed.document.spec.expires.as_ref()?;
    OffsetDateTime::parse(&text.value, &Rfc3339)
        .map_err(|_| {
            let message = format!("\"{}\" is no time", text.value);
            let help = "write 2026-12-24T00:00:00Z".to_owned();
            findings.push(parsed.finding(text, message, Some(help)));
        })
        .ok()
}
