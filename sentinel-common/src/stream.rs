//! One direction of a byte stream, read as messages.
//!
//! [`Reader`] is what survives between two segments: a few bytes in the flow's state. [`read`] is
//! the same function in the kernel, in replay and in the fuzzer; whatever the split, the answer is
//! that of the whole stream.

use crate::frame::{Frame, state};
use crate::lexer::{self, Cell};
use crate::limits::{CHUNK, MAX_STATES, MESSAGE_BUDGET, SYMBOL_CLASSES};
use crate::place::Place;
use crate::signature::{ACCEPTS, CELLS, NO_RULE, Signatures};

/// State of one direction of a flow. All zero is a direction that is not read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Tokens seen in the message under way.
    pub message: u64,
    /// Tokens seen since the stream began.
    pub said: u64,
    /// The lexer's [`Place`].
    place: u64,
    /// The [`Frame`] around messages.
    frame: u64,
    /// The last four header bytes of the frame, the newest lowest; of a masked websocket frame the
    /// key.
    pub last: u32,
    /// TCP sequence number of the next byte to read.
    pub next_sequence: u32,
    /// Bytes read so far.
    pub bytes: u32,
    /// Bits 0..12 the state of the signature automaton, 12..14 whether the first byte was placed.
    automaton: u16,
    /// Number of the signature set that `automaton`, `message` and `said` are about.
    table: u16,
}

/// The automaton's part of its field, and where the other begins.
const STATE_MASK: u16 = MAX_STATES as u16 - 1;
const STARTED_SHIFT: u16 = 12;
/// Before a segment that may begin with a frame or anywhere in one.
const LOST: Frame = Frame::new(state::LOST, 0);
/// A first byte was placed in the sequence.
pub const STARTED: u16 = 1;
/// Whichever byte comes next takes its place from its segment.
pub const WAITING: u16 = 2;

/// What [`read`] calls out for: in the kernel each is a function that the verifier checks once.
pub trait Calls {
    /// [`crate::place::act`].
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64;
    /// [`Signatures::rule_matching`].
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32;
}

/// Whether a [`Reader::lexer_state`] is one of a message that has not ended.
#[inline(always)]
#[must_use]
pub const fn is_in_message(lexer_state: u64) -> bool {
    lexer_state > lexer::BETWEEN as u64
}

impl Reader {
    /// A direction that is not read (any more).
    pub const STOPPED: Self = Self {
        message: 0,
        said: 0,
        place: 0,
        frame: 0,
        last: 0,
        next_sequence: 0,
        bytes: 0,
        automaton: 0,
        table: 0,
    };

    /// A direction whose next byte is the first of its messages.
    #[inline(always)]
    #[must_use]
    pub const fn at_start(next_sequence: u32) -> Self {
        Self::framed(next_sequence, Frame(0))
    }

    /// A direction whose next byte is the first of this frame.
    #[inline(always)]
    #[must_use]
    pub const fn framed(next_sequence: u32, frame: Frame) -> Self {
        let place = Place(0).in_state(lexer::BETWEEN as u64).0;
        Self {
            next_sequence,
            place,
            frame: frame.0,
            automaton: STARTED << STARTED_SHIFT,
            ..Self::STOPPED
        }
    }

    /// Begins this direction, by the signature set it has.
    #[inline(always)]
    pub const fn open(&mut self, next_sequence: u32, frame: Frame) {
        let table = self.table;
        *self = Self::framed(next_sequence, frame);
        self.table = table;
    }

    /// A direction that began before anyone was there to read it: read from the next segment on where
    /// that begins with a message, as most do, else from the next line on, wherever that stands.
    #[must_use]
    pub const fn waiting() -> Self {
        let mut reader = Self::framed(0, LOST);
        reader.place = Place(0).in_state(lexer::RESYNC_LINE as u64).0;
        reader.set_started(WAITING);
        reader
    }

    /// 0 before the first byte, [`STARTED`] once one was placed in the sequence, [`WAITING`] while
    /// the next one is to be.
    #[inline(always)]
    #[must_use]
    pub const fn started(&self) -> u16 {
        self.automaton >> STARTED_SHIFT & 3
    }

    /// Says whether the first byte was placed.
    #[inline(always)]
    pub const fn set_started(&mut self, started: u16) {
        self.automaton = self.automaton & STATE_MASK | started << STARTED_SHIFT;
    }

    /// Number of the signature set that this direction is read by.
    #[inline(always)]
    #[must_use]
    pub const fn table(&self) -> u32 {
        self.table as u32
    }

    /// Goes on by another signature set. States and token bits of one mean nothing in another, so
    /// what was recognised is forgotten. The lexer's place stands: it knows no table, and a pattern
    /// begins with a key, so what is found from here on is in the whole stream too.
    #[inline(always)]
    pub const fn change_table(&mut self, table: u32) {
        self.table = table as u16;
        self.automaton &= !STATE_MASK;
        self.message = 0;
        self.said = 0;
    }

    /// What this side has said, for a reader of the other side: nothing, when that one goes by
    /// another table. Without a branch, which would double the verifier's way through [`read`].
    #[inline(always)]
    #[must_use]
    pub const fn said_under(&self, table: u32) -> u64 {
        let differs = (self.table as u32 ^ table) as u64;
        self.said & (differs | differs.wrapping_neg()).wrapping_shr(63).wrapping_sub(1)
    }

    /// The frame around messages.
    #[inline(always)]
    #[must_use]
    pub const fn frame(&self) -> Frame {
        Frame(self.frame)
    }

    /// Sets the frame around messages.
    #[inline(always)]
    pub const fn set_frame(&mut self, frame: Frame) {
        self.frame = frame.0;
    }

    /// Whether a head has ended and nobody has said yet what follows it.
    #[inline(always)]
    #[must_use]
    pub const fn is_behind_head(&self) -> bool {
        Place(self.place).state() == lexer::FRAMED as u64
    }

    /// What follows a head: a body, read by what this frame says of it.
    #[inline(always)]
    pub const fn enter_body(&mut self, frame: Frame) {
        self.place = Place(self.place).in_state(lexer::BODY as u64).0;
        self.frame = frame.0;
    }

    /// Whether the bytes read so far are part of a message that has not ended.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        is_in_message(self.lexer_state())
    }

    /// The lexer's state; 0 before the first byte. Without a branch, see [`Reader::said_under`].
    #[inline(always)]
    #[must_use]
    pub const fn lexer_state(&self) -> u64 {
        let begun = (self.started() as u64 + 3) >> 2;
        Place(self.place).state() & begun.wrapping_neg()
    }

    /// Whether nothing more will be read in this direction.
    #[inline(always)]
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        Place(self.place).state() == lexer::STOPPED as u64
    }

    /// Ends inspection of this direction.
    #[inline(always)]
    pub const fn stop(&mut self) {
        self.place = 0;
        self.frame = 0;
    }

    /// Bytes were not seen: nothing is believed until the next line begins, or the next segment, if
    /// that is with a websocket frame.
    #[inline(always)]
    pub const fn lose_place(&mut self, next_sequence: u32) {
        self.next_sequence = next_sequence;
        self.place = Place(0).in_state(lexer::RESYNC as u64).0;
        self.frame = LOST.0;
        self.automaton &= !STATE_MASK;
        self.message = 0;
    }

    /// The next byte is a segment's first: where the place is lost, it may be a frame's.
    #[inline(always)]
    pub const fn begin_segment(&mut self) {
        if self.is_lost() && self.frame == 0 {
            self.frame = LOST.0;
        }
    }

    /// The next byte begins what a line may be, whose end was not seen if the place is lost.
    #[inline(always)]
    pub const fn begin_line(&mut self) {
        if self.is_lost() {
            self.place = Place(self.place).in_state(lexer::RESYNC_LINE as u64).0;
        }
    }

    const fn is_lost(&self) -> bool {
        let state = Place(self.place).state();
        state == lexer::RESYNC as u64 || state == lexer::RESYNC_LINE as u64
    }

    /// Ends inspection where the bytes read so far say so: at the end of the message under way
    /// from [`INSPECTION_BUDGET`] on, anywhere from [`MESSAGE_BUDGET`] on. A handshake or preamble
    /// under way counts as a message, but what a websocket frame carries does not.
    #[inline(always)]
    pub const fn keep_to_budget(&mut self) {
        if self.bytes >= MESSAGE_BUDGET {
            self.stop();
        } else if self.bytes >= self.frame().budget() {
            self.place = Place(self.place).at_last_message().0;
        }
    }

    /// Places a segment in the sequence: how many of its first bytes were read before, or `None`
    /// when bytes before it were never seen. RFC 9293 section 3.4 arithmetic.
    #[inline(always)]
    #[must_use]
    pub const fn already_read(&self, sequence: u32) -> Option<u32> {
        let behind = self.next_sequence.wrapping_sub(sequence);
        if behind >> 31 == 0 { Some(behind) } else { None }
    }
}

/// Reads `chunk[..len]` on, and returns the rule that a byte of it completed, or [`NO_RULE`].
///
/// `peer` is what the other side has said. Reading stops at the completing byte, and behind a head
/// ([`Reader::is_behind_head`]).
#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    reason = "every index is masked to its table's size, which both the compiler and the verifier see"
)]
pub fn read(
    reader: &mut Reader,
    signatures: &Signatures,
    peer: u64,
    chunk: &[u8; CHUNK],
    len: usize,
    calls: &impl Calls,
) -> u32 {
    let mut place = Place(reader.place);
    let mut state = place.state();
    let mut level = place.level();
    let mut automaton = u64::from(reader.automaton & STATE_MASK);
    let mut found = NO_RULE;
    let mut position = 0;
    while position < CHUNK {
        if position >= len {
            break;
        }
        let byte = chunk[position];
        position += 1;
        let cell = Cell::at(state, byte);
        let symbol = if cell.is_slow() {
            place = Place(calls.act(place.0, cell.0, u64::from(byte)));
            state = place.state();
            level = place.level();
            reader.message &= cell.keeps_message();
            if state == u64::from(lexer::FRAMED) {
                break;
            }
            cell.get_symbol(place.escaped(), 0)
        } else {
            state = cell.next();
            cell.get_symbol(u64::from(byte), level)
        };
        let class = u64::from(signatures.symbol_class[symbol]);
        let index = (automaton * SYMBOL_CLASSES as u64 + class) as usize;
        automaton = u64::from(signatures.next[index & (CELLS - 1)]);
        if automaton & u64::from(ACCEPTS) != 0 {
            let tokens = signatures.accepts[automaton as usize & (MAX_STATES - 1)];
            reader.message |= tokens;
            reader.said |= tokens;
            found = calls.rule_matching(reader.message, reader.said, peer);
            if found != NO_RULE {
                break;
            }
        }
    }
    reader.place = place.in_state(state).0;
    reader.automaton = reader.automaton & !STATE_MASK | automaton as u16 & STATE_MASK;
    reader.bytes = reader.bytes.wrapping_add(position as u32);
    found
}

const _: () = assert!(size_of::<Reader>() == 48);
const _: () = assert!(MAX_STATES == 1 << STARTED_SHIFT);
