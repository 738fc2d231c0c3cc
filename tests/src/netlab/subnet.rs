//! Addresses of one laboratory.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A numbered pair of private networks: 10.99.N.0/24 and fd00:99:N::/64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(u8);

impl Subnet {
    /// The pair with this number; laboratories that share a journal take different ones.
    pub const fn numbered(number: u8) -> Subnet {
        Subnet(number)
    }

    /// The IPv4 address of a host.
    pub const fn v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.0, host)
    }

    /// The IPv6 address of a host.
    pub const fn v6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x99, self.0 as u16, 0, 0, 0, 0, host as u16)
    }

    /// The IPv4 address of a host in its v4-mapped form, `::ffff:10.99.N.host`.
    pub const fn mapped(self, host: u8) -> Ipv6Addr {
        self.v4(host).to_ipv6_mapped()
    }

    /// The IPv4 network in CIDR notation.
    pub fn cidr4(self) -> String {
        format!("{}/24", self.v4(0))
    }

    /// The IPv6 network in CIDR notation.
    pub fn cidr6(self) -> String {
        format!("{}/64", self.v6(0))
    }
}
