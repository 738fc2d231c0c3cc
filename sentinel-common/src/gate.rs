//! The gate: what the first bytes of a direction open its flow to, if anything. It spares most flows
//! their state.

use crate::config::Switch;
use crate::flow::Direction;
use crate::inspect::Start;
use crate::lexer;
use crate::packet::Packet;
use crate::policy::UDP;
use crate::segment::NOISE_FIRST;
use crate::verdict::Mode;

/// The port of DNS (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

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
