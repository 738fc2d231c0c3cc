//! Packets with both ends in them, and the capture file that holds them.

use std::net::{Ipv4Addr, Ipv6Addr};

use sentinel_common::flow::Direction;

use crate::packets::framed;

/// TCP's flags as on the wire.
pub const SYN: u8 = 0x02;
/// Acknowledges.
pub const ACK: u8 = 0x10;
/// Pushes and acknowledges: a data segment.
pub const PSH_ACK: u8 = 0x18;

/// A client at 10.99.0.1 or fd00:99::1 and a server beside it.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Whether they speak IPv6.
    pub v6: bool,
    /// The client's port.
    pub client: u16,
    /// The server's port.
    pub server: u16,
}

impl Ends {
    /// A TCP segment; its checksum is left to a network card that is not there.
    #[must_use]
    pub fn tcp(self, from: Direction, numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut segment = self.ports(from);
        segment.extend(numbers.0.to_be_bytes());
        segment.extend(numbers.1.to_be_bytes());
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.packet(from, 6, &segment)
    }

    /// A UDP datagram, likewise.
    #[must_use]
    pub fn udp(self, from: Direction, payload: &[u8]) -> Vec<u8> {
        let mut datagram = self.ports(from);
        datagram.extend((8 + payload.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(payload);
        self.packet(from, 17, &datagram)
    }

    fn ports(self, from: Direction) -> Vec<u8> {
        let (source, destination) = match from {
            Direction::Egress => (self.client, self.server),
            Direction::Ingress => (self.server, self.client),
        };
        [source.to_be_bytes(), destination.to_be_bytes()].concat()
    }

    fn packet(self, from: Direction, protocol: u8, body: &[u8]) -> Vec<u8> {
        let hosts = match from {
            Direction::Egress => [1, 2],
            Direction::Ingress => [2, 1],
        };
        let len = body.len() as u16;
        let mut packet;
        if self.v6 {
            packet = vec![0x60, 0, 0, 0];
            packet.extend(len.to_be_bytes());
            packet.extend([protocol, 64]);
            for host in hosts {
                packet.extend(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, host).octets());
            }
        } else {
            packet = vec![0x45, 0];
            packet.extend((20 + len).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, protocol]);
            let mut addresses = Vec::new();
            for host in hosts {
                addresses.extend(Ipv4Addr::new(10, 99, 0, host as u8).octets());
            }
            packet.extend(checksum(&packet, &addresses).to_be_bytes());
            packet.extend(addresses);
        }
        packet.extend(body);
        packet
    }
}

/// RFC 1071, over an IPv4 header whose own checksum is not in it yet.
fn checksum(head: &[u8], addresses: &[u8]) -> u16 {
    let words = head.chunks(2).chain(addresses.chunks(2));
    let mut sum: u32 =
        words.map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A pcap file with Ethernet frames, a millisecond apart.
#[derive(Clone, Debug)]
pub struct Capture {
    file: Vec<u8>,
    packets: u32,
}

impl Default for Capture {
    fn default() -> Self {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            file.extend(word.to_le_bytes());
        }
        Self { file, packets: 0 }
    }
}

impl Capture {
    /// Adds an IP packet.
    pub fn push(&mut self, packet: &[u8]) {
        let frame = framed(packet);
        let len = frame.len() as u32;
        let (seconds, micros) = (self.packets / 1000, self.packets % 1000 * 1000);
        for word in [1_700_000_000 + seconds, micros, len, len] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(frame);
        self.packets += 1;
    }

    /// Packets so far.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.file
    }
}
