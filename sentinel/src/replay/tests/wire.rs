//! Frames and capture files, written byte by byte.

use std::net::IpAddr;

pub(super) const SYN: u8 = 2;
pub(super) const SYN_ACK: u8 = 18;
pub(super) const PSH_ACK: u8 = 24;

/// A TCP segment, its checksum right or (`damage`) not.
pub(super) struct Tcp<'a> {
    pub(super) from: (&'a str, u16),
    pub(super) to: (&'a str, u16),
    pub(super) sequence: u32,
    pub(super) flags: u8,
    pub(super) payload: &'a [u8],
    pub(super) damage: bool,
}

impl Tcp<'_> {
    /// The IP packet.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.from.1.to_be_bytes());
        segment.extend(self.to.1.to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend([0, 0, 0, 0, 0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(self.payload);
        let from: IpAddr = self.from.0.parse().unwrap();
        let to: IpAddr = self.to.0.parse().unwrap();
        let mut pseudo = octets(from);
        pseudo.extend(octets(to));
        pseudo.extend((segment.len() as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, 6]);
        pseudo.extend(&segment);
        let sum = checksum(&pseudo) ^ u16::from(self.damage);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = match from {
            IpAddr::V4(_) => {
                let len = (20 + segment.len()) as u16;
                let mut header = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 64, 6, 0, 0];
                header[2..4].copy_from_slice(&len.to_be_bytes());
                header
            }
            IpAddr::V6(_) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
                header[4..6].copy_from_slice(&(segment.len() as u16).to_be_bytes());
                header
            }
        };
        packet.extend(octets(from));
        packet.extend(octets(to));
        packet.extend(segment);
        packet
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A handshake and what the client then sends, each piece a segment.
pub(super) fn session(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let (client, server) = (("10.1.0.2", 40000), ("10.2.0.3", 3333));
    let part = |from, to, sequence, flags, payload| {
        Tcp { from, to, sequence, flags, payload, damage: false }.packet()
    };
    let mut packets = vec![
        part(client, server, 1000, SYN, b"".as_slice()),
        part(server, client, 9000, SYN_ACK, b""),
    ];
    let mut sequence = 1001;
    for piece in pieces {
        packets.push(part(client, server, sequence, PSH_ACK, piece));
        sequence += piece.len() as u32;
    }
    packets
}

/// An Ethernet frame around an IP packet, padded to the shortest length there is.
pub(super) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    let mut frame = [&[2; 12], kind.as_slice(), packet].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Numbers of a capture file in one byte order.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, number: u16) -> [u8; 2] {
        if matches!(self, Self::Little) { number.to_le_bytes() } else { number.to_be_bytes() }
    }
    pub(super) fn u32(self, number: u32) -> [u8; 4] {
        if matches!(self, Self::Little) { number.to_le_bytes() } else { number.to_be_bytes() }
    }
}

/// A pcap file; `magic` tells micro- or nanoseconds.
pub(super) fn pcap(order: Order, magic: u32, link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    for number in [0, 0, 262_144, link] {
        file.extend(order.u32(number));
    }
    for frame in frames {
        for number in [1, 999_999_999, frame.len() as u32, frame.len() as u32] {
            file.extend(order.u32(number));
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file: a section, an interface for each link type, and frames of the last one.
pub(super) fn pcapng(order: Order, links: &[u16], frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = order.u32(body.len() as u32 + 12);
        [order.u32(kind).as_slice(), &len, body, &len].concat()
    };
    let section =
        [order.u32(0x1a2b_3c4d).as_slice(), &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
    let mut file = block(0x0a0d_0d0a, &section);
    for link in links {
        let body = [order.u16(*link).as_slice(), &order.u16(0), &order.u32(0)].concat();
        file.extend(block(1, &body));
    }
    for frame in frames {
        let mut body = Vec::new();
        for number in [links.len() as u32 - 1, 0, 0, frame.len() as u32, frame.len() as u32] {
            body.extend(order.u32(number));
        }
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}
