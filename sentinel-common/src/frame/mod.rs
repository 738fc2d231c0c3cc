//! What stands around messages: the headers of websocket frames, of HTTP's chunks, of TLS and DNS
//! up to the name, and the preambles of proxies, byte by byte.
//!
//! [`feed`] takes one header byte and says what comes next: more header, or a *run* of bytes that
//! are to be read as messages, to be taken for a name, or to be passed over. `segment.rs` carries
//! that out. One word in, one word out, so that the kernel can have it as a function of its own,
//! which the verifier checks once.

/// Where a direction of a flow stands between its messages, packed: bits 0..32 the bytes left of the
/// run, 32..40 the state, 40..44 flags, 44..48 the header bytes left of this field, 48..64 the bytes
/// left of what the field stands in (a TLS handshake's extensions, a DNS message).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(pub u64);

pub mod flag;
mod http;
mod names;
mod peer;
mod proxy;
pub mod state;

use http::{chunk, websocket};
use names::{dns, next_record, tls};
pub use peer::is_magic;
pub(crate) use peer::is_magic_byte;
use peer::peer;
use proxy::{proxy, proxy_line, socks};
use state::*;

use crate::limits::{INSPECTION_BUDGET, MESSAGE_BUDGET, WEBSOCKET_BUDGET};

impl Frame {
    /// A frame in this state, with these flags.
    #[inline(always)]
    #[must_use]
    pub const fn new(state: u8, flags: u64) -> Self {
        Self((state as u64) << 32 | (flags & 15) << 40)
    }
    /// Before a DNS message's length.
    pub const DNS_STREAM: Self = Self::new(DNS_LENGTH, 0).counting(2);

    /// The twelve bytes of a DNS header, and `message` bytes of the message with them.
    #[inline(always)]
    #[must_use]
    pub const fn dns(message: u64) -> Self {
        Self::new(TO_DNS_LABEL, 0).run(12).within(message)
    }
    /// The state.
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> u8 {
        (self.0 >> 32) as u8
    }
    /// Bytes left of a run, wherever it ends.
    #[inline(always)]
    #[must_use]
    pub const fn left(self) -> u32 {
        self.0 as u32
    }
    /// Bytes left of a run up to the next header: in a TLS handshake a record may end first.
    #[inline(always)]
    #[must_use]
    pub const fn left_unbroken(self) -> u32 {
        if self.is_in_record() { self.left_in_record() } else { self.left() }
    }
    /// Whether the next byte is a header's.
    #[inline(always)]
    #[must_use]
    pub const fn is_header(self) -> bool {
        // `BETWEEN_RECORDS` is the sign.
        (self.state() as i8) < RUNS as i8
    }
    /// Header bytes so far, and one more: the last four, the newest lowest. The header of a record
    /// that stands in the middle of a field is not among them. Without a branch: the verifier would
    /// follow both ways at each byte.
    #[inline(always)]
    #[must_use]
    pub const fn with_last(self, last: u32, byte: u8) -> u32 {
        let within = (self.state() >> 7) as u32;
        last << (8 - 8 * within) | byte as u32 & within.wrapping_sub(1)
    }
    /// Bytes after which reading ends where a message does: more in a websocket, whose head may be
    /// longer than what it leads to, and no such place in a preamble or a handshake.
    #[inline(always)]
    #[must_use]
    pub const fn budget(self) -> u32 {
        match self.state() {
            PLAIN | CHUNK..=CHUNK_END | CHUNK_DATA => INSPECTION_BUDGET,
            WEBSOCKET..=WEBSOCKET_MASK | WEBSOCKET_PAYLOAD | TO_WEBSOCKET => WEBSOCKET_BUDGET,
            _ => MESSAGE_BUDGET,
        }
    }
    /// The flags.
    #[inline(always)]
    #[must_use]
    pub const fn flags(self) -> u64 {
        self.0 >> 40 & 15
    }
    /// Bytes of a masked payload that were read already, modulo 4: they tell the key's next byte.
    #[inline(always)]
    #[must_use]
    pub const fn phase(self) -> u32 {
        (self.0 >> 44) as u32 & 3
    }
    const fn count(self) -> u64 {
        self.0 >> 44 & 15
    }
    const fn rest(self) -> u64 {
        self.0 >> 48
    }
    const fn to(self, state: u8) -> Self {
        Self(self.0 & !(0xff << 32) | (state as u64) << 32)
    }
    const fn with_flags(self, flags: u64) -> Self {
        Self(self.0 & !(15 << 40) | flags << 40)
    }
    const fn counting(self, count: u64) -> Self {
        Self(self.0 & !(15 << 44) | count << 44)
    }
    const fn run(self, left: u64) -> Self {
        Self(self.0 & !0xffff_ffff | left & 0xffff_ffff)
    }
    const fn within(self, rest: u64) -> Self {
        Self(self.0 << 16 >> 16 | rest << 48)
    }
    /// A field of `count` bytes in this state.
    const fn field(self, state: u8, count: u64) -> Self {
        self.to(state).counting(count)
    }
    /// A run of `left` bytes; without any, what follows it.
    const fn skip(self, state: u8, left: u64) -> Self {
        let run = self.to(state).run(left);
        if left == 0 { run.after_run() } else { run }
    }
    /// One byte less of the field; `Some` while bytes are missing.
    const fn missing(self) -> Option<Self> {
        let count = self.count();
        if count > 1 { Some(self.counting(count - 1)) } else { None }
    }

    /// The key for the next bytes of a masked payload as a word in memory, twice over; 0 for all
    /// others, which it leaves as they are.
    #[inline(always)]
    #[must_use]
    pub fn key(self, last: u32) -> u64 {
        let masked = self.state() == WEBSOCKET_PAYLOAD && self.flags() & flag::MASKED != 0;
        if !masked {
            return 0;
        }
        let key = u64::from(last.rotate_left(8 * self.phase()).to_be());
        key << 32 | key
    }

    const fn after(self, taken: u32) -> Self {
        if self.state() == PLAIN {
            return self;
        }
        if self.is_in_record() {
            return self.after_in_record(taken as u64);
        }
        let left = self.left().saturating_sub(taken);
        let phase = (self.count() + taken as u64) & 3;
        let next = self.run(left as u64).counting(phase);
        if left == 0 { next.after_run() } else { next }
    }

    /// What follows a run.
    #[inline(always)]
    const fn after_run(self) -> Self {
        match self.state() {
            WEBSOCKET_PAYLOAD | TO_WEBSOCKET => self.to(WEBSOCKET),
            CHUNK_DATA => self.to(CHUNK_END),
            DNS_LABEL_RUN | TO_DNS_LABEL => self.to(DNS_LABEL),
            TO_OPENING => Self::new(OPENING, self.flags()),
            TO_SOCKS5_NEXT => self.to(SOCKS5_NEXT),
            TO_SOCKS5_PASSWORD => self.to(SOCKS5_PASSWORD),
            TO_SOCKS5_ANSWER => self.field(SOCKS5_ADDRESS, 4),
            TO_TLS_SESSION => self.field(TLS_SESSION, 1),
            TO_TLS_CIPHERS => self.field(TLS_CIPHERS, 2),
            TO_TLS_COMPRESSION => self.field(TLS_COMPRESSION, 1),
            TO_TLS_EXTENSIONS => self.field(TLS_EXTENSIONS, 2),
            TO_TLS_EXTENSION => self.field(TLS_EXTENSION, 4),
            TO_DNS_LENGTH => self.field(DNS_LENGTH, 2).run(0),
            TO_LEVIN_COMMAND => self.field(LEVIN_COMMAND, 4),
            _ => self.to(STOP),
        }
    }
}

/// What a run's bytes leave of it, given the reader's count before and after them. Without frames,
/// nothing changes.
#[inline(always)]
#[must_use]
pub const fn advance(frame: u64, before: u64, now: u64) -> u64 {
    Frame(frame).after((now as u32).wrapping_sub(before as u32)).0
}

/// Takes a header byte: the frame after it. `last` is the byte in bits 32..40, and below it what
/// [`Frame::with_last`] keeps of the last four.
#[inline(always)]
#[must_use]
pub const fn feed(frame: u64, last: u64) -> u64 {
    let frame = Frame(frame);
    let byte = last >> 32;
    match frame.state() {
        OPENING => opening(frame, byte),
        PROXY_WORD | PROXY_LINE => proxy_line(frame, byte),
        LOST => lost(frame, byte),
        BLANK | PROXY_HEADER => proxy(frame, byte, last),
        SOCKS4_HEADER..=SOCKS5_ANSWER => socks(frame, byte, last),
        WEBSOCKET..=WEBSOCKET_MASK => websocket(frame, byte),
        CHUNK..=CHUNK_END => chunk(frame, byte),
        TLS_RECORD..=TLS_NAME => tls(frame, byte, last),
        DNS_LENGTH | DNS_LABEL => dns(frame, byte, last),
        BETWEEN_RECORDS.. => next_record(frame, byte),
        _ => peer(frame, last),
    }
    .0
}

/// Where a segment begins after the place was lost: with a frame, mostly, if this is a websocket. JSON
/// and heads do not begin with the first byte of text or of data, whole or in fragments.
#[inline(always)]
const fn lost(frame: Frame, byte: u64) -> Frame {
    match byte {
        0x81 | 0x82 | 0x01 | 0x02 => websocket(Frame::new(WEBSOCKET, 0), byte),
        _ => frame.to(PLAIN_FROM_HERE),
    }
}

/// The first byte of a stream, or of what a preamble leads to.
#[inline(always)]
const fn opening(frame: Frame, byte: u64) -> Frame {
    let answers = frame.flags() & flag::ANSWER != 0;
    match byte {
        0x16 => Frame::new(TLS_RECORD, 0).counting(4),
        5 if answers => frame.field(SOCKS5_ANSWER, 1),
        5 => frame.to(SOCKS5_METHODS),
        4 => frame.field(SOCKS4_HEADER, 7),
        0 if frame.flags() == flag::ANSWER | flag::SOCKS4 => frame.skip(TO_OPENING, 7),
        0x0d => frame.field(BLANK, 1),
        1 => frame.field(LEVIN, 7),
        0x50 => frame.field(PROXY_WORD, 1),
        // The first byte of each of `MAGICS`.
        0xf9 | 0xfa | 0x0b | 0x52 | 0xc0 | 0xfb | 0xbf | 0x24 | 0xe3 => frame.field(MAGIC, 3),
        _ => frame.to(PLAIN_FROM_HERE),
    }
}
