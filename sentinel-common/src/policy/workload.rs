//! Who a policy is about.

use super::Match;
use crate::address::Address;
use crate::flow::Direction;
use crate::limits::{MAX_POLICIES, MAX_POLICIES_PER_WORKLOAD};
use crate::verdict::Mode;

/// Key of a workload: a slot of the policy sets, and a cgroup2 id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// The id, which is the inode number of the cgroup's directory.
    pub cgroup: u64,
    /// The set's slot, 0 or 1.
    pub slot: u32,
    /// Keeps the size a multiple of eight; zero.
    pub reserved: u32,
}

impl WorkloadKey {
    /// The key of a cgroup in a slot.
    #[inline(always)]
    #[must_use]
    pub const fn new(slot: u8, cgroup: u64) -> Self {
        Self { cgroup, slot: slot as u32, reserved: 0 }
    }
}

/// The policies on a workload.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Policies in use.
    pub count: u8,
    /// [`Binding::CLOSED_BELOW`].
    pub flags: u8,
    /// What a mining-pool message of the workload leads to: a [`Mode`].
    pub stratum: u8,
    /// Zero.
    pub reserved: u8,
    /// Indexes into [`PolicyTable::heads`], the first `count` of them in use.
    pub policies: [u16; MAX_POLICIES_PER_WORKLOAD],
}

impl Binding {
    /// Flag: a cgroup beneath this one that nobody has named yet may reach nothing.
    pub const CLOSED_BELOW: u8 = 1;
    /// No policy, and mining is cut.
    pub const NONE: Self = Self {
        count: 0,
        flags: 0,
        stratum: Mode::Enforce as u8,
        reserved: 0,
        policies: [0; MAX_POLICIES_PER_WORKLOAD],
    };

    /// What a mining-pool message of the workload leads to.
    #[inline(always)]
    #[must_use]
    pub const fn stratum(&self) -> Mode {
        Mode::or_strictest(self.stratum)
    }
}

/// What is to be known of a policy before its rules are asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyHead {
    /// A [`Mode`]; `Off` is a slot without a policy.
    pub mode: u8,
    /// Bit `1 << Direction`: what no rule allows in this direction is denied.
    pub isolates: u8,
    /// Bit `1 << Direction`: there are rules on prefixes.
    pub prefixes: u8,
    /// Bit `1 << Direction`: there are rules on names.
    pub names: u8,
}

impl PolicyHead {
    /// Its mode.
    #[inline(always)]
    #[must_use]
    pub const fn mode(self) -> Mode {
        Mode::or_strictest(self.mode)
    }

    /// What the policy says of a packet that may end anywhere: where it has a word on this direction, none
    /// of its rules can be asked.
    #[inline(always)]
    #[must_use]
    pub const fn on_anywhere(self, direction: Direction) -> Match {
        let speaks = self.isolates | self.prefixes | self.names;
        Match::deny((speaks >> direction as u8 & 1) as u16)
    }

    /// Whether what no rule allows is denied.
    #[inline(always)]
    #[must_use]
    pub const fn isolates(self, direction: Direction) -> bool {
        self.isolates >> direction as u8 & 1 == 1
    }
}

/// All policies of a set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    /// The policies on what lies in no workload.
    pub node: Binding,
    /// The policies; 0 is none.
    pub heads: [PolicyHead; MAX_POLICIES],
}

/// A peer that a socket has sent a datagram to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called {
    /// The socket's cookie.
    pub cookie: u64,
    /// The peer's address.
    pub remote: Address,
    /// Its port in the low half; the protocol above it.
    pub port: u32,
    /// Keeps the size a multiple of eight; zero.
    pub reserved: u32,
}

/// Whose rules a trie's entry is of: a slot, a direction and a policy in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u32);

impl Scope {
    /// The word.
    #[inline(always)]
    #[must_use]
    pub const fn new(slot: u8, direction: Direction, policy: u16) -> Self {
        Self((slot as u32 & 1) << 31 | (direction as u32) << 30 | policy as u32)
    }

    /// As a trie's key begins.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }
}

const _: () = {
    assert!(size_of::<WorkloadKey>() == 16);
    assert!(size_of::<Called>() == 32);
    assert!(size_of::<Binding>() == 4 + 2 * MAX_POLICIES_PER_WORKLOAD);
    assert!(size_of::<PolicyTable>() == size_of::<Binding>() + 4 * MAX_POLICIES);
};
