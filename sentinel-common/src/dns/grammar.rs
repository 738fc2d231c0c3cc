//! What follows what in a DNS message (RFC 1035 section 4.1).

use super::{Act, Dns, MAX_RECORDS, flag, state};
use crate::names::{NameKey, Suffixes};

const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl Dns {
    /// Acts on a part that is complete.
    #[inline(always)]
    pub(super) fn complete(&mut self, key: NameKey) -> Act {
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
        self.name_len = 0;
        self.field(state::NAME, 1)
    }

    /// A label's length in the question's name, which is never compressed: it is the first name.
    #[inline(always)]
    const fn name(&mut self, key: NameKey) -> Act {
        let [len, ..] = self.field;
        self.name_len = self.name_len.wrapping_add(len).wrapping_add(1);
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
    pub(super) const fn field(&mut self, state: u8, len: u32) -> Act {
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

    /// Behind a message.
    #[inline(always)]
    pub(super) const fn after_message(&mut self) {
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
