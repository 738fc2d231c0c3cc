//! One step through a segment: a chunk of messages, a run of other bytes, or some header bytes.
//!
//! `frame.rs` says what the bytes are, `stream.rs` reads messages; the steps carry out the one and
//! hand to the other. Whoever has a segment takes one after another until it ends; in the kernel each
//! kind of step is a function of its own, which the verifier checks once.

use crate::frame::{Frame, flag, state};
use crate::limits::CHUNK;
use crate::signature::{NO_RULE, Signatures, token};
use crate::stream::{self, Calls, Reader};

/// What a step needs of its surroundings, besides what the reader needs.
pub trait Segment: Calls {
    /// [`crate::frame::feed`].
    fn feed(&self, frame: u64, last: u64) -> u64;
    /// [`crate::frame::advance`].
    fn advance(&self, frame: u64, before: u64, now: u64) -> u64;
    /// Copies bytes from `offset` on, up to `end` or the chunk's size, and tells how many;
    /// `offset < end`. `None` when they cannot be had.
    fn fill(&self, offset: u32, end: u32, chunk: &mut [u8; CHUNK]) -> Option<usize>;
    /// A piece of a name, at most [`PIECE`] bytes of the segment.
    fn name(&self, offset: u32, len: u32, piece: Piece);
    /// The name is complete: the feed that has it, or [`NO_RULE`].
    fn judge_name(&self, source: Source) -> u32;
}

/// Steps that are taken at a time. A step takes a chunk, a run or a few header bytes.
pub const STEPS: usize = 256;
/// How often that many are taken in one segment: enough for a message in chunks of one byte.
pub const ROUNDS: usize = 8;
/// Bytes of a name that are handed over at a time.
pub const PIECE: u32 = 64;
/// Header bytes that one step takes.
const HEADER: usize = 16;

/// Where a piece stands in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Piece {
    /// It is the first.
    First = 0,
    /// It goes on with the one before.
    Further = 1,
    /// It begins a label that is not the first.
    Label = 2,
}

impl Piece {
    #[inline(always)]
    const fn of(frame: Frame) -> Self {
        if frame.flags() & flag::NAMED == 0 {
            Self::First
        } else if frame.flags() & flag::LABEL != 0 {
            Self::Label
        } else {
            Self::Further
        }
    }
}

/// Where a name was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// A TLS handshake.
    Tls = 1,
    /// A DNS question.
    Dns = 2,
    /// A TLS handshake that names nobody.
    Nameless = 3,
}

/// What a step led to. Below [`outcome::NAMES`] it is the number of a rule.
pub mod outcome {
    /// From here on a feed has the name: its number is added, and [`DNS`] for a question's name.
    pub const NAMES: u32 = 0x8000;
    /// Added when the name is a DNS question's, not a TLS handshake's.
    pub const DNS: u32 = 0x4000;
    /// The end of the numbers of feeds.
    pub const NAMES_END: u32 = 0xff00;
    /// A node of Bitcoin's kind speaks to another.
    pub const PEER_BITCOIN: u32 = 0xff00;
    /// A node of Monero's kind does.
    pub const PEER_MONERO: u32 = 0xff01;
    /// What stratum V2's handshake looks like.
    pub const NOISE: u32 = 0xff02;
    /// As many steps were taken as are taken at a time, and the segment goes on.
    pub const MORE: u32 = 0xfffd;
    /// Nothing more is to be read in this direction.
    pub const STOP: u32 = 0xfffe;
    /// Nothing yet.
    pub const NONE: u32 = 0xffff;

    /// Whether it is the number of a rule: a mining-pool message is complete.
    #[inline(always)]
    #[must_use]
    pub const fn is_signature(found: u32) -> bool {
        found < NAMES
    }
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// [`messages`]
    Messages = 0,
    /// [`run`]
    Run = 1,
    /// [`header`]
    Header = 2,
}

impl Part {
    /// What the next bytes in this frame are.
    #[inline(always)]
    #[must_use]
    pub const fn of(frame: Frame) -> Self {
        let state = frame.state();
        if state == state::PLAIN || (state >= state::RUNS && state <= state::READ_END) {
            Self::Messages
        } else if frame.is_header() {
            Self::Header
        } else {
            Self::Run
        }
    }
}

/// What a step came to, in one word: bits 0..16 one of [`outcome`], 30..32 the next [`Part`]. The
/// bytes it took are in [`Reader::bytes`]: a number that the verifier knows nothing of, where a count
/// of our own would be another constant, and another way to follow, at each of a chunk's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(pub u32);

impl Step {
    #[inline(always)]
    const fn new(reader: &Reader, outcome: u32) -> Self {
        Self(outcome & 0xffff | (Part::of(reader.frame()) as u32) << 30)
    }
    /// A step that could not be taken.
    pub const FAILED: Self = Self(outcome::STOP);
    /// One of [`outcome`].
    #[inline(always)]
    #[must_use]
    pub const fn outcome(self) -> u32 {
        self.0 & 0xffff
    }
    /// The next [`Part`], as its number.
    #[inline(always)]
    #[must_use]
    pub const fn next(self) -> u32 {
        self.0 >> 30
    }
}

/// Reads a chunk of messages from `offset` on in a segment that ends at `end`; `offset < end`. `said`
/// is what the other direction has said.
#[inline(always)]
pub fn messages(
    reader: &mut Reader,
    said: u64,
    signatures: &Signatures,
    (offset, end): (u32, u32),
    chunk: &mut [u8; CHUNK],
    segment: &impl Segment,
) -> Step {
    let frame = reader.frame();
    let rest = end - offset;
    let mine = if frame.state() == state::PLAIN { rest } else { frame.left() };
    let limit = offset + if mine < rest { mine } else { rest };
    let Some(len) = segment.fill(offset, limit, chunk) else {
        return Step::FAILED;
    };
    // The same work with a mask and without: two ways into the loop would be two loops to verify.
    unmask(chunk, reader.frame().key(reader.last));
    let before = reader.bytes;
    let found = stream::read(reader, signatures, said, chunk, len, segment);
    // Looked at anew: a register that lives through the loop multiplies its states.
    let (frame, now) = (reader.frame().0, reader.bytes);
    reader.set_frame(Frame(segment.advance(frame, u64::from(before), u64::from(now))));
    if found != NO_RULE {
        return Step::new(reader, found);
    }
    if reader.is_behind_head() {
        behind_head(reader);
    }
    kept(reader)
}

/// What the lines of a head say of the bytes behind it.
#[inline(always)]
fn behind_head(reader: &mut Reader) {
    let said = reader.message;
    if said & token::HTTP == 0 {
        reader.stop();
    } else if said & token::WEBSOCKET != 0 {
        reader.enter_body(Frame::new(state::WEBSOCKET, 0));
    } else if said & token::CHUNKED != 0 {
        reader.enter_body(Frame::new(state::CHUNK, 0));
    } else {
        reader.enter_body(Frame::new(state::OPENING, 0));
    }
}

/// RFC 6455 section 5.3, eight bytes at once. What stands behind the frame's bytes is not read.
#[inline(always)]
fn unmask(chunk: &mut [u8; CHUNK], key: u64) {
    let (words, _) = chunk.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
}

/// Bytes that are a name, or that nobody reads. `peer` is how many the other direction had.
#[inline(always)]
pub fn run(
    reader: &mut Reader,
    peer: u32,
    (offset, end): (u32, u32),
    segment: &impl Segment,
) -> Step {
    let frame = reader.frame();
    let rest = end - offset;
    if frame.state() == state::NOISE {
        return noise(reader, peer, rest);
    }
    let is_name = frame.state() <= state::NAME_END;
    let left = frame.left_unbroken();
    let mine = if left < rest { left } else { rest };
    let taken = if is_name && mine > PIECE { PIECE } else { mine };
    if is_name {
        segment.name(offset, taken, Piece::of(frame));
        reader.set_frame(frame.named());
    }
    let was_tls_name = frame.state() == state::TLS_NAME_RUN;
    let before = reader.bytes;
    reader.bytes = before.wrapping_add(taken);
    let (frame, now) = (reader.frame().0, reader.bytes);
    reader.set_frame(Frame(segment.advance(frame, u64::from(before), u64::from(now))));
    if was_tls_name && reader.frame().state() == state::STOP {
        reader.stop();
        return named(reader, segment.judge_name(Source::Tls), 0);
    }
    kept(reader)
}

#[inline(always)]
fn named(reader: &Reader, feed: u32, kind: u32) -> Step {
    let silence = if kind == 0 { outcome::STOP } else { outcome::NONE };
    let found = if feed < outcome::DNS { outcome::NAMES | kind | feed } else { silence };
    Step::new(reader, found)
}

/// Header bytes, up to the run or the outcome that they lead to.
#[inline(always)]
pub fn header(
    reader: &mut Reader,
    (offset, end): (u32, u32),
    chunk: &mut [u8; CHUNK],
    segment: &impl Segment,
) -> Step {
    let rest = end - offset;
    let limit = offset + if rest < HEADER as u32 { rest } else { HEADER as u32 };
    let Some(len) = segment.fill(offset, limit, chunk) else {
        return Step::FAILED;
    };
    let (heads, _) = chunk.as_chunks::<HEADER>();
    let [head, ..] = heads else {
        return Step::FAILED;
    };
    let mut taken = 0;
    for &byte in head {
        if taken >= len as u32 {
            break;
        }
        taken += 1;
        reader.last = reader.frame().with_last(reader.last, byte);
        let last = u64::from(byte) << 32 | u64::from(reader.last);
        reader.set_frame(Frame(segment.feed(reader.frame().0, last)));
        if !reader.frame().is_header() {
            break;
        }
    }
    ended(reader, taken, segment)
}

/// What header bytes led to.
#[inline(always)]
fn ended(reader: &mut Reader, taken: u32, segment: &impl Segment) -> Step {
    let frame = reader.frame();
    reader.bytes = reader.bytes.wrapping_add(taken);
    match frame.state() {
        state::STOP => {
            reader.stop();
            Step::new(reader, outcome::STOP)
        }
        state::PLAIN_FROM_HERE => {
            reader.set_frame(Frame(0));
            reader.bytes = reader.bytes.wrapping_sub(1);
            Step::new(reader, outcome::NONE)
        }
        state::PLAIN_NEXT => {
            reader.enter_body(Frame(0));
            kept(reader)
        }
        state::WEBSOCKET_PAYLOAD => {
            reader.begin_line();
            kept(reader)
        }
        state::DNS_NAME_DONE => {
            reader.set_frame(frame.next_dns());
            named(reader, segment.judge_name(Source::Dns), outcome::DNS)
        }
        state::TLS_NAMELESS => {
            reader.stop();
            segment.judge_name(Source::Nameless);
            Step::new(reader, outcome::STOP)
        }
        state::PEER_BITCOIN => Step::new(reader, outcome::PEER_BITCOIN),
        state::PEER_MONERO => Step::new(reader, outcome::PEER_MONERO),
        _ => kept(reader),
    }
}

#[inline(always)]
fn kept(reader: &mut Reader) -> Step {
    reader.keep_to_budget();
    let outcome = if reader.is_stopped() { outcome::STOP } else { outcome::NONE };
    Step::new(reader, outcome)
}

/// Bytes of the initiator's first message: an EllSwift-encoded key.
pub const NOISE_FIRST: u32 = 64;
/// Bytes of the answer: a key, an encrypted key and a signed certificate.
const NOISE_ANSWER: u32 = 64 + 80 + 90;
/// Least bytes of `SetupConnection` on the wire.
const NOISE_SETUP: u32 = 54;
/// Bytes of `SetupConnection.Success`: an encrypted header, and an encrypted payload of six bytes.
const NOISE_SETUP_HEADER: u32 = 22;
const NOISE_SUCCESS: u32 = 44;

/// Stratum V2's Noise handshake by its sizes and turns (sv2-spec, 04-Protocol-Security): 64 bytes,
/// 234 back, a message of 54 at least, 44 back. Anything else in between ends the suspicion.
#[inline(always)]
fn noise(reader: &mut Reader, peer_bytes: u32, len: u32) -> Step {
    let before = reader.bytes;
    let bytes = before.wrapping_add(len);
    let answers = reader.frame().flags() & flag::ANSWER != 0;
    let fits = if !answers {
        match before {
            0 => len == NOISE_FIRST,
            NOISE_FIRST => peer_bytes == NOISE_ANSWER,
            _ => peer_bytes == NOISE_ANSWER && bytes < 1024,
        }
    } else if before < NOISE_ANSWER {
        peer_bytes == NOISE_FIRST && bytes <= NOISE_ANSWER
    } else {
        peer_bytes >= NOISE_FIRST + NOISE_SETUP
            && (bytes == NOISE_ANSWER + NOISE_SETUP_HEADER || bytes == NOISE_ANSWER + NOISE_SUCCESS)
    };
    reader.bytes = bytes;
    if !fits {
        reader.stop();
        return Step::new(reader, outcome::STOP);
    }
    let complete = answers && bytes == NOISE_ANSWER + NOISE_SUCCESS;
    let outcome = if complete { outcome::NOISE } else { outcome::NONE };
    Step::new(reader, outcome)
}
