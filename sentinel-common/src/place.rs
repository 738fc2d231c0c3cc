//! The lexer's place in a message: how deep, in what, and in which state.

use crate::lexer::{
    ARRAY, BETWEEN, Cell, DEEP, FRAMED, OBJECT_AFTER, OBJECT_KEY, RESYNC, RESYNC_LINE, STOPPED,
    UNNAMED, action,
};
use crate::limits::KIND_DEPTH;

/// The part of the lexer's state that most bytes leave alone, packed into one word: bits 0..30 the
/// kind of each container around this place (innermost in bit 0, 1 is an object), 30..32 the level
/// as symbols tell it, 32..41 the number of containers, 41 whether this message is the last to be
/// read, 42..58 the hexadecimal digits of an escape, 58..64 the state.
///
/// The level could be computed from the depth; kept here, the reader needs no branch for it, and a
/// branch in its loop doubles what the verifier has to follow.
#[derive(Clone, Copy)]
pub struct Place(pub u64);

impl Place {
    const DEPTH_MAX: u64 = 511;
    const LAST: u64 = 1 << 41;
    const KINDS: u64 = (1 << KIND_DEPTH) - 1;

    /// The lexer's state.
    #[inline(always)]
    #[must_use]
    pub const fn state(self) -> u64 {
        self.0 >> 58
    }
    /// The same place in another state.
    #[inline(always)]
    #[must_use]
    pub const fn in_state(self, state: u64) -> Self {
        Self(self.0 << 6 >> 6 | state << 58)
    }
    /// Depth as symbols tell it: 1, 2, or 3 for all below.
    #[inline(always)]
    #[must_use]
    pub const fn level(self) -> u64 {
        self.0 >> 30 & 3
    }
    /// The character of a completed escape; [`UNNAMED`] when it is no printable ASCII.
    #[inline(always)]
    #[must_use]
    pub const fn escaped(self) -> u64 {
        self.0 >> 42 & 0xff
    }
    const fn depth(self) -> u64 {
        self.0 >> 32 & Self::DEPTH_MAX
    }
    const fn kinds(self) -> u64 {
        self.0 & Self::KINDS
    }
    const fn digits(self) -> u64 {
        self.0 >> 42 & 0xffff
    }
    /// The same place, with inspection to end where the message under way ends.
    #[inline(always)]
    #[must_use]
    pub const fn at_last_message(self) -> Self {
        if self.state() == BETWEEN as u64 || self.state() == RESYNC_LINE as u64 {
            return self.in_state(STOPPED as u64);
        }
        Self(self.0 | Self::LAST)
    }
    const fn is_last(self) -> bool {
        self.0 & Self::LAST != 0
    }
    /// The same place in a message that was or was not the last one to be read.
    const fn carry(self, from: Self) -> Self {
        Self(self.0 | from.0 & Self::LAST)
    }
    const fn new(state: u64, digits: u64, depth: u64, kinds: u64) -> Self {
        let level = if depth > 3 { 3 } else { depth };
        let depth = depth & Self::DEPTH_MAX;
        Self(
            state << 58 | (digits & 0xffff) << 42 | depth << 32 | level << 30 | kinds & Self::KINDS,
        )
    }
    /// One container more below `KIND_DEPTH`. Beyond what can be counted, the way back up cannot be
    /// told: the place is lost until the next line. (No branch: see [`Place`].)
    const fn deeper(self) -> Self {
        let depth = self.depth() + 1;
        let uncounted = depth >> 9;
        let state = DEEP as u64 - uncounted * (DEEP - RESYNC) as u64;
        Self::new(state, 0, depth - uncounted, self.kinds())
    }
    const fn enter(self, object: u64) -> Self {
        if self.depth() >= KIND_DEPTH as u64 {
            return self.deeper();
        }
        let state = if object == 1 { OBJECT_KEY } else { ARRAY };
        Self::new(state as u64, 0, self.depth() + 1, self.kinds() << 1 | object)
    }
    const fn leave(self) -> Self {
        let kinds = self.kinds() >> 1;
        if self.depth() <= 1 {
            let state = if self.is_last() { STOPPED } else { BETWEEN };
            return Self::new(state as u64, 0, 0, 0);
        }
        let state = if kinds & 1 == 1 { OBJECT_AFTER } else { ARRAY };
        Self::new(state as u64, 0, self.depth() - 1, kinds)
    }
    const fn leave_deep(self) -> Self {
        let depth = self.depth().saturating_sub(1);
        let state = if depth > KIND_DEPTH as u64 {
            DEEP
        } else if self.kinds() & 1 == 1 {
            OBJECT_AFTER
        } else {
            ARRAY
        };
        Self::new(state as u64, 0, depth, self.kinds())
    }
    /// Adds a digit: '0'..'9' end in 0..9; 'a'..'f' and 'A'..'F' end in 1..6 and have bit 6 set.
    const fn digit(self, byte: u64, state: u64, last: bool) -> Self {
        let digits = self.digits() << 4 | ((byte & 15) + (byte >> 6 & 1) * 9) & 15;
        let digits = digits & 0xffff;
        let printable = digits >= 0x20 && digits < 0x7f;
        let digits = if last && !printable { UNNAMED as u64 } else { digits };
        Self::new(state, digits, self.depth(), self.kinds())
    }
}

/// Carries out a cell's action: the place after `byte`. `cell` is a [`Cell`], `place` a [`Place`].
///
/// Words in, word out, so that the kernel can have it as a function of its own, which the verifier
/// checks once instead of at each of a chunk's bytes.
#[inline(always)]
#[must_use]
pub const fn act(place: u64, cell: u64, byte: u64) -> u64 {
    let (place, cell) = (Place(place), Cell(cell));
    match cell.get_action() {
        action::MESSAGE => Place::new(OBJECT_KEY as u64, 0, 1, 1),
        action::PUSH_OBJECT => place.enter(1),
        action::PUSH_ARRAY => place.enter(0),
        action::POP => place.leave(),
        action::PUSH_DEEP => place.deeper(),
        action::POP_DEEP => place.leave_deep(),
        action::HEAD => Place::new(cell.next(), 0, 0, 0),
        action::NEXT_HEAD if place.is_last() => Place::new(STOPPED as u64, 0, 0, 0),
        action::NEXT_HEAD => Place::new(cell.next(), 0, 0, 0),
        action::HEAD_END => Place::new(FRAMED as u64, 0, 0, 0),
        action::HEX => place.digit(byte, cell.next(), false),
        _ => place.digit(byte, cell.next(), true),
    }
    .carry(place)
    .0
}

const _: () = assert!(KIND_DEPTH == 30);
