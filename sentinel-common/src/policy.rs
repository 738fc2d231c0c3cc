//! The allowlist: what a destination is looked up by, and the one function that decides.

use crate::address::{Address, is_loopback};
use crate::limits::MAX_PORT_RANGES;
use crate::verdict::{Mode, Reason, Verdict};

/// `IPPROTO_TCP`.
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u8 = 17;
/// `IPPROTO_ICMPV6`.
pub const ICMPV6: u8 = 58;

/// Key of the prefix trie behind its length: which of the two resident sets, then the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixKey {
    /// The set's slot, 0 or 1; always matched in full.
    pub slot: [u8; 4],
    /// The prefix, in network byte order.
    pub address: Address,
}

/// Bits of a [`PrefixKey`] that come before the address.
pub const SLOT_BITS: u32 = 32;
/// Bits of a whole [`PrefixKey`].
pub const KEY_BITS: u32 = SLOT_BITS + 128;

/// Ports of one protocol.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port, host byte order.
    pub first: u16,
    /// Last port, inclusive.
    pub last: u16,
    /// IP protocol number; 0 is any.
    pub protocol: u8,
    /// 1 when this range is all there is of the protocol, so that unknown ports match too.
    pub any_port: u8,
    /// Number of the rule in its policy, for the event.
    pub rule: u16,
}

/// What is allowed to the addresses under a prefix, the prefixes around it included.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixRules {
    /// Ranges in use.
    pub count: u32,
    /// The ranges, first `count` of them in use.
    pub ranges: [PortRange; MAX_PORT_RANGES],
}

impl PortRange {
    /// A slot that holds no range.
    pub const UNUSED: Self = Self { first: 1, last: 0, protocol: 0, any_port: 0, rule: 0 };
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The other end, v4-mapped.
    pub remote: Address,
    /// IP protocol number.
    pub protocol: u8,
    /// The other end's port in host byte order, or `None` where the packet does not tell.
    pub port: Option<u16>,
    /// Type of an ICMP or ICMPv6 message, otherwise 0.
    pub icmp_type: u8,
}

/// The answer. `rule` counts from 1; 0 is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Which rule of the allowlist said so.
    pub rule: u16,
}

impl Decision {
    const fn allowed(reason: Reason, rule: u16) -> Self {
        Self { verdict: Verdict::Allowed, reason, rule }
    }
}

/// Whether [`decide`] needs to look the destination up at all.
#[inline(always)]
#[must_use]
pub fn needs_lookup(request: &Request, mode: Mode) -> bool {
    !matches!(mode, Mode::Off) && !is_loopback(&request.remote) && !is_neighbour_discovery(request)
}

/// Decides on one destination. `rules` is what the longest matching prefix carries.
///
/// Precedence, first that applies:
/// 1. no allowlist is loaded: allowed;
/// 2. this host itself: allowed;
/// 3. neighbour discovery and multicast listener discovery: allowed;
/// 4. a range of the longest matching prefix (which carries those of the prefixes around it) with
///    the protocol and port: allowed; where the port is unknown, only a range over all ports;
/// 5. everything else: blocked under `enforce`, allowed and told under `audit`.
#[inline(always)]
#[must_use]
pub fn decide(request: &Request, mode: Mode, rules: Option<&PrefixRules>) -> Decision {
    if matches!(mode, Mode::Off) {
        return Decision::allowed(Reason::Unremarkable, 0);
    }
    if is_loopback(&request.remote) {
        return Decision::allowed(Reason::Loopback, 0);
    }
    if is_neighbour_discovery(request) {
        return Decision::allowed(Reason::Neighbour, 0);
    }
    if let Some(rules) = rules {
        for (index, range) in rules.ranges.iter().enumerate() {
            if index as u32 >= rules.count {
                break;
            }
            if range_allows(range, request.protocol, request.port) {
                return Decision::allowed(Reason::Allowlisted, range.rule);
            }
        }
    }
    let reason = if request.port.is_none() { Reason::Fragment } else { Reason::NotAllowlisted };
    Decision { verdict: mode.verdict(), reason, rule: 0 }
}

/// Number of the first rule that allows this protocol and port, 0 for none; a port that is not known
/// is allowed only by a rule over all ports.
#[inline(always)]
#[must_use]
pub fn rule_for(rules: &PrefixRules, protocol: u8, port: Option<u16>) -> u32 {
    for (index, range) in rules.ranges.iter().enumerate() {
        if index as u32 >= rules.count {
            break;
        }
        if range_allows(range, protocol, port) {
            return u32::from(range.rule);
        }
    }
    0
}

#[inline(always)]
fn range_allows(range: &PortRange, protocol: u8, port: Option<u16>) -> bool {
    let protocol = range.protocol == 0 || range.protocol == protocol;
    let port = match port {
        Some(port) => range.any_port == 1 || (range.first <= port && port <= range.last),
        None => range.any_port == 1,
    };
    protocol && port
}

/// ICMPv6 types 130 to 132 and 143 (RFC 2710, RFC 3810) and 133 to 137 (RFC 4861).
#[inline(always)]
fn is_neighbour_discovery(request: &Request) -> bool {
    request.protocol == ICMPV6
        && (matches!(request.icmp_type, 130..=137) || request.icmp_type == 143)
}

const _: () = {
    assert!(size_of::<PrefixKey>() == 20);
    assert!(size_of::<PortRange>() == 8);
    assert!(size_of::<PrefixRules>() == 4 + 8 * MAX_PORT_RANGES);
};
