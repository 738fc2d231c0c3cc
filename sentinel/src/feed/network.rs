//! Addresses and prefixes of a feed in the form of the datapath, and what none of them may mean.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use sentinel_common::address::{Address, is_v4, of};

use super::entry::Refusal;

/// Length of `::ffff:0:0/96`, under which IPv4 is mapped.
const V4_LEN: u8 = 96;
/// Shortest IPv4 prefix that can be one owner's.
const MIN_V4: u8 = 8;
/// Shortest IPv6 prefix, likewise.
const MIN_V6: u8 = 16;

/// A prefix: IPv6, IPv4 v4-mapped; bits behind its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The first address.
    pub address: Address,
    /// Bits that count, 0 to 128.
    pub len: u8,
}

impl Network {
    /// The network of this length around an address.
    #[must_use]
    pub fn around(address: &Address, len: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
        Self { address: (u128::from_be_bytes(*address) & mask).to_be_bytes(), len }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let differ = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(other.address);
        let shared = u32::from(self.len.min(other.len).min(128));
        differ.checked_shr(128 - shared).unwrap_or(0) == 0
    }
}

/// As a person would write it: IPv4 as such.
impl std::fmt::Display for Network {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = Ipv6Addr::from(self.address);
        match address.to_ipv4_mapped() {
            Some(v4) if self.len >= V4_LEN => write!(out, "{v4}/{}", self.len - V4_LEN),
            _ => write!(out, "{address}/{}", self.len),
        }
    }
}

const fn v4(a: u8, b: u8, len: u8) -> Network {
    let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, 0, 0];
    Network { address, len: V4_LEN + len }
}

const fn v6(a: u8, b: u8, len: u8) -> Network {
    Network { address: [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len }
}

/// What is no host of a pool on the internet.
const RESERVED: [(Network, &str); 13] = [
    (v4(0, 0, 8), "this host"),
    (v4(10, 0, 8), "a private network"),
    (v4(100, 64, 10), "a provider's own network"),
    (v4(127, 0, 8), "loopback"),
    (v4(169, 254, 16), "link-local"),
    (v4(172, 16, 12), "a private network"),
    (v4(192, 168, 16), "a private network"),
    (v4(224, 0, 4), "multicast"),
    (v4(240, 0, 4), "reserved, or broadcast"),
    // `::` and `::1`, and the long-dead v4-compatible addresses around them.
    (v6(0, 0, 96), "loopback or unspecified"),
    (v6(0xfc, 0, 7), "a private network"),
    (v6(0xfe, 0x80, 10), "link-local"),
    (v6(0xff, 0, 8), "multicast"),
];

/// An address in the datapath's form.
pub(super) fn address(ip: IpAddr) -> Result<Address, Refusal> {
    outside_reserved(Network { address: of(ip), len: 128 }).map(|network| network.address)
}

/// Reads `address/length`.
pub(super) fn network(text: &str) -> Result<Network, Refusal> {
    let net: IpNet = text.parse().map_err(|_| Refusal::NoPrefix)?;
    if net.trunc() != net {
        return Err(Refusal::HostBits { network: net.trunc().to_string() });
    }
    let above = if net.addr().is_ipv4() { V4_LEN } else { 0 };
    let network = Network { address: of(net.addr()), len: above + net.prefix_len() };
    let is_v4 = is_v4(&network.address) && network.len >= V4_LEN;
    if network.len < if is_v4 { V4_LEN + MIN_V4 } else { MIN_V6 } {
        return Err(Refusal::WidePrefix { v4: MIN_V4, v6: MIN_V6 });
    }
    outside_reserved(network)
}

fn outside_reserved(network: Network) -> Result<Network, Refusal> {
    match RESERVED.iter().find(|(reserved, _)| reserved.overlaps(&network)) {
        Some((reserved, what)) => Err(Refusal::Reserved { network: reserved.to_string(), what }),
        None => Ok(network),
    }
}
