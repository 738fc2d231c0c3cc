//! Documents to modes and prefixes.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_common::limits::{MAX_PORT_RANGES, MAX_PREFIXES};
use sentinel_common::policy::{PortRange, PrefixRules, TCP, UDP};
use sentinel_common::verdict::Mode;
use serde_saphyr::Spanned;

use super::Policy;
use super::allowlist::{Allowlist, RuleSource};
use super::diagnostic::Diagnostic;
use super::model::{PolicyMode, Port, Protocol, Rule, Stratum};
use super::parse::Parsed;
use super::prefix::Prefix;

/// A rule, its texts understood.
struct Resolved<'a> {
    parsed: &'a Parsed<'a>,
    to: Vec<(Prefix, &'a Spanned<String>)>,
    except: Vec<Prefix>,
    ranges: Vec<PortRange>,
}

/// Compiles all documents into one policy; what is wrong is added to `findings`.
pub(super) fn compile(documents: &[Parsed<'_>], findings: &mut Vec<Diagnostic>) -> Policy {
    check_names(documents, findings);
    let mode = agreed(documents, "mode", |parsed| parsed.document.spec.mode.as_ref(), findings);
    let stratum =
        agreed(documents, "stratum", |parsed| parsed.document.spec.stratum.as_ref(), findings);
    let mut sources = Vec::new();
    let mut rules = Vec::new();
    let mut has_egress = false;
    for parsed in documents {
        let spec = &parsed.document.spec;
        has_egress |= spec.egress.is_some();
        if spec.egress.is_some() && spec.mode.is_none() {
            let message = "egress needs a mode beside it".to_owned();
            let help = "write mode: audit to watch first, mode: enforce to block".to_owned();
            findings.push(parsed.finding(&parsed.document.metadata.name, message, Some(help)));
        }
        for (index, rule) in spec.egress.iter().flatten().enumerate() {
            let number = u16::try_from(sources.len() + 1).unwrap_or(u16::MAX);
            let resolved = resolve(parsed, rule, number, findings);
            sources.push(RuleSource {
                file: parsed.file.to_owned(),
                line: rule.to_cidrs.first().map_or(0, |cidr| cidr.referenced.line() as u32),
                policy: parsed.document.metadata.name.value.clone(),
                index,
            });
            rules.push(resolved);
        }
    }
    if let (true, Some(parsed)) = (sources.len() > usize::from(u16::MAX), documents.first()) {
        let message =
            format!("{} rules are more than the {} that can be numbered", sources.len(), u16::MAX);
        findings.push(parsed.finding(&parsed.document.metadata.name, message, None));
    }
    Policy {
        egress: match mode {
            Some(PolicyMode::Enforce) if has_egress => Mode::Enforce,
            Some(PolicyMode::Audit) if has_egress => Mode::Audit,
            _ => Mode::Off,
        },
        stratum: match stratum {
            Some(Stratum::Off) => Mode::Off,
            Some(Stratum::Alert) => Mode::Audit,
            Some(Stratum::Block) | None => Mode::Enforce,
        },
        allowlist: Allowlist::new(spread(&rules, findings), sources),
    }
}

fn check_names(documents: &[Parsed<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen = BTreeMap::new();
    for parsed in documents {
        let name = &parsed.document.metadata.name;
        if let Some(first) = seen.insert(name.value.as_str(), parsed.file) {
            let message = format!("a policy named \"{}\" stands in {first} already", name.value);
            findings.push(parsed.finding(name, message, Some("give each its own name".to_owned())));
        }
    }
}

/// The one value that all documents which set it agree on.
fn agreed<'a, T: Copy + PartialEq + 'a>(
    documents: &'a [Parsed<'a>],
    key: &str,
    value: impl Fn(&'a Parsed<'a>) -> Option<&'a Spanned<T>>,
    findings: &mut Vec<Diagnostic>,
) -> Option<T> {
    let mut agreed: Option<(T, &str)> = None;
    for parsed in documents {
        let Some(spanned) = value(parsed) else { continue };
        match agreed {
            None => agreed = Some((spanned.value, &parsed.document.metadata.name.value)),
            Some((other, _)) if other == spanned.value => {}
            Some((_, policy)) => {
                let message = format!("{key} differs from that of policy \"{policy}\"");
                let help = "policies for the whole node have one between them".to_owned();
                findings.push(parsed.finding(spanned, message, Some(help)));
            }
        }
    }
    agreed.map(|(value, _)| value)
}

fn resolve<'a>(
    parsed: &'a Parsed<'a>,
    rule: &'a Rule,
    number: u16,
    findings: &mut Vec<Diagnostic>,
) -> Resolved<'a> {
    let mut to = Vec::new();
    for cidr in &rule.to_cidrs {
        match Prefix::parse(&cidr.value) {
            Ok(prefix) => to.push((prefix, cidr)),
            Err((message, help)) => findings.push(parsed.finding(cidr, message, help)),
        }
    }
    let mut except = Vec::new();
    for cidr in &rule.except {
        match Prefix::parse(&cidr.value) {
            Ok(prefix) if to.iter().any(|(outer, _)| reaches(*outer, prefix)) => {
                except.push(prefix)
            }
            Ok(prefix) => {
                let message = format!("except {prefix} lies in none of the rule's toCIDRs");
                findings.push(parsed.finding(cidr, message, Some("take it out".to_owned())));
            }
            Err((message, help)) => findings.push(parsed.finding(cidr, message, help)),
        }
    }
    let ranges = match &rule.ports {
        None => {
            vec![PortRange { first: 0, last: u16::MAX, protocol: 0, any_port: 1, rule: number }]
        }
        Some(ports) => {
            ports.iter().filter_map(|port| range(parsed, port, number, findings)).collect()
        }
    };
    Resolved { parsed, to, except, ranges }
}

/// Whether a rule for `outer` is about `inner`: an IPv6 prefix, however short, is not about IPv4.
fn reaches(outer: Prefix, inner: Prefix) -> bool {
    outer.covers(inner) && (Prefix::V4.covers(outer) || !Prefix::V4.covers(inner))
}

fn range(
    parsed: &Parsed<'_>,
    port: &Port,
    number: u16,
    findings: &mut Vec<Diagnostic>,
) -> Option<PortRange> {
    let protocol = match port.protocol {
        Some(Protocol::Any) => 0,
        Some(Protocol::Udp) => UDP,
        Some(Protocol::Tcp) | None => TCP,
    };
    let (first, last) = match (&port.port, &port.end_port) {
        (None, None) => (0, u16::MAX),
        (None, Some(end)) => {
            let message = "endPort needs a port to begin from".to_owned();
            findings.push(parsed.finding(end, message, Some("add port".to_owned())));
            return None;
        }
        (Some(first), end) => (first.value, end.as_ref().map_or(first.value, |end| end.value)),
    };
    if let (0, Some(port)) = (first, &port.port) {
        let help = "leave port out for all ports".to_owned();
        findings.push(parsed.finding(port, "port 0 is no port".to_owned(), Some(help)));
        return None;
    }
    if let (true, Some(end)) = (last < first, &port.end_port) {
        let message = format!("endPort {last} lies before port {first}");
        findings.push(parsed.finding(end, message, Some("swap them".to_owned())));
        return None;
    }
    let any_port = u8::from(port.port.is_none());
    Some(PortRange { first, last, protocol, any_port, rule: number })
}

/// Every prefix that a rule names or excepts, with the ranges of all rules that reach it.
///
/// For an address whose longest prefix is `p`, a rule's CIDR (or exception) holds the address
/// exactly when it covers `p`: were it longer, it would be the longest itself.
fn spread(rules: &[Resolved<'_>], findings: &mut Vec<Diagnostic>) -> BTreeMap<Prefix, PrefixRules> {
    let mut by_prefix: BTreeMap<Prefix, Vec<usize>> = BTreeMap::new();
    let mut holes = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        for (prefix, _) in &rule.to {
            by_prefix.entry(*prefix).or_default().push(index);
            // What an IPv6 prefix around the mapped addresses allows must not reach IPv4.
            if prefix.covers(Prefix::V4) && *prefix != Prefix::V4 {
                holes.insert(Prefix::V4);
            }
        }
        holes.extend(&rule.except);
    }
    for hole in holes {
        by_prefix.entry(hole).or_default();
    }
    if by_prefix.len() > MAX_PREFIXES
        && let Some((_, cidr, parsed)) = rules
            .last()
            .and_then(|rule| rule.to.last().map(|(prefix, cidr)| (prefix, *cidr, rule.parsed)))
    {
        let message = format!(
            "{} prefixes are more than the {MAX_PREFIXES} there is room for",
            by_prefix.len()
        );
        findings.push(parsed.finding(
            cidr,
            message,
            Some("merge neighbours into shorter ones".to_owned()),
        ));
    }
    let lens: BTreeSet<u8> = by_prefix.keys().map(|prefix| prefix.len()).collect();
    by_prefix
        .keys()
        .map(|&prefix| (prefix, gather(prefix, rules, &by_prefix, &lens, findings)))
        .collect()
}

/// The ranges of all rules that reach `prefix`, in the order of their numbers.
fn gather(
    prefix: Prefix,
    rules: &[Resolved<'_>],
    by_prefix: &BTreeMap<Prefix, Vec<usize>>,
    lens: &BTreeSet<u8>,
    findings: &mut Vec<Diagnostic>,
) -> PrefixRules {
    let around = lens.iter().filter_map(|&len| prefix.widened(len));
    let reaching: BTreeSet<usize> = around
        .filter(|outer| reaches(*outer, prefix))
        .filter_map(|outer| by_prefix.get(&outer))
        .flatten()
        .copied()
        .collect();
    let reaching = reaching.into_iter().filter_map(|index| rules.get(index));
    let mut ranges: Vec<PortRange> = Vec::new();
    let mut last = None;
    for rule in reaching.filter(|rule| !rule.except.iter().any(|hole| reaches(*hole, prefix))) {
        for range in &rule.ranges {
            // The first range that fits answers, so one behind a wider one is never reached.
            if !ranges.iter().any(|earlier| contains(earlier, range)) {
                ranges.push(*range);
                last = Some(rule);
            }
        }
    }
    if let (true, Some(rule)) = (ranges.len() > MAX_PORT_RANGES, last) {
        let message = format!(
            "{prefix} and the prefixes around it come to {} port ranges, there is room for {MAX_PORT_RANGES}",
            ranges.len()
        );
        let place = rule.to.iter().find(|(outer, _)| outer.covers(prefix)).or(rule.to.first());
        let help = "join ports into ranges with endPort".to_owned();
        findings.extend(place.map(|(_, cidr)| rule.parsed.finding(cidr, message, Some(help))));
    }
    let mut packed = PrefixRules {
        count: ranges.len().min(MAX_PORT_RANGES) as u32,
        ranges: [PortRange::UNUSED; MAX_PORT_RANGES],
    };
    for (slot, range) in packed.ranges.iter_mut().zip(ranges) {
        *slot = range;
    }
    packed
}

fn contains(outer: &PortRange, inner: &PortRange) -> bool {
    let protocol = outer.protocol == 0 || outer.protocol == inner.protocol;
    let ports = outer.any_port == 1
        || (inner.any_port == 0 && outer.first <= inner.first && inner.last <= outer.last);
    protocol && ports
}
