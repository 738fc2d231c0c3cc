//! What a replay says: a line per flow, and a summary.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use sentinel_common::address::Address;
use sentinel_common::policy::{ICMPV6, TCP, UDP};
use sentinel_common::verdict::Reason;
use serde::Serialize;

use super::engine::Outcome;
use super::error::ReplayError;
use super::flows::Flow;
use crate::event::word::Words as _;
use crate::signature::Catalogue;

/// One flow of a capture, in the form that is written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowReport {
    /// The capture's name as given.
    pub file: String,
    /// `tcp`, `udp`, or the protocol's number.
    pub proto: String,
    /// Address of whoever began.
    pub src: IpAddr,
    /// Its port; 0 for protocols without ports.
    pub src_port: u16,
    /// Address of the other side.
    pub dst: IpAddr,
    /// Its port.
    pub dst_port: u16,
    /// What would have become of the flow ([`sentinel_common::verdict::Verdict::label`]).
    pub verdict: &'static str,
    /// Why ([`sentinel_common::verdict::Reason::label`]).
    pub reason: &'static str,
    /// The mining dialect, if any.
    pub dialect: Option<String>,
    /// The rule of the signature file, if any.
    pub rule: Option<String>,
    /// Number of the packet that the verdict fell on, from 1.
    pub packet: Option<u64>,
    /// `egress` when whoever began sent that packet.
    pub direction: Option<&'static str>,
    /// Packets of the flow.
    pub packets: u64,
    /// Payload bytes of the flow.
    pub bytes: u64,
}

impl FlowReport {
    pub(super) fn new(file: &str, flow: &Flow, catalogue: &Catalogue) -> Self {
        let finding = flow.finding.as_ref();
        let outcome = finding.map_or(Outcome::UNREMARKABLE, |finding| finding.outcome);
        let is_stratum = outcome.reason == Reason::Stratum;
        let rule = finding.filter(|_| is_stratum).and_then(|finding| catalogue.rule(finding.rule));
        Self {
            file: file.to_owned(),
            proto: match flow.protocol {
                TCP => "tcp".to_owned(),
                UDP => "udp".to_owned(),
                1 => "icmp".to_owned(),
                ICMPV6 => "icmpv6".to_owned(),
                other => other.to_string(),
            },
            src: address(&flow.initiator.0),
            src_port: flow.initiator.1,
            dst: address(&flow.responder.0),
            dst_port: flow.responder.1,
            verdict: outcome.verdict.label(),
            reason: outcome.reason.label(),
            dialect: rule
                .map(|rule| rule.dialect.clone())
                .or_else(|| finding.and_then(|_| unruled(outcome)).map(str::to_owned)),
            rule: rule.map(|rule| rule.name.clone()),
            packet: finding.map(|finding| finding.packet),
            direction: finding.map(|finding| finding.direction.word()),
            packets: flow.packets,
            bytes: flow.bytes,
        }
    }
}

/// For people.
impl fmt::Display for FlowReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let src = SocketAddr::new(self.src, self.src_port);
        let dst = SocketAddr::new(self.dst, self.dst_port);
        write!(out, "{}: {} {} {src} -> {dst}", self.file, self.verdict, self.proto)?;
        if let (Some(dialect), Some(packet)) = (&self.dialect, self.packet) {
            let why = self.rule.as_deref().unwrap_or(self.reason);
            write!(out, ", {dialect} ({why}) at packet {packet}")?;
        }
        Ok(())
    }
}

/// What speaks on a flow whose verdict no signature made.
fn unruled(outcome: Outcome) -> Option<&'static str> {
    match (outcome.reason, outcome.rule) {
        (Reason::PeerToPeer, 0) => Some("bitcoin-peer"),
        (Reason::PeerToPeer, _) => Some("monero-peer"),
        (Reason::NoiseHandshake, _) => Some("stratum-v2"),
        _ => None,
    }
}

/// An address as people write it: a mapped one as IPv4.
fn address(address: &Address) -> IpAddr {
    Ipv6Addr::from(*address).to_canonical()
}

/// What a whole replay came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files that were read to their end.
    pub files: u64,
    /// Packets in all files.
    pub packets: u64,
    /// Packets without IP in them, of an unknown link layer, or with headers that are not understood.
    pub unread_packets: u64,
    /// Segments left out for their wrong checksum, on flows where checksums are right.
    pub bad_checksums: u64,
    /// Flows.
    pub flows: u64,
    /// Flows that gave way to others before their end: above
    /// [`sentinel_common::limits::REPLAY_FLOWS`] at a time.
    pub evicted_flows: u64,
    /// Flows with a verdict.
    pub findings: u64,
    /// What kept files from being read to their end.
    pub problems: Vec<ReplayError>,
}

impl Summary {
    /// The process's exit code: 1 when a file was not read to its end, else 2 when there is a
    /// finding, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.problems.is_empty(), self.findings) {
            (false, _) => 1,
            (true, 0) => 0,
            (true, _) => 2,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64, what: &str| {
            format!("{number} {what}{}", if number == 1 { "" } else { "s" })
        };
        write!(out, "{}, {}, ", count(self.packets, "packet"), count(self.flows, "flow"))?;
        write!(out, "{} with a verdict", count(self.findings, "flow"))?;
        let losses = [
            (self.unread_packets, "packet not understood"),
            (self.bad_checksums, "segment with a wrong checksum left out"),
            (self.evicted_flows, "flow given up for want of room"),
            (self.problems.len() as u64, "file not read to its end"),
        ];
        losses
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, what)| write!(out, "; {number} {what}"))
    }
}
