//! Policy: what a destination or a caller is looked up by, who a policy is about, and the one function
//! that decides.
//!
//! ```text
//! subject (a socket's cgroup at creation) -> Binding (its policies) -> for each: Head and Match -> Tally
//! ```

mod decide;
mod rules;
mod workload;

pub use decide::{Decision, Tally, needs_lookup, source};
pub use rules::{
    ANY_PORT, DENY, KEY_BITS, MAX_RULES, Match, PortRange, PrefixKey, PrefixRules, SCOPE_BITS,
    SERVER_NAME,
};
pub use workload::{Binding, Called, PolicyHead, PolicyTable, Scope, WorkloadKey};

use crate::address::Address;

/// `IPPROTO_ICMP`.
pub const ICMP: u8 = 1;
/// `IPPROTO_TCP`.
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u8 = 17;
/// `IPPROTO_ICMPV6`.
pub const ICMPV6: u8 = 58;
/// `IPPROTO_SCTP`.
pub const SCTP: u8 = 132;
/// `IPPROTO_UDPLITE`.
pub const UDP_LITE: u8 = 136;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The other end, v4-mapped.
    pub remote: Address,
    /// IP protocol number.
    pub protocol: u8,
    /// The port that rules name, in host byte order: the other end's of what goes out, this host's of
    /// what comes in. `None` where the packet does not tell.
    pub port: Option<u16>,
    /// Type of an ICMP or ICMPv6 message, otherwise 0.
    pub icmp_type: u8,
}

impl Request {
    /// All but the address in one word, which a function of the kernel's can take as an argument.
    #[inline(always)]
    #[must_use]
    pub const fn pack(&self) -> u64 {
        let (known, port) = match self.port {
            Some(port) => (1, port as u64),
            None => (0, 0),
        };
        known << 32 | port << 16 | (self.icmp_type as u64) << 8 | self.protocol as u64
    }

    /// The request of this word and address.
    #[inline(always)]
    #[must_use]
    pub const fn unpack(word: u64, remote: Address) -> Self {
        let port = if word >> 32 & 1 == 1 { Some((word >> 16) as u16) } else { None };
        Self { remote, protocol: word as u8, port, icmp_type: (word >> 8) as u8 }
    }
}
