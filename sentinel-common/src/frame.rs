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

/// States. Below [`RUNS`](state::RUNS) header bytes are fed; from there on, runs; from
/// [`ENDS`](state::ENDS) on, outcomes.
pub mod state {
    /// No frames: the bytes are the lexer's.
    pub const PLAIN: u8 = 0;
    /// The first byte of a stream says what it is.
    pub const OPENING: u8 = 1;
    pub(super) const BLANK: u8 = 2;
    pub(super) const PROXY_HEADER: u8 = 3;
    pub(super) const SOCKS4_HEADER: u8 = 4;
    pub(super) const SOCKS4_STRING: u8 = 5;
    pub(super) const SOCKS5_METHODS: u8 = 6;
    pub(super) const SOCKS5_NEXT: u8 = 7;
    pub(super) const SOCKS5_USER: u8 = 8;
    pub(super) const SOCKS5_PASSWORD: u8 = 9;
    pub(super) const SOCKS5_ADDRESS: u8 = 10;
    pub(super) const SOCKS5_HOST: u8 = 11;
    pub(super) const SOCKS5_ANSWER: u8 = 12;
    /// A websocket frame begins.
    pub const WEBSOCKET: u8 = 13;
    pub(super) const WEBSOCKET_LENGTH: u8 = 14;
    pub(super) const WEBSOCKET_EXTENDED: u8 = 15;
    pub(super) const WEBSOCKET_MASK: u8 = 16;
    /// A chunk's size begins.
    pub const CHUNK: u8 = 17;
    pub(super) const CHUNK_EXTENSION: u8 = 18;
    pub(super) const CHUNK_END: u8 = 19;
    pub(super) const TLS_RECORD: u8 = 20;
    pub(super) const TLS_HELLO: u8 = 21;
    pub(super) const TLS_SESSION: u8 = 22;
    pub(super) const TLS_CIPHERS: u8 = 23;
    pub(super) const TLS_COMPRESSION: u8 = 24;
    pub(super) const TLS_EXTENSIONS: u8 = 25;
    pub(super) const TLS_EXTENSION: u8 = 26;
    pub(super) const TLS_NAME: u8 = 27;
    pub(super) const DNS_LENGTH: u8 = 28;
    pub(super) const DNS_LABEL: u8 = 29;
    pub(super) const MAGIC: u8 = 30;
    pub(super) const MAGIC_COMMAND: u8 = 31;
    pub(super) const LEVIN: u8 = 32;
    pub(super) const LEVIN_COMMAND: u8 = 33;

    /// The first state whose bytes are a run.
    pub const RUNS: u8 = 40;
    /// A websocket frame's payload, to be read.
    pub const WEBSOCKET_PAYLOAD: u8 = 40;
    /// A chunk's data, to be read.
    pub const CHUNK_DATA: u8 = 41;
    /// The last run that is read.
    pub const READ_END: u8 = 41;
    /// A server's name in a TLS handshake.
    pub const TLS_NAME_RUN: u8 = 42;
    /// A label of a name in a DNS question.
    pub const DNS_LABEL_RUN: u8 = 43;
    /// The last run that is a name.
    pub const NAME_END: u8 = 43;
    // From here on runs are passed over; each is followed by a state that its name tells.
    pub(super) const TO_OPENING: u8 = 44;
    pub(super) const TO_WEBSOCKET: u8 = 45;
    pub(super) const TO_SOCKS5_NEXT: u8 = 46;
    pub(super) const TO_SOCKS5_PASSWORD: u8 = 47;
    pub(super) const TO_SOCKS5_ANSWER: u8 = 48;
    pub(super) const TO_TLS_SESSION: u8 = 49;
    pub(super) const TO_TLS_CIPHERS: u8 = 50;
    pub(super) const TO_TLS_COMPRESSION: u8 = 51;
    pub(super) const TO_TLS_EXTENSIONS: u8 = 52;
    pub(super) const TO_TLS_EXTENSION: u8 = 53;
    pub(super) const TO_DNS_LABEL: u8 = 54;
    pub(super) const TO_DNS_LENGTH: u8 = 55;
    pub(super) const TO_LEVIN_COMMAND: u8 = 56;
    /// The segments of what may be a Noise handshake are only counted.
    pub const NOISE: u8 = 57;

    /// The first outcome.
    pub const ENDS: u8 = 64;
    /// Nothing more is to be read in this direction.
    pub const STOP: u8 = 64;
    /// The byte just fed is the first of the lexer's.
    pub const PLAIN_FROM_HERE: u8 = 65;
    /// The lexer's bytes begin behind the byte just fed.
    pub const PLAIN_NEXT: u8 = 66;
    /// A DNS question's name is complete; the rest of the message is a run.
    pub const DNS_NAME_DONE: u8 = 67;
    /// A TLS handshake without a server's name.
    pub const TLS_NAMELESS: u8 = 68;
    /// The first message of a node of Bitcoin's kind.
    pub const PEER_BITCOIN: u8 = 69;
    /// The first message of a node of Monero's kind.
    pub const PEER_MONERO: u8 = 70;
}

/// Flags.
pub mod flag {
    /// Websocket: the frame's payload is masked.
    pub const MASKED: u64 = 1;
    /// Websocket: the message under way can be read. Set for frames that continue it.
    pub const MESSAGE: u64 = 2;
    /// At the opening: this side answers, the other one spoke first.
    pub const ANSWER: u64 = 1;
    /// At the opening: a SOCKS4 request went before, on this side; or, with `ANSWER`, on the other.
    pub const SOCKS4: u64 = 2;
    /// A name has begun.
    pub const NAMED: u64 = 1;
    /// A label begins.
    pub const LABEL: u64 = 2;
}

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
    /// Bytes left of a run.
    #[inline(always)]
    #[must_use]
    pub const fn left(self) -> u32 {
        self.0 as u32
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

/// Takes a header byte: the frame after it. `last` is the last four header bytes, the newest lowest.
#[inline(always)]
#[must_use]
pub const fn feed(frame: u64, last: u64) -> u64 {
    let frame = Frame(frame);
    let byte = last & 0xff;
    match frame.state() {
        OPENING => opening(frame, byte),
        BLANK | PROXY_HEADER => proxy(frame, byte, last),
        SOCKS4_HEADER..=SOCKS5_ANSWER => socks(frame, byte, last),
        WEBSOCKET..=WEBSOCKET_MASK => websocket(frame, byte),
        CHUNK..=CHUNK_END => chunk(frame, byte),
        TLS_RECORD..=TLS_NAME => tls(frame, byte, last),
        DNS_LENGTH | DNS_LABEL => dns(frame, byte, last),
        _ => peer(frame, last),
    }
    .0
}

/// The first byte of a stream, or of what a preamble leads to.
#[inline(always)]
const fn opening(frame: Frame, byte: u64) -> Frame {
    let answers = frame.flags() & flag::ANSWER != 0;
    match byte {
        0x16 => frame.field(TLS_RECORD, 4),
        5 if answers => frame.field(SOCKS5_ANSWER, 1),
        5 => frame.to(SOCKS5_METHODS),
        4 => frame.field(SOCKS4_HEADER, 7),
        0 if frame.flags() == flag::ANSWER | flag::SOCKS4 => frame.skip(TO_OPENING, 7),
        0x0d => frame.field(BLANK, 1),
        1 => frame.field(LEVIN, 7),
        // The first byte of each of `MAGICS`.
        0xf9 | 0xfa | 0x0b | 0x52 | 0xc0 | 0xfb | 0xbf | 0x24 | 0xe3 => frame.field(MAGIC, 3),
        _ => frame.to(PLAIN_FROM_HERE),
    }
}

/// PROXY version 2 begins with `0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A`; blank lines begin alike. Then
/// version and command, family, and the length of what follows (the PROXY protocol, section 2.2).
#[inline(always)]
const fn proxy(frame: Frame, byte: u64, last: u64) -> Frame {
    if frame.state() == PROXY_HEADER {
        return match frame.missing() {
            Some(frame) => frame,
            None => frame.skip(TO_OPENING, last & 0xffff),
        };
    }
    match (frame.count(), byte) {
        (1 | 3, 0x0a) | (2, 0x0d) => frame.counting(frame.count() + 1),
        (4, 0) => frame.field(PROXY_HEADER, 11),
        _ => frame.to(PLAIN_FROM_HERE),
    }
}

/// SOCKS version 5 (RFC 1928, RFC 1929) and version 4 with 4a's host name.
#[inline(always)]
const fn socks(frame: Frame, byte: u64, last: u64) -> Frame {
    match frame.state() {
        SOCKS4_HEADER => match frame.missing() {
            Some(frame) => frame,
            // The address 0.0.0.x stands for a name behind the user's.
            None if last >> 8 & 0xff_ffff == 0 && byte != 0 => frame.field(SOCKS4_STRING, 2),
            None => frame.field(SOCKS4_STRING, 1),
        },
        SOCKS4_STRING if byte != 0 => frame,
        SOCKS4_STRING => match frame.missing() {
            Some(frame) => frame,
            None => Frame::new(OPENING, flag::SOCKS4),
        },
        SOCKS5_METHODS => frame.skip(TO_SOCKS5_NEXT, byte),
        SOCKS5_NEXT => match byte {
            5 => frame.field(SOCKS5_ADDRESS, 3),
            1 => frame.to(SOCKS5_USER),
            _ => frame.to(STOP),
        },
        SOCKS5_USER => frame.skip(TO_SOCKS5_PASSWORD, byte),
        SOCKS5_PASSWORD => frame.skip(TO_SOCKS5_NEXT, byte),
        SOCKS5_HOST => frame.skip(TO_OPENING, byte + 2),
        // The method that was chosen: 2 asks for a password and answers it with two bytes.
        SOCKS5_ANSWER => match byte {
            0 => frame.field(SOCKS5_ADDRESS, 4),
            2 => frame.skip(TO_SOCKS5_ANSWER, 2),
            _ => frame.to(STOP),
        },
        _ => match (frame.missing(), byte) {
            (Some(frame), _) => frame,
            (None, 1) => frame.skip(TO_OPENING, 6),
            (None, 3) => frame.to(SOCKS5_HOST),
            (None, 4) => frame.skip(TO_OPENING, 18),
            (None, _) => frame.to(STOP),
        },
    }
}

/// RFC 6455 section 5.2. A message that an extension has changed (RSV bits: compression) is passed
/// over, with the frames that continue it.
#[inline(always)]
const fn websocket(frame: Frame, byte: u64) -> Frame {
    match frame.state() {
        WEBSOCKET => {
            let (opcode, changed) = (byte & 15, byte & 0x70 != 0);
            let before = frame.flags() & flag::MESSAGE;
            let message = match opcode {
                0 => before,
                1..8 if changed => 0,
                1..8 => flag::MESSAGE,
                // Control frames may stand between the frames of a message.
                _ => before,
            };
            // Whether this frame is to be read goes into the count until its length is known.
            let reads = if opcode < 8 { message } else { 0 };
            frame.with_flags(message).field(WEBSOCKET_LENGTH, 0).within(reads)
        }
        WEBSOCKET_LENGTH => {
            let flags = frame.flags() & flag::MESSAGE | byte >> 7;
            let frame = frame.with_flags(flags);
            match byte & 0x7f {
                126 => frame.run(0).field(WEBSOCKET_EXTENDED, 2),
                127 => frame.run(0).field(WEBSOCKET_EXTENDED, 8),
                length => websocket_mask(frame.run(length)),
            }
        }
        WEBSOCKET_EXTENDED => {
            let frame = frame.run((frame.left() as u64) << 8 | byte);
            match frame.missing() {
                Some(frame) => frame,
                None => websocket_mask(frame),
            }
        }
        _ => match frame.missing() {
            Some(frame) => frame,
            None => websocket_payload(frame),
        },
    }
}

#[inline(always)]
const fn websocket_mask(frame: Frame) -> Frame {
    if frame.flags() & flag::MASKED != 0 {
        frame.field(WEBSOCKET_MASK, 4)
    } else {
        websocket_payload(frame)
    }
}

#[inline(always)]
const fn websocket_payload(frame: Frame) -> Frame {
    let run = if frame.rest() != 0 { WEBSOCKET_PAYLOAD } else { TO_WEBSOCKET };
    frame.counting(0).skip(run, frame.left() as u64)
}

/// RFC 9112 section 7.1.
#[inline(always)]
const fn chunk(frame: Frame, byte: u64) -> Frame {
    let digit = match byte {
        0x30..=0x39 => byte & 15,
        0x41..=0x46 | 0x61..=0x66 => (byte & 15) + 9,
        _ => 16,
    };
    match (frame.state(), byte) {
        (CHUNK_END, b) if b == b'\n' as u64 => frame.to(CHUNK).run(0),
        (CHUNK_END, _) => frame,
        (_, b) if b == b'\n' as u64 => {
            if frame.left() == 0 {
                frame.to(PLAIN_NEXT)
            } else {
                frame.to(CHUNK_DATA)
            }
        }
        (CHUNK, _) if digit < 16 => frame.run((frame.left() as u64) << 4 | digit),
        (CHUNK, b) if b == b'\r' as u64 => frame,
        _ => frame.to(CHUNK_EXTENSION),
    }
}

/// A ClientHello in one record up to its server name (RFC 8446 sections 4.1.2 and 5.1, RFC 6066
/// section 3).
#[inline(always)]
const fn tls(frame: Frame, byte: u64, last: u64) -> Frame {
    if let Some(frame) = frame.missing() {
        return frame;
    }
    let short = last & 0xffff;
    match frame.state() {
        TLS_RECORD if last >> 24 & 0xff == 3 => frame.field(TLS_HELLO, 4),
        // Handshake type 1; then two bytes of version and 32 of randomness.
        TLS_HELLO if last >> 24 & 0xff == 1 => frame.skip(TO_TLS_SESSION, 34),
        TLS_SESSION => frame.skip(TO_TLS_CIPHERS, byte),
        TLS_CIPHERS => frame.skip(TO_TLS_COMPRESSION, short),
        TLS_COMPRESSION => frame.skip(TO_TLS_EXTENSIONS, byte),
        TLS_EXTENSIONS if short == 0 => frame.to(TLS_NAMELESS),
        TLS_EXTENSIONS => frame.field(TLS_EXTENSION, 4).within(short),
        TLS_EXTENSION if last >> 16 & 0xffff == 0 => frame.field(TLS_NAME, 5),
        TLS_EXTENSION => {
            let rest = frame.rest().saturating_sub(short + 4);
            if rest == 0 {
                frame.to(TLS_NAMELESS)
            } else {
                frame.within(rest).skip(TO_TLS_EXTENSION, short)
            }
        }
        // A list's length, the kind of name (0, a host's) and the name's length.
        TLS_NAME if last >> 16 & 0xff == 0 && short != 0 && short < 256 => {
            frame.with_flags(0).skip(TLS_NAME_RUN, short)
        }
        _ => frame.to(STOP),
    }
}

/// RFC 1035 section 4.1.2: labels up to the empty one. A question's name is never compressed.
#[inline(always)]
const fn dns(frame: Frame, byte: u64, last: u64) -> Frame {
    if frame.state() == DNS_LENGTH {
        return match frame.missing() {
            Some(frame) => frame,
            None => Frame::dns((last & 0xffff).saturating_sub(12)),
        };
    }
    let rest = frame.rest();
    if byte == 0 {
        let rest = rest.saturating_sub(1);
        return frame.to(DNS_NAME_DONE).run(rest);
    }
    if byte > 63 || rest <= byte {
        return frame.to(STOP);
    }
    frame.with_flags(frame.flags() | flag::LABEL).within(rest - byte - 1).skip(DNS_LABEL_RUN, byte)
}

impl Frame {
    /// Behind a DNS question's name: the rest of its message, then the next one.
    #[inline(always)]
    #[must_use]
    pub const fn next_dns(self) -> Self {
        self.with_flags(0).skip(TO_DNS_LENGTH, self.left() as u64)
    }

    /// A run of a name goes on.
    #[inline(always)]
    #[must_use]
    pub const fn named(self) -> Self {
        self.with_flags(flag::NAMED)
    }
}

/// The first four of levin's eight bytes (epee, `LEVIN_SIGNATURE`).
const LEVIN_FIRST: u32 = 0x0121_0101;
/// The four bytes before every message of a coin's nodes: Bitcoin, its regtest and testnet3, Namecoin,
/// Ravencoin, Dogecoin, Litecoin, Dash, Zcash, Bitcoin Cash. Their first bytes stand in [`opening`].
const MAGICS: [u32; 10] = [
    0xf9be_b4d9,
    0xfabf_b5da,
    0x0b11_0907,
    0xf9be_b4fe,
    0x5241_564e,
    0xc0c0_c0c0,
    0xfbc0_b6db,
    0xbf0c_6bbd,
    0x24e9_2764,
    0xe3e1_f3e8,
];

/// Whether a stream that begins with these four bytes is a coin's node speaking to another.
#[inline(always)]
#[must_use]
pub fn is_magic(first: u32) -> bool {
    let mut known = first == LEVIN_FIRST;
    for magic in MAGICS {
        known |= magic == first;
    }
    known
}

/// The first message of a node is `version`; Monero's (levin) is 01 21 and six times 01, eight bytes
/// of length, one flag and the command, little-endian: a handshake is 1001 and all others follow it
/// closely.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the index is below the array's length")]
const fn peer(frame: Frame, last: u64) -> Frame {
    let last = last as u32;
    let missing = frame.missing();
    match (frame.state(), missing) {
        // After the first four of eight bytes.
        (LEVIN, Some(frame)) if frame.count() == 4 && last != LEVIN_FIRST => frame.to(STOP),
        (_, Some(frame)) => frame,
        (MAGIC, None) => {
            let mut index = 0;
            let mut known = false;
            while index < MAGICS.len() {
                known = known || MAGICS[index] == last;
                index += 1;
            }
            if known { frame.field(MAGIC_COMMAND, 4) } else { frame.to(STOP) }
        }
        (MAGIC_COMMAND, None) if last == u32::from_be_bytes(*b"vers") => frame.to(PEER_BITCOIN),
        (LEVIN, None) if last == 0x0101_0101 => frame.skip(TO_LEVIN_COMMAND, 9),
        (LEVIN_COMMAND, None) if last & 0x00ff_ffff == 0x0003_0000 => frame.to(PEER_MONERO),
        _ => frame.to(STOP),
    }
}
