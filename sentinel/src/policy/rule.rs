//! One rule of a policy, its texts understood.

use std::sync::Arc;

use sentinel_common::policy::{
    ANY_PORT, DENY, ICMP, PortRange, SCTP, SERVER_NAME, TCP, UDP, UDP_LITE,
};
use serde_saphyr::{Location, Spanned};

use super::diagnostic::Diagnostic;
use super::fqdn::Pattern;
use super::model::{EgressRule, IngressRule, Port, Protocol};
use super::parse::Parsed;
use super::prefix::Prefix;
use super::set::RuleSource;
use super::workloads;
use crate::attribution::peers::Peer;

/// A rule, its texts understood.
pub(super) struct Resolved<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) to: Vec<(Prefix, Location)>,
    pub(super) except: Vec<Prefix>,
    /// Services before what it means, whose ports are others.
    pub(super) fronts: Vec<Front>,
    pub(super) names: Vec<Pattern>,
    /// Answers for its names may lie in private ranges.
    pub(super) private: bool,
    pub(super) ranges: Vec<PortRange>,
    pub(super) source: RuleSource,
}

/// A service's addresses, with the ranges that the rule comes to there.
pub(super) struct Front {
    pub(super) to: Vec<(Prefix, Location)>,
    pub(super) ranges: Vec<PortRange>,
}

/// Which list a rule stands in, and where.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) list: &'static str,
    pub(super) index: usize,
    pub(super) denies: bool,
    /// Its number in the policy, from 1.
    pub(super) number: u16,
}

/// What both kinds of rules have.
struct Texts<'a> {
    cidrs: &'a [Spanned<String>],
    except: &'a [Spanned<String>],
    names: &'a [Spanned<String>],
    workloads: Option<Location>,
    ports: Option<&'a [Port]>,
    /// What its addresses are called.
    key: &'static str,
}

pub(super) fn egress<'a>(
    parsed: &'a Parsed,
    rule: &'a EgressRule,
    place: Place,
    peers: &[Arc<Peer>],
    findings: &mut Vec<Diagnostic>,
) -> Resolved<'a> {
    let texts = Texts {
        cidrs: &rule.to_cidrs,
        except: &rule.except,
        names: &rule.to_fqdns,
        workloads: rule.to_workloads.as_ref().map(|selector| selector.referenced),
        ports: rule.ports.as_deref(),
        key: "toCIDRs",
    };
    let private = rule.allow_private_addresses;
    let mut resolved = Resolved { private, ..resolve(parsed, &texts, place, findings) };
    if let Some(required) = rule.require_server_name.as_ref().filter(|required| required.value) {
        demand_server_name(parsed, rule, required, &mut resolved.ranges, findings);
    }
    if let Some(selector) = &rule.to_workloads {
        workloads::add(&mut resolved, selector, peers, findings);
    }
    resolved
}

/// Only over TCP does a handshake name a server where it can be read: QUIC's is encrypted.
fn demand_server_name(
    parsed: &Parsed,
    rule: &EgressRule,
    required: &Spanned<bool>,
    ranges: &mut [PortRange],
    findings: &mut Vec<Diagnostic>,
) {
    let mut refuse = |message: &str, help: &str| {
        findings.push(parsed.finding(required, message.to_owned(), Some(help.to_owned())));
    };
    if rule.to_fqdns.is_empty() || !rule.to_cidrs.is_empty() || rule.to_workloads.is_some() {
        refuse(
            "requireServerName is for rules with toFQDNs alone",
            "take it out, or give toCIDRs and toWorkloads rules of their own",
        );
    }
    let is_any = rule.ports.is_none();
    if !is_any && ranges.iter().any(|range| range.protocol != TCP) {
        refuse(
            "requireServerName is for TCP: no other protocol has a handshake that can be read",
            "name TCP ports only, and give the others a rule of their own",
        );
    }
    for range in ranges {
        range.protocol = TCP;
        range.flags |= SERVER_NAME;
    }
}

pub(super) fn ingress<'a>(
    parsed: &'a Parsed,
    rule: &'a IngressRule,
    place: Place,
    findings: &mut Vec<Diagnostic>,
) -> Resolved<'a> {
    let texts = Texts {
        cidrs: &rule.from_cidrs,
        except: &rule.except,
        names: &[],
        workloads: None,
        ports: rule.ports.as_deref(),
        key: "fromCIDRs",
    };
    resolve(parsed, &texts, place, findings)
}

fn resolve<'a>(
    parsed: &'a Parsed,
    texts: &Texts<'a>,
    place: Place,
    findings: &mut Vec<Diagnostic>,
) -> Resolved<'a> {
    let name = &parsed.document.metadata.name;
    if texts.cidrs.is_empty() && texts.names.is_empty() && texts.workloads.is_none() {
        let message = format!("{}[{}] names nobody", place.list, place.index);
        let help = if texts.key == "toCIDRs" {
            "add toCIDRs, toFQDNs or toWorkloads; everywhere is [0.0.0.0/0, \"::/0\"]"
        } else {
            "add fromCIDRs; everywhere is [0.0.0.0/0, \"::/0\"]"
        };
        findings.push(parsed.finding(name, message, Some(help.to_owned())));
    }
    let mut to = Vec::new();
    for cidr in texts.cidrs {
        match Prefix::parse(&cidr.value) {
            Ok(prefix) => to.push((prefix, cidr.referenced)),
            Err((message, help)) => findings.push(parsed.finding(cidr, message, help)),
        }
    }
    let mut names = Vec::new();
    for text in texts.names {
        let denied = place.denies.then(|| {
            let help = "deny addresses, or leave the name out of what is allowed";
            (
                "a name cannot be denied: its addresses are others' too".to_owned(),
                Some(help.to_owned()),
            )
        });
        match denied.map_or_else(|| Pattern::parse(&text.value), Err) {
            Ok(pattern) => names.push(pattern),
            Err((message, help)) => findings.push(parsed.finding(text, message, help)),
        }
    }
    let except = exceptions(parsed, texts, &to, findings);
    let flags = if place.denies { DENY } else { 0 };
    let every = PortRange {
        first: 0,
        last: u16::MAX,
        protocol: 0,
        flags: flags | ANY_PORT,
        rule: place.number,
    };
    let ranges = match texts.ports {
        None => vec![every],
        Some(ports) => ports
            .iter()
            .filter_map(|port| range(parsed, port, findings))
            .map(|range| PortRange { flags: range.flags | flags, rule: place.number, ..range })
            .collect(),
    };
    let written = texts.cidrs.first().or(texts.names.first()).map(|first| first.referenced);
    let line = written.or(texts.workloads).unwrap_or(name.referenced).line();
    let source = RuleSource {
        file: parsed.file.to_string(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        list: place.list,
        index: place.index,
    };
    Resolved { parsed, to, except, fronts: Vec::new(), names, private: false, ranges, source }
}

fn exceptions(
    parsed: &Parsed,
    texts: &Texts<'_>,
    to: &[(Prefix, Location)],
    findings: &mut Vec<Diagnostic>,
) -> Vec<Prefix> {
    let mut except = Vec::new();
    for cidr in texts.except {
        match Prefix::parse(&cidr.value) {
            Ok(prefix) if to.iter().any(|(outer, _)| reaches(*outer, prefix)) => {
                except.push(prefix);
            }
            Ok(prefix) => {
                let message = format!("except {prefix} lies in none of the rule's {}", texts.key);
                findings.push(parsed.finding(cidr, message, Some("take it out".to_owned())));
            }
            Err((message, help)) => findings.push(parsed.finding(cidr, message, help)),
        }
    }
    except
}

/// Whether a rule for `outer` is about `inner`: an IPv6 prefix, however short, is not about IPv4.
pub(super) fn reaches(outer: Prefix, inner: Prefix) -> bool {
    outer.covers(inner) && (Prefix::V4.covers(outer) || !Prefix::V4.covers(inner))
}

fn range(parsed: &Parsed, port: &Port, findings: &mut Vec<Diagnostic>) -> Option<PortRange> {
    let protocol = match port.protocol.as_ref().map(|protocol| protocol.value) {
        Some(Protocol::Any) => 0,
        Some(Protocol::Udp) => UDP,
        Some(Protocol::Sctp) => SCTP,
        Some(Protocol::UdpLite) => UDP_LITE,
        Some(Protocol::Icmp) => ICMP,
        Some(Protocol::Tcp) | None => TCP,
    };
    let mut wrong = |place: &Spanned<u16>, message: String, help: &str| {
        findings.push(parsed.finding(place, message, Some(help.to_owned())));
        None
    };
    if let (ICMP, Some(port)) = (protocol, port.port.as_ref().or(port.end_port.as_ref())) {
        return wrong(port, "ICMP has no ports".to_owned(), "leave port out");
    }
    let (first, last) = match (&port.port, &port.end_port) {
        (None, None) => (0, u16::MAX),
        (None, Some(end)) => {
            return wrong(end, "endPort needs a port to begin from".to_owned(), "add port");
        }
        (Some(first), end) => (first.value, end.as_ref().map_or(first.value, |end| end.value)),
    };
    if let (0, Some(port)) = (first, &port.port) {
        return wrong(port, "port 0 is no port".to_owned(), "leave port out for all ports");
    }
    if let (true, Some(end)) = (last < first, &port.end_port) {
        return wrong(end, format!("endPort {last} lies before port {first}"), "swap them");
    }
    let flags = if port.port.is_none() { ANY_PORT } else { 0 };
    Some(PortRange { first, last, protocol, flags, rule: 0 })
}
