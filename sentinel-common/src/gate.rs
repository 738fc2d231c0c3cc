//! The gate: what the first bytes of a direction open its flow to, if anything. It spares most flows
//! their state.

use crate::config::Switch;
use crate::flow::Direction;
use crate::frame;
use crate::inspect::Start;
use crate::lexer;
use crate::packet::{Brief, Packet};
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
    /// A stream whose beginning nobody saw, and which may be in a websocket.
    Frames = 6,
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
            6 => Self::Frames,
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
        Self::of_brief(packet.brief(), packet.payload_len(), direction, start)
    }
    /// Of a packet with this brief and this many bytes of payload.
    #[inline(always)]
    #[must_use]
    pub const fn of_brief(brief: Brief, len: u32, direction: Direction, start: Start) -> Self {
        let len = if len < 0xffff { len } else { 0xffff };
        Self(
            brief.protocol() as u64
                | (direction as u64) << 8
                | (start as u64) << 9
                | (brief.port() as u64) << 16
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
/// Of most payload one load from [`FIRST_BYTE`] tells that it opens nothing.
#[inline(always)]
#[must_use]
pub fn opening(facts: Facts, first: [u8; 4], switch: Switch) -> Opening {
    let [byte, ..] = first;
    if begins_nothing(byte, facts.port(), facts.payload_len()) {
        return Opening::Closed;
    }
    let may = may_begin(byte);
    let reads = !matches!(switch.stratum(), Mode::Off);
    let names = !matches!(switch.names(), Mode::Off);
    let to_dns = names && facts.is_egress() && facts.port() == DNS_PORT;
    let says_message = reads && may & begins::MESSAGE != 0 && lexer::can_open_message(first);
    if facts.protocol() == UDP {
        return match (to_dns, says_message) {
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
    let word = u32::from_be_bytes(first);
    if says_message
        || (reads && may & begins::SOCKS != 0 && is_socks(first))
        || (reads && may & begins::HEAD != 0 && begins_head(word))
        || (names && facts.is_egress() && may & begins::TLS != 0 && is_tls(first))
        || (peers && may & begins::PEER != 0 && frame::is_magic(word))
    {
        return Opening::Stream;
    }
    if reads && matches!(facts.start(), Start::Unknown) {
        let is_frame = may & begins::FRAME != 0 && is_frame(first);
        return if is_frame { Opening::Frames } else { Opening::Closed };
    }
    let fits = facts.payload_len() == NOISE_FIRST && matches!(facts.start(), Start::First);
    if reads && facts.is_egress() && fits { Opening::Noise } else { Opening::Closed }
}

/// Whether payload of `len` bytes to this port that begins with this byte opens nothing, whatever the
/// modes: most does.
#[inline(always)]
#[must_use]
pub fn begins_nothing(byte: u8, port: u16, len: u32) -> bool {
    may_begin(byte) == 0 && port != DNS_PORT && len != NOISE_FIRST
}

/// What a byte may begin: bits in [`FIRST_BYTE`].
mod begins {
    /// A JSON message, or what may stand before one.
    pub const MESSAGE: u8 = 1;
    /// One of [`super::WORDS`].
    pub const HEAD: u8 = 2;
    /// A SOCKS request or its answer.
    pub const SOCKS: u8 = 4;
    /// A TLS handshake.
    pub const TLS: u8 = 8;
    /// A coin's node speaking to another.
    pub const PEER: u8 = 16;
    /// A websocket frame, where the stream's own beginning may have gone unseen.
    pub const FRAME: u8 = 32;
}

/// The first words of an HTTP request, of its answer, of a PROXY preamble and of Duino-Coin's lines, as
/// far as four bytes hold them.
const WORDS: [[u8; 4]; 7] = [*b"GET ", *b"POST", *b"PUT ", *b"HTTP", *b"CONN", *b"PROX", *b"JOB,"];
/// A TLS record with a handshake (RFC 8446 section 5.1).
pub const TLS_HANDSHAKE: u8 = 0x16;
/// The first bytes of a websocket's text and data, whole and in fragments (RFC 6455 section 5.2).
const FRAMES: [u8; 4] = [0x81, 0x82, FRAGMENT_OF_TEXT, FRAGMENT_OF_DATA];
const FRAGMENT_OF_TEXT: u8 = 1;
const FRAGMENT_OF_DATA: u8 = 2;
/// The versions of SOCKS, each the first byte of what either side says.
const SOCKS4: u8 = 4;
const SOCKS5: u8 = 5;

/// What each byte may begin.
static FIRST_BYTE: [u8; 256] = first_bytes();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn first_bytes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        if lexer::can_begin_message(byte) {
            table[index] |= begins::MESSAGE;
        }
        if frame::is_magic_byte(byte) {
            table[index] |= begins::PEER;
        }
        index += 1;
    }
    let mut word = 0;
    while word < WORDS.len() {
        let [byte, ..] = WORDS[word];
        table[byte as usize] |= begins::HEAD;
        word += 1;
    }
    let mut kind = 0;
    while kind < FRAMES.len() {
        table[FRAMES[kind] as usize] |= begins::FRAME;
        kind += 1;
    }
    table[TLS_HANDSHAKE as usize] |= begins::TLS;
    table[SOCKS4 as usize] |= begins::SOCKS;
    table[SOCKS5 as usize] |= begins::SOCKS;
    table
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "256 entries for a byte")]
fn may_begin(byte: u8) -> u8 {
    FIRST_BYTE[usize::from(byte)]
}

/// SOCKS5 and the number of methods, or the one that was chosen; SOCKS4 and the command.
#[inline(always)]
const fn is_socks(first: [u8; 4]) -> bool {
    let [version, next, _, _] = first;
    if version == SOCKS5 { next < 10 || next == b' ' } else { matches!(next, 1 | 2 | b' ') }
}

/// Whether one of [`WORDS`] begins like this.
#[inline(always)]
const fn begins_head(word: u32) -> bool {
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
    let [get, post, put, http, connect, proxy, job] = WORDS;
    is_under(mask, word, get)
        || is_under(mask, word, post)
        || is_under(mask, word, put)
        || is_under(mask, word, http)
        || is_under(mask, word, connect)
        || is_under(mask, word, proxy)
        || is_under(mask, word, job)
}

#[inline(always)]
const fn is_under(mask: u32, word: u32, text: [u8; 4]) -> bool {
    (u32::from_be_bytes(text) ^ word) & mask == 0
}

#[inline(always)]
const fn is_tls(first: [u8; 4]) -> bool {
    let [_, major, _, _] = first;
    major == 3 || major == b' '
}

/// A frame's second byte: a length of more than 16 bits is nobody's message, and of a server a first
/// fragment proves too little.
#[inline(always)]
const fn is_frame(first: [u8; 4]) -> bool {
    let [kind, length, _, _] = first;
    let is_masked = length & 0x80 != 0 || length == b' ';
    length & 0x7f != 0x7f && (is_masked || kind > FRAGMENT_OF_DATA)
}
