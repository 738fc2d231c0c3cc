//! One segment through a flow: the steps that the kernel's hook and the host's replay share.
//!
//! The kernel reads a segment chunk by chunk through a function that the verifier checks once, so
//! the loop over chunks stands at the caller; what comes before and after it stands here.

use crate::config::Switch;
use crate::flow::{Direction, Flow};
use crate::frame::{Frame, flag, state};
use crate::lexer;
use crate::packet::Packet;
use crate::policy::{TCP, UDP};
use crate::segment::{NOISE_FIRST, outcome};
use crate::stream::{Reader, STARTED, WAITING};
use crate::verdict::{Mode, Reason, Verdict};

/// The port of DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// Whether a segment holds the first byte of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Start {
    /// It does.
    First = 0,
    /// It does not: bytes before it went unread.
    Later = 1,
    /// Nobody can tell (a raw socket, a capture without its beginning).
    Unknown = 2,
}

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Read it, from this byte of its payload on.
    Read(u32),
    /// Bytes before it are missing: read it all, the place is lost.
    Gap,
    /// All of it was read before, or nothing is read in this direction any more.
    Nothing,
}

/// Whether a message was ever under way on a flow, in either direction: then all of its segments
/// are read, and before that only one that [`opens`] it.
#[inline(always)]
#[must_use]
pub const fn is_open(flow: &Flow) -> bool {
    let [egress, ingress] = &flow.readers;
    egress.started | ingress.started != 0
}

/// What a segment opens a flow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opening {
    /// Nothing: it goes unread.
    Closed = 0,
    /// A stream of messages, or of what leads to them.
    Stream = 1,
    /// DNS over TCP.
    DnsStream = 2,
    /// A DNS question in a datagram.
    DnsQuestion = 3,
    /// Messages in datagrams.
    Datagram = 4,
    /// What may be a Noise handshake.
    Noise = 5,
}

impl Opening {
    /// From its wire value.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(value: u8) -> Self {
        match value {
            1 => Self::Stream,
            2 => Self::DnsStream,
            3 => Self::DnsQuestion,
            4 => Self::Datagram,
            5 => Self::Noise,
            _ => Self::Closed,
        }
    }
}

/// What the gate asks of a packet, in one word: bits 0..8 the protocol, 8 the direction, 9..11 the
/// [`Start`], 16..32 the destination's port, 32..48 the payload's length as far as it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts(pub u64);

impl Facts {
    /// Of this packet.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet, direction: Direction, start: Start) -> Self {
        let port = match packet.ports {
            Some((_, port)) => port,
            None => 0,
        };
        let len = packet.payload_len();
        let len = if len < 0xffff { len } else { 0xffff };
        Self(
            packet.protocol as u64
                | (direction as u64) << 8
                | (start as u64) << 9
                | (port as u64) << 16
                | (len as u64) << 32,
        )
    }
    /// Which way the packet goes.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.is_egress() { Direction::Egress } else { Direction::Ingress }
    }
    /// Where its payload stands.
    #[inline(always)]
    #[must_use]
    pub const fn start(self) -> Start {
        match self.0 >> 9 & 3 {
            0 => Start::First,
            1 => Start::Later,
            _ => Start::Unknown,
        }
    }
    const fn protocol(self) -> u8 {
        self.0 as u8
    }
    const fn is_egress(self) -> bool {
        self.0 >> 8 & 1 == Direction::Egress as u64
    }
    const fn port(self) -> u16 {
        (self.0 >> 16) as u16
    }
    const fn payload_len(self) -> u32 {
        (self.0 >> 32) as u32 & 0xffff
    }
}

/// What a packet on a flow that is not open yet opens it to: only its direction's first bytes can.
/// `first` are its first four payload bytes, a shorter one filled up with spaces.
///
/// Three words and nothing of the packet's many shapes, so that the kernel can have it as a function
/// of its own.
#[inline(always)]
#[must_use]
pub fn opening(facts: Facts, first: [u8; 4], switch: Switch) -> Opening {
    let reads = !matches!(switch.stratum(), Mode::Off);
    let names = !matches!(switch.names(), Mode::Off);
    let to_dns = names && facts.is_egress() && facts.port() == DNS_PORT;
    if facts.protocol() == UDP {
        return match (to_dns, reads && lexer::can_open_message(first)) {
            (true, _) => Opening::DnsQuestion,
            (false, true) => Opening::Datagram,
            (false, false) => Opening::Closed,
        };
    }
    if matches!(facts.start(), Start::Later) {
        return Opening::Closed;
    }
    if to_dns {
        return Opening::DnsStream;
    }
    let peers = !matches!(switch.peer_to_peer(), Mode::Off);
    if (reads && (lexer::can_open_message(first) || leads_to_messages(first)))
        || (names && facts.is_egress() && leads_to_name(first))
        || (peers && crate::frame::is_magic(u32::from_be_bytes(first)))
    {
        return Opening::Stream;
    }
    let fits = facts.payload_len() == NOISE_FIRST && matches!(facts.start(), Start::First);
    if reads && facts.is_egress() && fits { Opening::Noise } else { Opening::Closed }
}

/// The first word of an HTTP request, of its answer or of a PROXY preamble, or as much of it as four
/// bytes hold; or the first byte of a SOCKS request or its answer.
#[inline(always)]
fn leads_to_messages(first: [u8; 4]) -> bool {
    let [a, b, _, _] = first;
    if a < b'A' {
        // SOCKS5 and the number of methods, or the one that was chosen; SOCKS4 and the command.
        return (a == 5 && (b < 10 || b == b' ')) || (a == 4 && (b == 1 || b == 2 || b == b' '));
    }
    let word = u32::from_be_bytes(first);
    const WORDS: [[u8; 4]; 6] = [*b"GET ", *b"POST", *b"PUT ", *b"HTTP", *b"CONN", *b"PROX"];
    // Spaces at the end may stand for bytes that are still to come.
    let mask = if word & 0xff_ffff == 0x20_2020 {
        0xff00_0000
    } else if word & 0xffff == 0x2020 {
        0xffff_0000
    } else if word & 0xff == 0x20 {
        0xffff_ff00
    } else {
        0xffff_ffff
    };
    let mut known = false;
    for text in WORDS {
        known |= (u32::from_be_bytes(text) ^ word) & mask == 0;
    }
    known
}

/// A TLS record with a handshake (RFC 8446 section 5.1).
#[inline(always)]
fn leads_to_name(first: [u8; 4]) -> bool {
    let [kind, major, _, _] = first;
    kind == 0x16 && (major == 3 || major == b' ')
}

/// Brings a flow up to the configuration in force before a segment of it is looked at.
#[inline(always)]
pub fn refresh(flow: &mut Flow, switch: Switch) {
    if u32::from(flow.signatures) != switch.signatures() {
        // Token bits and automaton states of another table mean nothing in this one.
        flow.signatures = switch.signatures() as u8;
        for reader in &mut flow.readers {
            if reader.started == STARTED && !reader.is_stopped() {
                let next = reader.next_sequence;
                reader.said = 0;
                reader.lose_place(next);
            }
        }
    }
    if flow.generation != switch.generation() {
        flow.generation = switch.generation();
        if let Some(mode) = standing(flow.reason, switch) {
            flow.verdict = mode.verdict() as u8;
            flow.settled = 3;
        } else if flow.reason != Reason::Unremarkable as u8 {
            flow.verdict = Verdict::Allowed as u8;
            flow.reason = Reason::Unremarkable as u8;
            flow.settled = 0;
            flow.told = 0;
        }
    }
}

/// The mode of a finding that stands for as long as its flow: what was said stays said.
#[inline(always)]
const fn standing(reason: u8, switch: Switch) -> Option<Mode> {
    if reason == Reason::Stratum as u8 {
        Some(switch.stratum())
    } else if reason == Reason::PoolName as u8 {
        Some(switch.names())
    } else if reason == Reason::PeerToPeer as u8 {
        Some(switch.peer_to_peer())
    } else {
        None
    }
}

/// A segment's place: its payload's first byte in the sequence, its length, and what it opens.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// TCP sequence number; of a datagram whatever.
    pub sequence: u32,
    /// Payload bytes.
    pub len: u32,
    /// Whether it holds the direction's first byte.
    pub start: Start,
    /// What it opens a direction to that is not read yet; `Closed` reads it as a stream.
    pub opening: Opening,
    /// The transport protocol.
    pub protocol: u8,
}

/// Whether a packet goes on with what its flow was opened to.
#[inline(always)]
#[must_use]
pub const fn goes_on(flow: &Flow, direction: Direction, protocol: u8) -> bool {
    let [egress, ingress] = &flow.readers;
    let reader = if matches!(direction, Direction::Egress) { egress } else { ingress };
    if protocol == TCP { is_open(flow) } else { reader.is_in_message() }
}

/// Places a segment in its direction's stream.
#[inline(always)]
pub fn admit(flow: &mut Flow, direction: Direction, arrival: &Arrival) -> Admission {
    let [egress, ingress] = &mut flow.readers;
    let (reader, peer) = match direction {
        Direction::Egress => (egress, &*ingress),
        Direction::Ingress => (ingress, &*egress),
    };
    let Arrival { sequence, len, .. } = *arrival;
    if arrival.protocol != TCP {
        return admit_datagram(reader, arrival);
    }
    if reader.started == 0 {
        *reader = Reader::framed(sequence, first_frame(peer, arrival.opening));
        if matches!(arrival.start, Start::Later) {
            reader.lose_place(sequence);
        }
        return Admission::Read(0);
    }
    if reader.started == WAITING {
        reader.started = STARTED;
        reader.next_sequence = sequence;
    }
    if reader.is_stopped() {
        return Admission::Nothing;
    }
    match reader.already_read(sequence) {
        Some(behind) if behind >= len => Admission::Nothing,
        Some(behind) => Admission::Read(behind),
        None => {
            reader.lose_place(sequence);
            Admission::Gap
        }
    }
}

/// Datagrams have no order that anyone could know: each goes on where the one before ended.
#[inline(always)]
fn admit_datagram(reader: &mut Reader, arrival: &Arrival) -> Admission {
    if matches!(arrival.opening, Opening::DnsQuestion) {
        *reader = Reader::framed(0, Frame::dns(arrival.len.saturating_sub(12) as u64));
    } else if reader.started == 0 {
        *reader = Reader::at_start(0);
    }
    if reader.is_stopped() { Admission::Nothing } else { Admission::Read(0) }
}

/// What a direction's first bytes are, given the other direction.
#[inline(always)]
const fn first_frame(peer: &Reader, opening: Opening) -> Frame {
    match opening {
        Opening::DnsStream => return Frame::DNS_STREAM,
        Opening::Noise => return Frame::new(state::NOISE, 0),
        _ => {}
    }
    if peer.started == 0 {
        return Frame::new(state::OPENING, 0);
    }
    if peer.frame().state() == state::NOISE {
        return Frame::new(state::NOISE, flag::ANSWER);
    }
    let asked = peer.frame().state() == state::OPENING && peer.frame().flags() & flag::SOCKS4 != 0;
    Frame::new(state::OPENING, flag::ANSWER | if asked { flag::SOCKS4 } else { 0 })
}

/// What the reading of a segment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing to tell.
    Silent,
    /// The flow has a verdict now.
    Verdict,
    /// A question's name is in this feed: a verdict on this packet alone, its socket may ask for
    /// others; but where a stream is blocked, on all of it.
    Question(u32),
}

/// Closes the reading of a segment: passes the verdict when there is one, and settles the direction
/// when nothing more is to be read there.
#[inline(always)]
pub fn conclude(
    flow: &mut Flow,
    direction: Direction,
    arrival: &Arrival,
    found: u32,
    switch: Switch,
) -> Conclusion {
    let next = arrival.sequence.wrapping_add(arrival.len);
    let (mode, reason, rule) = match found {
        outcome::NONE | outcome::STOP => {
            let [egress, ingress] = &mut flow.readers;
            let reader = if matches!(direction, Direction::Egress) { egress } else { ingress };
            reader.next_sequence = next;
            if reader.is_stopped() && !matches!(arrival.opening, Opening::DnsQuestion) {
                flow.settled |= 1 << direction as u8;
            }
            return Conclusion::Silent;
        }
        outcome::PEER_BITCOIN => (switch.peer_to_peer(), Reason::PeerToPeer, 0),
        outcome::PEER_MONERO => (switch.peer_to_peer(), Reason::PeerToPeer, 1),
        // Sizes prove nothing: told, never acted on.
        outcome::NOISE => (Mode::Audit, Reason::NoiseHandshake, Flow::NO_RULE as u32),
        outcome::NAMES..outcome::NAMES_END => {
            let feed = found & (outcome::DNS - 1);
            if found & outcome::DNS != 0 {
                // A datagram that is dropped is gone. A segment comes again, and is not read twice:
                // of a stream the verdict must stand.
                if arrival.protocol == TCP && matches!(switch.names(), Mode::Enforce) {
                    flow.settle(Verdict::Blocked, Reason::PoolName, feed);
                }
                return Conclusion::Question(feed);
            }
            (switch.names(), Reason::PoolName, feed)
        }
        rule => (switch.stratum(), Reason::Stratum, rule),
    };
    flow.settle(mode.verdict(), reason, rule);
    Conclusion::Verdict
}
