//! DNS messages (RFC 1035 section 4), of datagrams and of streams, wherever they are cut.
//!
//! [`Dns`] says what the next bytes are: a field to be collected, a label of the question's name to
//! be hashed, or bytes to be passed over; whoever has the bytes hands them over in pieces of any
//! size and is told when the question is complete and when an address is. A compressed name is two
//! bytes that are passed over, never followed, so nothing loops.

use crate::address::{Address, from_v4};
use crate::names::{MAX_LABELS, NameKey, Suffixes, finish, lower};

mod grammar;

/// Port of DNS, over UDP and TCP.
pub const PORT: u16 = 53;
/// Answer records of a message that are looked at.
pub const MAX_RECORDS: u16 = 512;
/// Bytes of the longest field: an IPv6 address.
pub const FIELD: usize = 16;

/// What the next bytes are.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To be collected.
    Field = 0,
    /// A piece of a label of the question's name.
    Label = 1,
    /// Of no interest.
    Pass = 2,
}

/// What a piece completed.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing that anyone acts on.
    None = 0,
    /// The question: of class IN, in a message that has no other. [`Dns::ignore`] passes over what
    /// follows it.
    Question = 1,
    /// An address of class IN in the answer section: [`Dns::address`], [`Dns::ttl`].
    Address = 2,
    /// The message is malformed; the rest of it is passed over.
    Malformed = 3,
}

mod flag {
    /// Messages come one after another, each behind its length.
    pub const STREAM: u8 = 1;
    /// The message is an answer.
    pub const ANSWER: u8 = 2;
    /// The question's name has a label.
    pub const NAMED: u8 = 4;
    /// The address has 16 bytes.
    pub const V6: u8 = 8;
}

/// Where a direction stands. The states up to [`state::FIELDS_END`] collect a field.
mod state {
    pub const LENGTH: u8 = 0;
    pub const HEADER: u8 = 1;
    pub const NAME: u8 = 2;
    pub const QUESTION: u8 = 3;
    pub const OWNER: u8 = 4;
    /// Behind an owner's name that ended at the root.
    pub const RECORD: u8 = 5;
    /// The same behind a pointer, whose second byte is the first.
    pub const POINTED: u8 = 6;
    pub const ADDRESS: u8 = 7;
    pub const FIELDS_END: u8 = 7;
    pub const LABEL: u8 = 8;
    pub const OWNER_LABEL: u8 = 9;
    pub const DATA: u8 = 10;
    pub const REST: u8 = 11;
    pub const END: u8 = 12;
}

/// One direction of a conversation about names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    hashes: [u64; MAX_LABELS],
    whole: u64,
    field: [u8; FIELD],
    ttl: u32,
    /// Bytes left of the part.
    left: u32,
    /// Bytes left of the message.
    rest: u32,
    id: u16,
    /// Answer records left.
    records: u16,
    state: u8,
    flags: u8,
    /// Bytes of the field that are there.
    have: u8,
    /// Bytes of the question's name so far, as it is written in the message.
    name_len: u8,
    /// Sequence number of the stream's next byte: the driver's, not ours.
    pub sequence: u32,
}

impl Dns {
    /// Before a datagram of this many bytes.
    #[must_use]
    pub const fn datagram(len: u32) -> Self {
        let mut new = Self::stream();
        new.flags = 0;
        new.rest = len;
        new.field(state::HEADER, 12);
        new
    }

    /// Before the first byte of a stream.
    #[must_use]
    pub const fn stream() -> Self {
        Self {
            hashes: [0; MAX_LABELS],
            whole: 0,
            field: [0; FIELD],
            ttl: 0,
            left: 2,
            rest: 0,
            id: 0,
            records: 0,
            state: state::LENGTH,
            flags: flag::STREAM,
            have: 0,
            name_len: 0,
            sequence: 0,
        }
    }

    /// What the next bytes are.
    #[inline(always)]
    #[must_use]
    pub const fn part(&self) -> Part {
        if self.state <= state::FIELDS_END {
            Part::Field
        } else if self.state == state::LABEL {
            Part::Label
        } else {
            Part::Pass
        }
    }

    /// Bytes left of this part; more than there can be once nothing more is read.
    #[inline(always)]
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Whether nothing more is read: behind a datagram, or when the driver stopped.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.state == state::END
    }

    /// Reads nothing more.
    #[inline(always)]
    pub const fn stop(&mut self) {
        self.state = state::END;
        self.left = u32::MAX;
    }

    /// Whether the message is an answer (its QR bit is set), once its header is read.
    #[inline(always)]
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        self.flags & flag::ANSWER != 0
    }

    /// The message's id.
    #[inline(always)]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Bytes of the message up to the end of its question, once that is complete.
    #[inline(always)]
    #[must_use]
    pub const fn question_end(&self) -> u32 {
        // A header, the name, and the question's type and class.
        12 + self.name_len as u32 + 4
    }

    /// Whether it comes in a stream.
    #[inline(always)]
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.flags & flag::STREAM != 0
    }

    /// Bytes left of the message.
    #[inline(always)]
    #[must_use]
    pub const fn rest(&self) -> u32 {
        self.rest
    }

    /// Hash of the question's whole name, as [`NameKey::hash`] makes it.
    #[inline(always)]
    #[must_use]
    pub const fn whole(&self) -> u64 {
        finish(self.whole)
    }

    /// Hash of the name's last `index + 1` labels; a hash that no name has where there are fewer.
    #[inline(always)]
    #[must_use]
    pub fn suffix(&self, index: usize) -> u64 {
        self.hashes.get(index).map_or(0, |hash| finish(*hash))
    }

    /// The address just completed, v4-mapped.
    #[inline(always)]
    #[must_use]
    pub const fn address(&self) -> Address {
        if self.flags & flag::V6 != 0 {
            return self.field;
        }
        let [a, b, c, d, ..] = self.field;
        from_v4([a, b, c, d])
    }

    /// Its time to live, in seconds.
    #[inline(always)]
    #[must_use]
    pub const fn ttl(&self) -> u32 {
        self.ttl
    }

    /// A sum over the whole state and a seed; never 0.
    #[inline(always)]
    #[must_use]
    pub fn sum(&self, seed: u64) -> u64 {
        let [a, b] = self.words();
        let counts = u64::from(self.left) << 32 | u64::from(self.rest);
        let place = u64::from(self.id) << 48
            | u64::from(self.records) << 32
            | u64::from(self.state) << 16
            | u64::from(self.name_len) << 24
            | u64::from(self.flags) << 8
            | u64::from(self.have);
        let times = u64::from(self.ttl) << 32 | u64::from(self.sequence);
        let mut sum = seed;
        for word in self.hashes {
            sum = mix(sum, word);
        }
        for word in [self.whole, a, b, counts, place, times] {
            sum = mix(sum, word);
        }
        sum | 1
    }

    #[inline(always)]
    const fn words(&self) -> [u64; 2] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.field;
        [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
    }

    /// Passes over the rest of the message.
    #[inline(always)]
    pub const fn ignore(&mut self) {
        self.state = state::REST;
        self.left = self.rest;
        if self.left == 0 {
            self.after_message();
        }
    }

    /// A byte of a field, at the next place of it. The driver calls [`Dns::take`] for what it has put.
    #[inline(always)]
    pub fn put(&mut self, byte: u8) {
        if let Some(place) = self.field.get_mut((self.have & 15) as usize) {
            *place = byte;
        }
        self.have = self.have.wrapping_add(1);
    }

    /// A piece of a label: the first `len` of these bytes. A dot within a label is nobody's dot.
    #[inline(always)]
    pub fn label<'a>(&mut self, key: NameKey, bytes: impl Iterator<Item = &'a u8>, len: usize) {
        let mut suffixes = Suffixes::resume(key, self.hashes);
        let mut whole = self.whole;
        for (index, &byte) in bytes.enumerate() {
            if index >= len {
                break;
            }
            let byte = not_a_dot(lower(byte));
            suffixes.push_letter(byte);
            whole = key.step(whole, byte);
        }
        self.hashes = suffixes.parts();
        self.whole = whole;
    }

    /// Counts `len` bytes of the part as taken, at most [`Dns::left`]; acts on a part that they
    /// complete.
    #[inline(always)]
    pub fn take(&mut self, key: NameKey, len: u32) -> Act {
        if self.state == state::END {
            return Act::None;
        }
        self.left = self.left.saturating_sub(len);
        if self.state != state::LENGTH {
            self.rest = self.rest.saturating_sub(len);
        }
        if self.left == 0 { self.complete(key) } else { Act::None }
    }

    /// Takes one byte, whatever it is.
    pub fn feed(&mut self, key: NameKey, byte: u8) -> Act {
        match self.part() {
            Part::Field => self.put(byte),
            Part::Label => self.label(key, [byte].iter(), 1),
            Part::Pass => {}
        }
        self.take(key, 1)
    }
}

/// 0xff for a dot, without a branch.
#[inline(always)]
const fn not_a_dot(byte: u8) -> u8 {
    // Only zero borrows from the upper half.
    let same = ((byte ^ b'.') as u16).wrapping_sub(1) >> 8;
    byte | same as u8
}

#[inline(always)]
const fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

const _: () = {
    assert!(size_of::<Dns>() == 96);
    assert!(state::FIELDS_END < state::LABEL);
};
