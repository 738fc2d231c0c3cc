//! Packets and socket addresses as bytes, so that they may be what no library would write.

use std::net::{IpAddr, SocketAddr};

/// `IPPROTO_TCP`, `IPPROTO_UDP`.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// Hop-by-hop options, routing header, fragment header, destination options (RFC 8200).
pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const DESTINATION: u8 = 60;

/// An address as system calls take it.
pub(super) fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let mut bytes = (family as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(v4) => {
            bytes.extend_from_slice(&v4.octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        IpAddr::V6(v6) => {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&v6.octets());
            bytes.extend_from_slice(&[0; 4]);
        }
    }
    bytes
}

/// The octets of an address.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A UDP datagram without a checksum.
pub(super) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = 40_000u16.to_be_bytes().to_vec();
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&((8 + payload.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    bytes
}

/// What stands in an IP header besides its addresses.
#[derive(Clone, Copy, Default)]
pub(super) struct Header<'a> {
    /// Protocol, or the first extension header's number.
    pub(super) protocol: u8,
    /// IPv4 options, a multiple of four bytes.
    pub(super) options: &'a [u8],
    /// The IPv4 fragment field: flags and offset in units of eight bytes.
    pub(super) fragment: u16,
}

/// An IP packet of the addresses' family.
pub(super) fn ip(from: IpAddr, to: IpAddr, header: Header<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if from.is_ipv6() {
        bytes.extend_from_slice(&[0x60, 0, 0, 0]);
        bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[header.protocol, 64]);
    } else {
        let words = 5 + header.options.len() / 4;
        let total = words * 4 + payload.len();
        bytes.extend_from_slice(&[0x40 | words as u8, 0]);
        bytes.extend_from_slice(&(total as u16).to_be_bytes());
        bytes.extend_from_slice(&[0x5e, 0x47]);
        bytes.extend_from_slice(&header.fragment.to_be_bytes());
        bytes.extend_from_slice(&[64, header.protocol, 0, 0]);
    }
    bytes.extend_from_slice(&octets(from));
    bytes.extend_from_slice(&octets(to));
    if from.is_ipv4() {
        bytes.extend_from_slice(header.options);
        let sum = checksum(&bytes).to_be_bytes();
        for (to, from) in bytes.iter_mut().skip(10).zip(sum) {
            *to = from;
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// RFC 1071.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IP packet in an Ethernet frame that every neighbour takes.
pub(super) fn frame(packet: &[u8]) -> Vec<u8> {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    ethernet(if v6 { 0x86dd } else { 0x0800 }, packet)
}

/// Anything in an Ethernet frame that every neighbour takes.
pub(super) fn ethernet(ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend_from_slice(&[0x02, 0, 0, 0, 0, 1]);
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let (from, to) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let packet = ip(from, to, Header { protocol: UDP, ..Header::default() }, b"x");
        assert_eq!(checksum(&packet[..20]), 0);
        assert_eq!(packet[2..4], [0, 21]);
    }
}
