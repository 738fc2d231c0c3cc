//! The rules of one policy on one prefix.

use super::{ICMP, ICMPV6, Request};
use crate::address::Address;
use crate::limits::MAX_PORT_RANGES;

/// Key of the prefix trie behind its length: whose rules, then the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixKey {
    /// A [`super::Scope`], in the host's byte order; always matched in full.
    pub scope: [u8; 4],
    /// The prefix, in network byte order.
    pub address: Address,
}

/// Bits of a [`PrefixKey`] that come before the address.
pub const SCOPE_BITS: u32 = 32;
/// Bits of a whole [`PrefixKey`].
pub const KEY_BITS: u32 = SCOPE_BITS + 128;

/// Flag of a [`PortRange`] that is all there is of its protocol, so that unknown ports match too.
pub const ANY_PORT: u8 = 1;
/// Flag of a [`PortRange`] that denies.
pub const DENY: u8 = 2;
/// Flag of a [`PortRange`] that allows a TLS connection whose ClientHello names a server of the rule's,
/// and nothing else; what `DEMANDS` in a [`Match`] comes from.
pub const SERVER_NAME: u8 = 4;
/// Rules of one policy that can be numbered.
pub const MAX_RULES: u16 = DEMANDS - 1;
/// Bit of an allowing rule's number in a [`Match`].
const DEMANDS: u16 = 1 << 15;

/// Ports of one protocol.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port, host byte order.
    pub first: u16,
    /// Last port, inclusive.
    pub last: u16,
    /// IP protocol number; 0 is any, `IPPROTO_ICMP` is ICMPv6 as well.
    pub protocol: u8,
    /// [`ANY_PORT`], [`DENY`] and [`SERVER_NAME`].
    pub flags: u8,
    /// Number of the rule in its policy, from 1 to [`MAX_RULES`].
    pub rule: u16,
}

impl PortRange {
    /// What its rule says of whom it names.
    #[inline(always)]
    const fn says(&self) -> Match {
        if self.flags & DENY == 0 {
            // Without a branch, which the verifier would follow at each of the ranges.
            let demands = (self.flags & SERVER_NAME) as u16 * (DEMANDS / SERVER_NAME as u16);
            Match::allow(self.rule | demands)
        } else {
            Match::deny(self.rule)
        }
    }

    /// A slot that holds no range.
    pub const UNUSED: Self = Self { first: 1, last: 0, protocol: 0, flags: 0, rule: 0 };

    /// Whether what is asked for is of this range.
    #[inline(always)]
    #[must_use]
    pub const fn names(&self, request: &Request) -> bool {
        let asked = if request.protocol == ICMPV6 { ICMP } else { request.protocol };
        let any_port = self.flags & ANY_PORT != 0;
        let port = match request.port {
            Some(port) => any_port || (self.first <= port && port <= self.last),
            None => any_port,
        };
        (self.protocol == 0 || self.protocol == asked) & port
    }
}

/// What a policy says of the addresses under a prefix; what it says of the prefixes around it is
/// carried along, since a trie gives the longest one only.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixRules {
    /// Ranges in use.
    pub count: u32,
    /// The ranges, first `count` of them in use.
    pub ranges: [PortRange; MAX_PORT_RANGES],
}

impl PrefixRules {
    /// Nothing is named: a hole in a wider prefix.
    pub const NONE: Self = Self { count: 0, ranges: [PortRange::UNUSED; MAX_PORT_RANGES] };

    /// The first rule that allows, and the first that denies.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, request: &Request) -> Match {
        let mut found = Match::NONE;
        for (index, range) in self.ranges.iter().enumerate() {
            if index as u32 >= self.count {
                break;
            }
            if range.names(request) {
                found = found.or(range.says());
            }
        }
        found
    }
}

/// What one policy says: the rule that allows in the lower half, the one that denies in the upper; 0 is
/// none. The upper bit of the lower half says that the rule demands a server's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match(pub u32);

impl Match {
    /// No rule names it.
    pub const NONE: Self = Self(0);

    /// This rule allows.
    #[inline(always)]
    #[must_use]
    pub const fn allow(rule: u16) -> Self {
        Self(rule as u32)
    }

    /// This rule denies.
    #[inline(always)]
    #[must_use]
    pub const fn deny(rule: u16) -> Self {
        Self((rule as u32) << 16)
    }

    /// The rule that allows, or 0.
    #[inline(always)]
    #[must_use]
    pub const fn allowing(self) -> u16 {
        self.0 as u16 & MAX_RULES
    }

    /// Whether what allows does so on a condition: the ClientHello has yet to name a server of the rule's.
    #[inline(always)]
    #[must_use]
    pub const fn demands(self) -> bool {
        self.0 as u16 & DEMANDS != 0
    }

    /// The same without the permission that has a condition.
    #[inline(always)]
    #[must_use]
    pub const fn unconditional(self) -> Self {
        if self.demands() { Self(self.0 & 0xffff_0000) } else { self }
    }

    /// The same where the condition is met; without one, nothing is allowed.
    #[inline(always)]
    #[must_use]
    pub const fn met(self) -> Self {
        if self.demands() { Self(self.0 & !(DEMANDS as u32)) } else { Self(self.0 & 0xffff_0000) }
    }

    /// The rule that denies, or 0.
    #[inline(always)]
    #[must_use]
    pub const fn denying(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// 0 for a permission without a condition, 1 for one that has one, 2 for none; without a branch.
    #[inline(always)]
    const fn order(word: u32) -> u32 {
        let allow = word & 0xffff;
        (allow >> 15) + 2 * (1 - ((allow + 0xffff) >> 16))
    }

    /// Both; where both name a rule of a kind, that of `self`, but a permission without a condition before
    /// one that has one.
    #[inline(always)]
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        // In this order: no condition, a condition, nothing. Among equals `self` is the first.
        let (mine, others) = (Self::order(self.0), Self::order(other.0));
        let allow = if others < mine { other.0 & 0xffff } else { self.0 & 0xffff };
        let deny = if self.denying() == 0 { other.0 >> 16 } else { self.0 >> 16 };
        Self(deny << 16 | allow)
    }
}

const _: () = {
    assert!(size_of::<PrefixKey>() == 20);
    assert!(size_of::<PortRange>() == 8);
    assert!(size_of::<PrefixRules>() == 4 + 8 * MAX_PORT_RANGES);
};
