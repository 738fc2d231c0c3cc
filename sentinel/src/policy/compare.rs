//! What changes between two sets of policy files, rule by rule.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_saphyr::Spanned;

use super::diagnostic::Diagnostic;
use super::load::Source;
use super::model::{
    EgressRule, EncryptedDns, IngressRule, LabelSelector, Port, Protocol, Spec, Stratum, Unknown,
};
use super::parse::{self, Parsed};

/// How a policy differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub policy: String,
    /// `added`, `removed` or `changed`.
    pub kind: &'static str,
    /// Where it stands, `file:line`, in the new files, or in the old ones where it was removed.
    pub place: String,
    /// What it said and says no longer.
    pub removed: Vec<Statement>,
    /// What it says now.
    pub added: Vec<Statement>,
}

/// One thing that a policy says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Statement {
    /// The key of `spec` that it stands under.
    pub key: String,
    /// It, in one line.
    pub text: String,
    /// Its line, from 1.
    pub line: u64,
}

/// Compares policies by their names; the order of rules means nothing, and neither does that of what a
/// rule lists.
///
/// # Errors
/// What is wrong with files that are not understood.
pub fn compare(old: &[Source], new: &[Source]) -> Result<Vec<Change>, Vec<Diagnostic>> {
    let (old, new) = (described(old)?, described(new)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let (kind, place, removed, added) = match (old.get(name), new.get(name)) {
            (Some((place, said)), None) => ("removed", place, said.clone(), Vec::new()),
            (None, Some((place, said))) => ("added", place, Vec::new(), said.clone()),
            (Some((_, before)), Some((place, after))) => {
                let (removed, added) = (without(before, after), without(after, before));
                if removed.is_empty() && added.is_empty() {
                    return None;
                }
                ("changed", place, removed, added)
            }
            (None, None) => return None,
        };
        Some(Change { policy: name.clone(), kind, place: place.clone(), removed, added })
    });
    Ok(changes.collect())
}

/// The statements of `these` that are not among `those`, each as often as it is missing.
fn without(these: &[Statement], those: &[Statement]) -> Vec<Statement> {
    let mut left: Vec<(&str, &str)> =
        those.iter().map(|said| (said.key.as_str(), said.text.as_str())).collect();
    let mut missing = Vec::new();
    for said in these {
        let key = (said.key.as_str(), said.text.as_str());
        match left.iter().position(|known| *known == key) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => missing.push(said.clone()),
        }
    }
    missing
}

type Described = BTreeMap<String, (String, Vec<Statement>)>;

fn described(sources: &[Source]) -> Result<Described, Vec<Diagnostic>> {
    let mut all = Described::new();
    let findings = super::check(sources);
    if !findings.is_empty() {
        return Err(findings);
    }
    for source in sources {
        for parsed in parse::parse(source).map_err(|finding| vec![*finding])? {
            let metadata = &parsed.document.metadata;
            let name = match &metadata.namespace {
                Some(namespace) => format!("{}/{}", namespace.value, metadata.name.value),
                None => metadata.name.value.clone(),
            };
            let place = format!("{}:{}", parsed.file, metadata.name.referenced.line());
            all.insert(name, (place, statements(&parsed)));
        }
    }
    Ok(all)
}

fn statements(parsed: &Parsed) -> Vec<Statement> {
    let spec = &parsed.document.spec;
    let mut said = headers(spec);
    let kind = &parsed.document.kind;
    said.push(statement("kind", kind.value.clone(), kind));
    let name = &parsed.document.metadata.name;
    let rules = [
        ("egress", spec.egress.as_ref().map(|rules| rules.iter().map(egress).collect())),
        ("egressDeny", spec.egress_deny.as_ref().map(|rules| rules.iter().map(egress).collect())),
        ("ingress", spec.ingress.as_ref().map(|rules| rules.iter().map(ingress).collect())),
        (
            "ingressDeny",
            spec.ingress_deny.as_ref().map(|rules| rules.iter().map(ingress).collect()),
        ),
    ];
    for (key, rules) in rules {
        let rules: Option<Vec<(String, Option<u64>)>> = rules;
        let line = name.referenced.line();
        match rules {
            None => {}
            // An empty list is a statement: it allows nothing.
            Some(rules) if rules.is_empty() => {
                said.push(Statement { key: key.to_owned(), text: "[]".to_owned(), line });
            }
            Some(rules) => said.extend(rules.into_iter().map(|(text, at)| Statement {
                key: key.to_owned(),
                text,
                line: at.unwrap_or(line),
            })),
        }
    }
    said
}

fn statement<T>(key: &str, text: String, at: &Spanned<T>) -> Statement {
    Statement { key: key.to_owned(), text, line: at.referenced.line() }
}

fn headers(spec: &Spec) -> Vec<Statement> {
    let mut said = Vec::new();
    if let Some(workload) = &spec.workload {
        let one = &workload.value;
        let parts = [
            one.pod_selector.as_ref().map(|labels| format!("pods {}", selector(labels))),
            one.namespace_selector
                .as_ref()
                .map(|labels| format!("namespaces {}", selector(labels))),
            one.systemd_unit.as_ref().map(|unit| format!("unit {}", unit.value)),
            one.cgroup.as_ref().map(|cgroup| format!("cgroup {}", cgroup.value)),
        ];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        said.push(statement("workload", text, workload));
    }
    if let Some(mode) = &spec.mode {
        said.push(statement("mode", format!("{:?}", mode.value).to_lowercase(), mode));
    }
    if let Some(stratum) = &spec.stratum {
        let text = match stratum.value {
            Stratum::Block => "block",
            Stratum::Alert => "alert",
            Stratum::Off => "off",
        };
        said.push(statement("stratum", text.to_owned(), stratum));
    }
    if let Some(unknown) = &spec.unknown_workloads {
        let text = if unknown.value == Unknown::Open { "open" } else { "closed" };
        said.push(statement("unknownWorkloads", text.to_owned(), unknown));
    }
    if let Some(encrypted) = &spec.encrypted_dns {
        let text = if encrypted.value == EncryptedDns::Deny { "deny" } else { "allow" };
        said.push(statement("encryptedDNS", text.to_owned(), encrypted));
    }
    if let Some(expires) = &spec.expires {
        said.push(statement("expires", expires.value.clone(), expires));
    }
    said
}

fn selector(selector: &LabelSelector) -> String {
    let pairs = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn egress(rule: &EgressRule) -> (String, Option<u64>) {
    let all = rule.to_cidrs.iter().chain(&rule.to_fqdns);
    let private = if rule.allow_private_addresses { ", private addresses too" } else { "" };
    let is_required = rule.require_server_name.as_ref().is_some_and(|required| required.value);
    let named = if is_required { ", named in the TLS handshake" } else { "" };
    let text = format!("to {}{private}{named}", sides(all, &rule.except, rule.ports.as_deref()));
    (text, rule.to_cidrs.first().or(rule.to_fqdns.first()).map(|at| at.referenced.line()))
}

fn ingress(rule: &IngressRule) -> (String, Option<u64>) {
    let text =
        format!("from {}", sides(rule.from_cidrs.iter(), &rule.except, rule.ports.as_deref()));
    (text, rule.from_cidrs.first().map(|at| at.referenced.line()))
}

fn sides<'a>(
    ends: impl Iterator<Item = &'a Spanned<String>>,
    except: &[Spanned<String>],
    ports: Option<&[Port]>,
) -> String {
    let sorted = |texts: BTreeSet<String>| texts.into_iter().collect::<Vec<_>>().join(", ");
    let ends = sorted(ends.map(|end| end.value.clone()).collect());
    let except = sorted(except.iter().map(|end| end.value.clone()).collect());
    let except = if except.is_empty() { except } else { format!(" except {except}") };
    let ports = ports
        .map_or_else(|| "every port".to_owned(), |ports| sorted(ports.iter().map(port).collect()));
    format!("{ends}{except}: {ports}")
}

/// A port as people write it.
pub(super) fn port(port: &Port) -> String {
    let protocol = port.protocol.as_ref().map_or(Protocol::Tcp, |protocol| protocol.value);
    let protocol = format!("{protocol:?}").to_lowercase();
    match (&port.port, &port.end_port) {
        (None, _) => protocol,
        (Some(first), None) => format!("{protocol}/{}", first.value),
        (Some(first), Some(last)) => format!("{protocol}/{}-{}", first.value, last.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, spec: &str) -> Vec<Source> {
        let text = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: {name}}}\nspec:\n{spec}"
        );
        vec![Source { name: "p.yaml".to_owned(), text }]
    }

    #[test]
    fn rules_that_came_and_went_are_told_and_an_order_is_no_change() {
        let old = source(
            "a",
            "  mode: audit\n  egress:\n    - toCIDRs: [192.0.2.0/24, 10.0.0.0/8]\n      ports: [{port: 443}]\n    - toCIDRs: [198.51.100.0/24]\n",
        );
        let new = source(
            "a",
            "  mode: enforce\n  egress:\n    - toCIDRs: [198.51.100.0/24]\n    - toCIDRs: [10.0.0.0/8, 192.0.2.0/24]\n      ports: [{port: 443}]\n    - toFQDNs: [api.example.com]\n      ports: [{port: 53, protocol: UDP}]\n",
        );
        assert!(compare(&old, &old).unwrap().is_empty());
        let changes = compare(&old, &new).unwrap();
        assert_eq!((changes.len(), changes[0].kind), (1, "changed"));
        let texts = |said: &[Statement]| -> Vec<String> {
            said.iter().map(|one| format!("{}: {} ({})", one.key, one.text, one.line)).collect()
        };
        assert_eq!(texts(&changes[0].removed), ["mode: audit (5)"]);
        assert_eq!(
            texts(&changes[0].added),
            ["mode: enforce (5)", "egress: to api.example.com: udp/53 (10)"]
        );
        let kinds: Vec<_> = compare(&old, &source("b", "  mode: audit\n  egress: []\n")).unwrap();
        let kinds: Vec<_> = kinds.iter().map(|it| (it.policy.as_str(), it.kind)).collect();
        assert_eq!(kinds, [("a", "removed"), ("b", "added")]);
        assert!(compare(&old, &source("a", "  mdoe: audit\n")).is_err());
    }
}
