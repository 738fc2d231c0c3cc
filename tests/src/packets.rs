//! IP packets written by hand, for test runs of the kernel programs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A TCP segment to be wrapped in an IP packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Flags as on the wire: 0x18 is PSH and ACK.
    pub flags: u8,
    /// Payload.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// A data segment between fixed ports.
    #[must_use]
    pub fn data(sequence: u32, payload: &'a [u8]) -> Self {
        Self { source_port: 40_000, destination_port: 443, sequence, flags: 0x18, payload }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.payload.len());
        tcp.extend_from_slice(&self.source_port.to_be_bytes());
        tcp.extend_from_slice(&self.destination_port.to_be_bytes());
        tcp.extend_from_slice(&self.sequence.to_be_bytes());
        tcp.extend_from_slice(&[0; 4]);
        tcp.extend_from_slice(&[5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(self.payload);
        tcp
    }

    /// The segment in an IPv4 packet from 10.99.0.1 to 10.99.0.2, checksums left at zero.
    #[must_use]
    pub fn over_v4(&self) -> Vec<u8> {
        let tcp = self.bytes();
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&((20 + tcp.len()) as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend_from_slice(&Ipv4Addr::new(10, 99, 0, 1).octets());
        packet.extend_from_slice(&Ipv4Addr::new(10, 99, 0, 2).octets());
        packet.extend_from_slice(&tcp);
        packet
    }

    /// The segment in an IPv6 packet from fd00:99::1 to fd00:99::2.
    #[must_use]
    pub fn over_v6(&self) -> Vec<u8> {
        let tcp = self.bytes();
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
        packet.extend_from_slice(&[6, 64]);
        packet.extend_from_slice(&Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 1).octets());
        packet.extend_from_slice(&Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 2).octets());
        packet.extend_from_slice(&tcp);
        packet
    }
}

/// An IP packet behind the Ethernet header that a test run wants.
#[must_use]
pub fn framed(packet: &[u8]) -> Vec<u8> {
    let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
    let mut frame = vec![0; 12];
    frame.extend_from_slice(if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
    frame.extend_from_slice(packet);
    frame
}

/// An IP packet of any protocol.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Source.
    pub from: IpAddr,
    /// Destination, of the same family.
    pub to: IpAddr,
    /// The transport protocol's number.
    pub protocol: u8,
    /// A fragment behind the first one: the payload holds no header.
    pub is_fragment: bool,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

impl Datagram<'_> {
    /// The packet, its checksum left at zero; empty where the families differ.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let Self { protocol, is_fragment, payload, .. } = *self;
        let mut packet = Vec::with_capacity(48 + payload.len());
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet.extend_from_slice(&[0x45, 0]);
                packet.extend_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
                packet.extend_from_slice(&[0, 1, 0, u8::from(is_fragment), 64, protocol, 0, 0]);
                packet.extend_from_slice(&from.octets());
                packet.extend_from_slice(&to.octets());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                // RFC 8200 section 4.5: a fragment header, its offset in units of eight bytes.
                let fragment = [protocol, 0, 0, 8, 0, 0, 0, 1];
                let header: &[u8] = if is_fragment { &fragment } else { &[] };
                let next = if is_fragment { 44 } else { protocol };
                packet.extend_from_slice(&[0x60, 0, 0, 0]);
                packet.extend_from_slice(&((header.len() + payload.len()) as u16).to_be_bytes());
                packet.extend_from_slice(&[next, 64]);
                packet.extend_from_slice(&from.octets());
                packet.extend_from_slice(&to.octets());
                packet.extend_from_slice(header);
            }
            _ => return packet,
        }
        packet.extend_from_slice(payload);
        packet
    }
}
