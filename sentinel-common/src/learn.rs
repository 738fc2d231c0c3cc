//! What is learned of names: which patterns an address stands for, and when an answer may say so.
//!
//! The packet hooks learn; userspace alone takes away, so nothing ends while no agent runs. An entry
//! is never changed into another and never taken away where the programs write: they write to one
//! of two *sides*, and userspace, which turns to the other side now and then, moves what still holds
//! over before it removes it from the side left behind. Whoever looks, looks at the side left behind
//! first. So an address that an answer has opened is found at every moment, whatever userspace does.

use crate::address::{Address, is_v4};
use crate::dns::Dns;
use crate::limits::CHUNK;
use crate::verdict::wire_enum;

/// Patterns that an address can stand for, on either side.
pub const MAX_SHARED: u32 = 8;
/// Addresses and patterns that can be learned, counted together.
pub const MAX_LEARNED: usize = 65_536;
/// Names and suffixes that policies may hold, all together.
pub const MAX_FQDNS: usize = 65_536;
/// What policies may allow to patterns; two sets are resident while one replaces the other.
pub const MAX_NAME_RULES: usize = 65_536;
/// Resolvers that may teach.
pub const MAX_RESOLVERS: usize = 1024;
/// Questions under way, in slot [`question_slot`].
pub const QUESTION_SLOTS: usize = 65_536;
/// Messages that are read at the same moment, on all CPUs.
pub const MAX_READINGS: usize = 1024;

/// What the patterns say of a name: the key is its hash ([`crate::names::NameKey::hash`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FqdnEntry {
    /// Number of the pattern that is this name, 0 for none.
    pub exact: u32,
    /// Number of the pattern that is everything below this name, 0 for none.
    pub suffix: u32,
    /// [`opens`], for `exact` and, shifted by [`opens::SUFFIX`], for `suffix`.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// Which addresses besides public ones a pattern may open: the policy must say so.
pub mod opens {
    /// Private networks ([`super::Scope::Private`]).
    pub const PRIVATE: u32 = 1;
    /// This host and its link ([`super::Scope::Local`]).
    pub const LOCAL: u32 = 2;
    /// No pattern has this one.
    pub const NEVER: u32 = 4;
    /// Bits by which the flags of a suffix are shifted.
    pub const SUFFIX: u32 = 8;
}

/// An address, and its how-manieth pattern on which side: [`LearnedKey::place`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LearnedKey {
    /// The address, v4-mapped.
    pub address: Address,
    /// Below [`MAX_SHARED`] on side 0, from there on side 1. The places of a side are taken from the
    /// first on, and given back from the last.
    pub place: u32,
}

impl LearnedKey {
    /// The place with this number on a side.
    #[inline(always)]
    #[must_use]
    pub const fn place(side: u32, index: u32) -> u32 {
        (side & 1) * MAX_SHARED + index
    }
}

/// A pattern that an address stands for. That it is there is the permission.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The pattern's number in the lower half, a sum over the address in the upper one: one word, so
    /// that whoever still looks at an entry whose room has since gone to another sees that it has.
    identity: u64,
    /// When userspace may take it away, nanoseconds of `CLOCK_MONOTONIC`.
    pub expires: u64,
}

impl Learned {
    /// That an address stands for a pattern until then.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: &Address, pattern: u32, expires: u64) -> Self {
        Self { identity: identity(address, pattern), expires }
    }

    /// The pattern's number, if this is still the entry of this address.
    #[inline(always)]
    #[must_use]
    pub const fn pattern_of(&self, address: &Address) -> Option<u32> {
        let now = self.identity;
        let pattern = now as u32;
        if now == identity(address, pattern) { Some(pattern) } else { None }
    }
}

#[inline(always)]
const fn identity(address: &Address, pattern: u32) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    let high = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    let low = u64::from_ne_bytes([i, j, k, l, m, n, o, p]);
    let sum = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    sum >> 32 << 32 | pattern as u64
}

/// What a policy allows to the addresses of a pattern: the value is a
/// [`crate::policy::PrefixRules`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameRuleKey {
    /// A [`crate::policy::Scope`].
    pub scope: u32,
    /// The pattern's number.
    pub pattern: u32,
}

/// A question that a socket has asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuestionSlot {
    /// The socket's cookie; the slot may since belong to another socket.
    pub cookie: u64,
    /// Hash of the name.
    pub name: u64,
    /// The message's id, and 1 << 16 once it was answered.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
}

impl QuestionSlot {
    /// Set in `id` once an answer came.
    pub const ANSWERED: u32 = 1 << 16;
}

/// The slot of a question.
#[inline(always)]
#[must_use]
pub const fn question_slot(cookie: u64, id: u16, name: u64) -> u32 {
    let mixed = (cookie ^ (id as u64) << 40 ^ name).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as u32 & (QUESTION_SLOTS as u32 - 1)
}

/// Where a message or a stream of them stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In the message.
    pub dns: Dns,
    /// 1 once the question was found to be ours: its addresses are learned.
    pub asked: u32,
    /// What the resolver's entry says: [`resolver`].
    pub resolver: u32,
}

impl Place {
    /// A sum over all of it, never 0.
    #[inline(always)]
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.dns.sum(u64::from(self.asked) << 32 | u64::from(self.resolver))
    }
}

/// A message that is being read, or a part of a stream: with all the room that its reading takes,
/// for the programs' stack has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where it stands.
    pub place: Place,
    /// Where the kernel keeps the packet's socket.
    pub socket: u64,
    /// A piece of the packet.
    pub room: [u8; CHUNK],
    /// What is learned.
    pub learned: Learned,
    /// And where to.
    pub key: LearnedKey,
    /// Zero.
    pub reserved: u32,
}

/// One direction of a stream between its segments. The sum tells a state that two CPUs wrote at the
/// same time from one that somebody meant.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands.
    pub place: Place,
    /// 0 before the first segment.
    pub begun: u64,
    /// [`Place::sum`]
    pub sum: u64,
}

/// What a resolver's entry says.
pub mod resolver {
    /// Its answers may come over the loopback device: it is on this host.
    pub const ON_HOST: u32 = 1;
}

wire_enum! {
    /// What became of an answer that names an address of ours: every one is a metric.
    Lesson {
        /// An address was learned, or its time prolonged.
        Learned = 0 => "learned",
        /// Nobody on that socket had asked.
        Unasked = 1 => "unasked",
        /// It came from where anyone can pretend to be a resolver: a network namespace of
        /// somebody's own, or a loopback device that is not the host's.
        Foreign = 2 => "foreign",
        /// The address is private, local or nobody's, and the pattern does not open those.
        Scope = 3 => "scope",
        /// The address stands for as many patterns as there is room for.
        Shared = 4 => "shared",
        /// The map is full.
        Full = 5 => "full",
        /// The message is malformed.
        Malformed = 6 => "malformed",
        /// The message could not be read: a gap in its stream, or no room for what is read.
        Unread = 7 => "unread",
        /// A question's slot was taken over before it was answered.
        Forgotten = 8 => "forgotten",
    }
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anyone's.
    Public,
    /// A private network's: RFC 1918, RFC 4193, RFC 6598 (shared address space), RFC 2544 (benchmarks),
    /// site-local.
    Private,
    /// This host, its link or its cloud: loopback, link-local, and the metadata services wherever
    /// they are.
    Local,
    /// Nobody's that one could connect to: unspecified, multicast, broadcast, reserved.
    Nobody,
}

impl Scope {
    /// Whose this address is. An IPv4 address within an IPv6 one (RFC 6052, RFC 3056, RFC 4291
    /// 2.5.5.1) counts as the IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn of(address: &Address) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
        let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let low = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
        if is_v4(address) || (high == 0x0064_ff9b << 32 && low >> 32 == 0) {
            return Self::of_v4(low as u32);
        }
        if high == 0 && low >> 32 == 0 {
            // `::` and `::1`, and otherwise IPv4-compatible.
            return if low == 0 {
                Self::Nobody
            } else if low == 1 {
                Self::Local
            } else {
                Self::of_v4(low as u32)
            };
        }
        if high >> 48 == 0x2002 {
            return Self::of_v4((high >> 16) as u32);
        }
        if high == 0xfd00_0ec2 << 32 && low == 0x254 {
            return Self::Local;
        }
        match high >> 56 {
            0xff => Self::Nobody,
            0xfc | 0xfd => Self::Private,
            0xfe if high >> 54 == 0xfe80 >> 6 => Self::Local,
            0xfe if high >> 54 == 0xfec0 >> 6 => Self::Private,
            // RFC 8215: translation of local use.
            _ if high >> 16 == 0x0064_ff9b_0001 => Self::Private,
            _ => Self::Public,
        }
    }

    #[inline(always)]
    const fn of_v4(v4: u32) -> Self {
        // Metadata services at addresses that look otherwise: Alibaba's, Oracle's, Azure's.
        if matches!(v4, 0x6464_64c8 | 0xc000_00c0 | 0xa83f_8110) {
            return Self::Local;
        }
        let [a, b, c, _] = v4.to_be_bytes();
        match (a, b) {
            (0 | 224..=255, _) => Self::Nobody,
            (127, _) | (169, 254) => Self::Local,
            (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) | (198, 18 | 19) => {
                Self::Private
            }
            // RFC 6890: IETF protocol assignments.
            (192, 0) if c == 0 => Self::Private,
            _ => Self::Public,
        }
    }

    /// The flags ([`opens`]) that a pattern needs to open addresses of this scope: for nobody's, one that
    /// no pattern has.
    #[inline(always)]
    #[must_use]
    pub const fn needs(self) -> u32 {
        match self {
            Self::Public => 0,
            Self::Private => opens::PRIVATE,
            Self::Local => opens::LOCAL,
            Self::Nobody => opens::NEVER,
        }
    }
}

const _: () = {
    assert!(size_of::<FqdnEntry>() == 16);
    assert!(size_of::<LearnedKey>() == 20);
    assert!(size_of::<Learned>() == 16);
    assert!(size_of::<QuestionSlot>() == 24);
    assert!(size_of::<Place>() == 104);
    assert!(size_of::<Reading>() == 104 + 8 + CHUNK + 16 + 24);
    assert!(size_of::<Kept>() == 120);
    assert!(QUESTION_SLOTS.is_power_of_two());
};
