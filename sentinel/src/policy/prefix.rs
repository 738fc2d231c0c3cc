//! Address prefixes in the one form of the datapath: 128 bits, IPv4 v4-mapped.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use sentinel_common::address::Address;

/// Length of `::ffff:0:0/96`, under which IPv4 is mapped.
const V4_LEN: u8 = 96;

/// A prefix. Bits behind its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Prefix {
    bits: u128,
    len: u8,
}

impl Prefix {
    /// All of IPv4.
    pub(super) const V4: Self = Self { bits: 0xffff << 32, len: V4_LEN };

    /// All there is.
    pub(super) const ALL: Self = Self { bits: 0, len: 0 };

    /// Reads `address/length`; the error is a message and a mend.
    pub(super) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let net: IpNet = text.parse().map_err(|_| match text.parse::<IpAddr>() {
            Ok(address) => {
                let help = format!("write {}", IpNet::from(address));
                (format!("\"{text}\" is an address, not a CIDR"), Some(help))
            }
            Err(_) => (
                format!("\"{text}\" is no CIDR"),
                Some("write 192.0.2.0/24 or 2001:db8::/32".to_owned()),
            ),
        })?;
        if net.trunc() != net {
            let help = format!(
                "write {} for the network or {} for the one address",
                net.trunc(),
                IpNet::from(net.addr())
            );
            return Err((format!("\"{text}\" has bits set behind its length"), Some(help)));
        }
        Ok(Self::from(net))
    }

    /// The prefix of this length that holds the address.
    pub(super) fn of(address: &Address, len: u8) -> Self {
        Self { bits: u128::from_be_bytes(*address) & mask(len), len }
    }

    /// Whether every address of `other` is one of `self`.
    pub(super) fn covers(self, other: Self) -> bool {
        self.len <= other.len && other.bits & mask(self.len) == self.bits
    }

    /// The one of this length around `self`, if that is shorter or as long.
    pub(super) fn widened(self, len: u8) -> Option<Self> {
        (len <= self.len).then(|| Self { bits: self.bits & mask(len), len })
    }

    /// Its first address.
    pub(super) fn address(self) -> Address {
        self.bits.to_be_bytes()
    }

    pub(super) fn len(self) -> u8 {
        self.len
    }
}

/// Bits behind the length are dropped.
impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        match net.trunc() {
            IpNet::V4(net) => {
                Self { bits: net.addr().to_ipv6_mapped().to_bits(), len: V4_LEN + net.prefix_len() }
            }
            IpNet::V6(net) => Self { bits: net.addr().to_bits(), len: net.prefix_len() },
        }
    }
}

/// As a person would write it: IPv4 as such.
impl std::fmt::Display for Prefix {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (Self::V4.covers(*self), Ipv6Addr::from_bits(self.bits).to_ipv4_mapped()) {
            (true, Some(address)) => write!(out, "{address}/{}", self.len - V4_LEN),
            _ => write!(out, "{}/{}", Ipv6Addr::from_bits(self.bits), self.len),
        }
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0)
}
