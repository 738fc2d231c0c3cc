//! DNS messages (RFC 1035 section 4), of datagrams and of streams, wherever they are cut.
//!
//! [`Dns`] says what the next bytes are: a field to be collected, a label of the question's name to
//! be hashed, or bytes to be passed over; whoever has the bytes hands them over in pieces of any
//! size and is told when the question is complete and when an address is. A compressed name is two
//! bytes that are passed over, never followed, so nothing loops.

use crate::address::{Address, from_v4};
use crate::names::{MAX_LABELS, NameKey, Suffixes, finish, lower};

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
    reserved: u8,
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
            reserved: 0,
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
            let byte = if byte == b'.' { 0xff } else { lower(byte) };
            suffixes.push(byte);
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

    #[inline(always)]
    fn complete(&mut self, key: NameKey) -> Act {
        match self.state {
            state::LENGTH => {
                self.rest = self.word(0) as u32;
                self.flags = flag::STREAM;
                self.field(state::HEADER, 12)
            }
            state::HEADER => self.header(key),
            state::NAME => self.name(key),
            state::LABEL => self.field(state::NAME, 1),
            state::QUESTION => self.question(),
            state::OWNER => self.owner(),
            state::OWNER_LABEL => self.field(state::OWNER, 1),
            state::RECORD => self.record(0),
            state::POINTED => self.record(1),
            state::ADDRESS => {
                self.next_record();
                Act::Address
            }
            state::DATA => self.next_record(),
            _ => {
                self.after_message();
                Act::None
            }
        }
    }

    /// RFC 1035 section 4.1.1. Other operations, errors, and messages with more than one question
    /// are none of ours.
    #[inline(always)]
    const fn header(&mut self, key: NameKey) -> Act {
        let [_, _, high, low, ..] = self.field;
        self.id = self.word(0);
        self.records = self.word(6);
        if self.records > MAX_RECORDS {
            self.records = MAX_RECORDS;
        }
        self.flags = self.flags & flag::STREAM | (high >> 7) << 1;
        if high >> 3 & 15 != 0 || low & 15 != 0 || self.word(4) != 1 {
            self.ignore();
            return Act::None;
        }
        self.hashes = Suffixes::new(key).parts();
        self.whole = key.seed;
        self.field(state::NAME, 1)
    }

    /// A label's length in the question's name, which is never compressed: it is the first name.
    #[inline(always)]
    const fn name(&mut self, key: NameKey) -> Act {
        let [len, ..] = self.field;
        if len == 0 {
            return self.field(state::QUESTION, 4);
        }
        if len > 63 {
            return self.malformed();
        }
        if self.flags & flag::NAMED != 0 {
            let mut suffixes = Suffixes::resume(key, self.hashes);
            suffixes.push(b'.');
            self.hashes = suffixes.parts();
            self.whole = key.step(self.whole, b'.');
        }
        self.flags |= flag::NAMED;
        self.pass(state::LABEL, len as u32)
    }

    /// Behind the question's name: type and class.
    #[inline(always)]
    const fn question(&mut self) -> Act {
        if self.word(2) != CLASS_IN {
            self.ignore();
            return Act::None;
        }
        if self.is_answer() {
            self.next_record();
        } else {
            self.ignore();
        }
        Act::Question
    }

    /// An owner's name: labels up to the root or a pointer (RFC 1035 section 4.1.4).
    #[inline(always)]
    const fn owner(&mut self) -> Act {
        let [len, ..] = self.field;
        match len {
            0 => self.field(state::RECORD, 10),
            1..=63 => self.pass(state::OWNER_LABEL, len as u32),
            0xc0..=0xff => self.field(state::POINTED, 11),
            _ => self.malformed(),
        }
    }

    /// Type, class, time to live and length of a record (RFC 1035 section 4.1.3), from `at` on.
    #[inline(always)]
    const fn record(&mut self, at: usize) -> Act {
        let (kind, class, len) = (self.word(at), self.word(at + 2), self.word(at + 8) as u32);
        let ttl = (self.word(at + 4) as u32) << 16 | self.word(at + 6) as u32;
        // RFC 2181 section 8: with the highest bit set it is zero.
        self.ttl = if ttl >> 31 == 0 { ttl } else { 0 };
        let is_v4 = kind == TYPE_A && len == 4;
        let is_v6 = kind == TYPE_AAAA && len == 16;
        if class == CLASS_IN && (is_v4 || is_v6) {
            self.flags = self.flags & !flag::V6 | (is_v6 as u8) << 3;
            return self.field(state::ADDRESS, len);
        }
        if len == 0 {
            return self.next_record();
        }
        self.pass(state::DATA, len)
    }

    #[inline(always)]
    const fn next_record(&mut self) -> Act {
        if self.records == 0 {
            self.ignore();
            return Act::None;
        }
        self.records -= 1;
        self.field(state::OWNER, 1)
    }

    /// A field of `len` bytes.
    #[inline(always)]
    const fn field(&mut self, state: u8, len: u32) -> Act {
        self.have = 0;
        self.pass(state, len)
    }

    /// A part of `len` bytes, which the message must have.
    #[inline(always)]
    const fn pass(&mut self, state: u8, len: u32) -> Act {
        if len > self.rest {
            return self.malformed();
        }
        self.state = state;
        self.left = len;
        Act::None
    }

    #[inline(always)]
    const fn malformed(&mut self) -> Act {
        self.ignore();
        Act::Malformed
    }

    #[inline(always)]
    const fn after_message(&mut self) {
        if self.flags & flag::STREAM == 0 {
            self.stop();
        } else {
            self.state = state::LENGTH;
            self.left = 2;
            self.have = 0;
        }
    }

    /// Two bytes of the field as a number.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a masked index is one of the sixteen bytes")]
    const fn word(&self, at: usize) -> u16 {
        (self.field[at & 15] as u16) << 8 | self.field[(at + 1) & 15] as u16
    }
}

#[inline(always)]
const fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

const _: () = {
    assert!(size_of::<Dns>() == 96);
    assert!(state::FIELDS_END < state::LABEL);
};
