//! `sentinel policy explain`

use std::iter::repeat;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use sentinel_common::flow::Direction;
use sentinel_common::policy::{ICMP, ICMPV6, Request, SCTP, TCP, UDP};
use sentinel_common::verdict::Verdict;
use serde::Serialize;

use super::in_force::{self, InForce};
use super::whose::{Whose, labels};
use super::{Refusal, aligned, answer};
use crate::cli::{ExplainArgs, Protocol};
use crate::event::word::Words;
use crate::policy::{Explanation, Named, Opinion, Pattern};
use crate::status;
use sentinel_common::address;

/// The answer on one question, for every address that it is about.
#[derive(Debug, Serialize)]
struct Answer {
    workload: String,
    /// The workload's path from the cgroup2 root.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    answers: Vec<OfAddress>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OfAddress {
    remote: String,
    protocol: String,
    /// The patterns of names that the agent's programs take the address for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learned: Vec<String>,
    #[serde(flatten)]
    explanation: Explanation,
}

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    direction: Direction,
    name: Option<String>,
    addresses: Vec<IpAddr>,
    port: u16,
}

pub(super) fn explain(arguments: &ExplainArgs) -> Result<ExitCode, Refusal> {
    let mut whose = Whose::parse(&arguments.workload)?;
    let (own, around) = (labels(&arguments.labels)?, labels(&arguments.namespace_labels)?);
    match &mut whose {
        Whose::Pod(pod) => (pod.labels, pod.namespace_labels) = (own, around),
        _ if !own.is_empty() || !around.is_empty() => {
            let message = "only pods have labels: write --workload pod:namespace/name";
            return Err(Refusal::usage(message));
        }
        _ => {}
    }
    let asked = asked(arguments)?;
    let InForce { set, cap, mut notes } = in_force::of(arguments)?;
    let (path, note) = whose.path();
    notes.extend(note);
    let bound = whose.bound(&set, path.as_deref());
    let by_name = bound.places.iter().filter_map(|place| set.policies.get(*place));
    let by_name = by_name.filter(|policy| !policy.names.is_empty()).count() > 0;
    let learned =
        if by_name { learned(arguments, &asked.addresses, &mut notes) } else { Vec::new() };
    let answers: Vec<OfAddress> = asked
        .addresses
        .iter()
        .zip(learned.into_iter().chain(repeat(Vec::new())))
        .map(|(address, patterns)| {
            let request = request(arguments.protocol, *address, asked.port);
            let named = Named { asked: asked.name.as_deref(), learned: &patterns };
            let explanation = bound.explain(&set, cap, asked.direction, &request, Some(named));
            let learned = patterns.iter().map(ToString::to_string).collect();
            let remote = match (arguments.protocol, asked.direction) {
                (Protocol::Icmp, _) => address.to_string(),
                (_, Direction::Egress) => SocketAddr::new(*address, asked.port).to_string(),
                (_, Direction::Ingress) => format!("{address} to port {}", asked.port),
            };
            let protocol = word(arguments.protocol).to_owned();
            OfAddress { remote, protocol, learned, explanation }
        })
        .collect();
    if asked.name.is_some() && answers.iter().any(|one| one.explanation.rule.is_some()) {
        notes.push(
            "a name's rule holds for addresses that the agent saw the name lead to".to_owned(),
        );
    }
    let found = answers.iter().any(|one| one.explanation.verdict != Verdict::Allowed.label());
    let direction = asked.direction.word();
    let workload = arguments.workload.clone();
    let whole = Answer { workload, cgroup: path, direction, name: asked.name, answers, notes };
    answer(&whole, arguments.format, found, text)
}

/// What names the running agent has seen to lead to each of these: rules on names count for these
/// addresses alone.
fn learned(
    arguments: &ExplainArgs,
    addresses: &[IpAddr],
    notes: &mut Vec<String>,
) -> Vec<Vec<Pattern>> {
    let answer: Result<Vec<Vec<String>>, String> =
        serde_json::to_string(addresses).map_err(|error| error.to_string()).and_then(|question| {
            let question = ("POST /learned", question.as_str());
            status::ask(&arguments.state_dir, question).map_err(|error| error.to_string())
        });
    match answer {
        Ok(answer) => {
            let parse = |text: &String| Pattern::parse(text).ok();
            answer.iter().map(|all| all.iter().filter_map(parse).collect()).collect()
        }
        Err(error) => {
            notes.push(format!(
                "which names lead to an address only a running agent knows, and none was asked: {error}"
            ));
            Vec::new()
        }
    }
}

fn asked(arguments: &ExplainArgs) -> Result<Asked, Refusal> {
    let is_icmp = arguments.protocol == Protocol::Icmp;
    let port = |given: Option<u16>, how: &str| match (given, is_icmp) {
        (Some(_), true) => Err(Refusal::usage("ICMP has no ports: leave the port out")),
        (None, false) => Err(Refusal::usage(format!("there is no port: {how}"))),
        (given, _) => Ok(given.unwrap_or_default()),
    };
    if let Some(from) = arguments.from {
        let port = port(arguments.port, "add --port, the one here that it comes to")?;
        let direction = Direction::Ingress;
        return Ok(Asked { direction, name: None, addresses: vec![from], port });
    }
    let text = arguments.to.as_deref().unwrap_or_default();
    let (host, given) = split(text)?;
    let port = port(given, &format!("write {text}:443, or --protocol icmp"))?;
    let direction = Direction::Egress;
    if let Ok(address) = host.parse() {
        return Ok(Asked { direction, name: None, addresses: vec![address], port });
    }
    let name = Pattern::parse(&host).map_err(|(message, _)| {
        Refusal::usage(format!("{message}: write ADDRESS:PORT or NAME:PORT"))
    })?;
    if name.is_below() {
        return Err(Refusal::usage("a pattern is no destination: write one of the names it means"));
    }
    let name = name.domain().to_owned();
    let addresses = if arguments.addresses.is_empty() {
        let found = (name.as_str(), port).to_socket_addrs().map_err(|error| {
            Refusal::failed(format!("{name} leads nowhere ({error}): say where to with --address"))
        })?;
        let mut found: Vec<IpAddr> = found.map(|end| end.ip()).collect();
        found.sort();
        found.dedup();
        found
    } else {
        arguments.addresses.clone()
    };
    Ok(Asked { direction, name: Some(name), addresses, port })
}

/// A host and its port, if it has one.
fn split(text: &str) -> Result<(String, Option<u16>), Refusal> {
    if let Ok(end) = text.parse::<SocketAddr>() {
        return Ok((end.ip().to_string(), Some(end.port())));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok((bare.to_owned(), None));
    }
    match text.rsplit_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| {
                Refusal::usage(format!("\"{text}\" has no port from 1 to 65535 behind its colon"))
            })?;
            Ok((host.to_owned(), Some(port)))
        }
    }
}

/// What the kernel asks about the first packet of such a connection.
fn request(protocol: Protocol, address: IpAddr, port: u16) -> Request {
    let (protocol, icmp_type) = match protocol {
        Protocol::Tcp => (TCP, 0),
        Protocol::Udp => (UDP, 0),
        Protocol::Sctp => (SCTP, 0),
        // An echo request.
        Protocol::Icmp if address.to_canonical().is_ipv4() => (ICMP, 8),
        Protocol::Icmp => (ICMPV6, 128),
    };
    Request { remote: address::of(address), protocol, port: Some(port), icmp_type }
}

const fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Icmp => "icmp",
    }
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for OfAddress { remote, protocol, learned, explanation } in &answer.answers {
        let Explanation { verdict, reason, policy, rule, place, policies, left_out, .. } =
            explanation;
        let arrow = if answer.direction == Direction::Egress.word() { "->" } else { "<-" };
        let name = answer.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        let whose = &answer.workload;
        text += &format!("{verdict} ({reason}): {whose} {arrow} {protocol} {remote}{name}\n");
        if let (Some(policy), Some(rule), Some(place)) = (policy, rule, place) {
            text += &format!("by policy {policy}, {rule}, {place}\n");
        }
        if explanation.requires_server_name {
            text += "only while the TLS handshake names a server that the rule means\n";
        }
        if !learned.is_empty() {
            text += &format!("the agent has seen it be the address of {}\n", learned.join(", "));
        }
        if policies.is_empty() {
            text += "no policy is on this workload\n";
        } else {
            let head = ["POLICY", "MODE", "SAYS", "RULE", "WHERE"].map(str::to_owned).to_vec();
            let rows: Vec<_> = [head].into_iter().chain(policies.iter().map(row)).collect();
            text += &format!("\n{}", aligned(&rows));
        }
        if *left_out > 0 {
            text += &format!("{left_out} more policies on it find no room and count for nothing\n");
        }
    }
    for note in &answer.notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn row(opinion: &Opinion) -> Vec<String> {
    let Opinion { policy, mode, says, rule, place } = opinion;
    let rule = rule.clone().unwrap_or_else(|| "-".to_owned());
    vec![policy.clone(), (*mode).to_owned(), (*says).to_owned(), rule, place.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_in_every_form() {
        let of = |text: &str| split(text).map_err(|refusal| refusal.message);
        assert_eq!(of("192.0.2.1:443").unwrap(), ("192.0.2.1".to_owned(), Some(443)));
        assert_eq!(of("[2001:db8::1]:443").unwrap(), ("2001:db8::1".to_owned(), Some(443)));
        assert_eq!(of("2001:db8::1").unwrap(), ("2001:db8::1".to_owned(), None));
        assert_eq!(of("[2001:db8::1]").unwrap(), ("2001:db8::1".to_owned(), None));
        assert_eq!(of("api.example.com:53").unwrap(), ("api.example.com".to_owned(), Some(53)));
        assert!(of("a:b").unwrap_err().contains("65535"));
        assert!(of("a:0").is_err());
    }
}
