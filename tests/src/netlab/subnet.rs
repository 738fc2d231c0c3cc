//! Addresses of one laboratory.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A pair of networks: 10.99.N.0/24 and fd00:99:N::/64, or two that are nobody's private ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    v4: [u8; 3],
    v6: [u16; 3],
}

impl Subnet {
    /// The pair with this number; laboratories that share a journal take different ones.
    pub const fn numbered(number: u8) -> Subnet {
        Subnet { v4: [10, 99, number], v6: [0xfd00, 0x99, number as u16] }
    }

    /// The pair that documents are written with, 198.51.100.0/24 and 2001:db8:99::/64: public as far
    /// as software can tell, and on no wire.
    pub const fn public() -> Subnet {
        Subnet { v4: [198, 51, 100], v6: [0x2001, 0xdb8, 0x99] }
    }

    /// The IPv4 address of a host.
    pub const fn v4(self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.v4;
        Ipv4Addr::new(a, b, c, host)
    }

    /// The IPv6 address of a host.
    pub const fn v6(self, host: u8) -> Ipv6Addr {
        let [a, b, c] = self.v6;
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, host as u16)
    }

    /// The IPv4 address of a host in its v4-mapped form, e.g. `::ffff:10.99.N.host`.
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
