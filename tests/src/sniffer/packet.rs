//! Just enough of Ethernet, IP and TCP to find a segment's payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const ETHERNET_LEN: usize = 14;
/// More extension headers than any test sends.
const MAX_EXTENSIONS: usize = 8;

/// An IP packet inside a frame.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol number of `payload`, extension headers skipped.
    pub protocol: u8,
    /// What follows the IP headers.
    pub payload: &'a [u8],
}

/// A TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte, or of SYN.
    pub sequence: u32,
    /// True if the segment opens a connection (SYN, with or without ACK).
    pub syn: bool,
    /// True if the segment resets the connection.
    pub rst: bool,
    /// Payload bytes.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the IP packet of an Ethernet frame; `None` for anything else, and for fragments
    /// other than the first.
    pub fn parse(frame: &'a [u8]) -> Option<Packet<'a>> {
        let body = frame.get(ETHERNET_LEN..)?;
        match be16(frame, 12)? {
            0x0800 => Self::parse_v4(body),
            0x86dd => Self::parse_v6(body),
            _ => None,
        }
    }

    fn parse_v4(body: &'a [u8]) -> Option<Packet<'a>> {
        let header_len = usize::from(body.first()? & 0x0f) * 4;
        let total = usize::from(be16(body, 2)?);
        let fragment_offset = be16(body, 6)? & 0x1fff;
        if fragment_offset != 0 {
            return None;
        }
        // Padding after the packet is not payload.
        let packet = body.get(..total)?;
        Some(Packet {
            src: Ipv4Addr::from(array::<4>(packet, 12)?).into(),
            dst: Ipv4Addr::from(array::<4>(packet, 16)?).into(),
            protocol: *packet.get(9)?,
            payload: packet.get(header_len..)?,
        })
    }

    fn parse_v6(body: &'a [u8]) -> Option<Packet<'a>> {
        let mut payload = body.get(40..)?.get(..usize::from(be16(body, 4)?))?;
        let mut protocol = *body.get(6)?;
        for _ in 0..MAX_EXTENSIONS {
            let len = match protocol {
                // Hop-by-hop, routing, destination options.
                0 | 43 | 60 => (usize::from(*payload.get(1)?) + 1) * 8,
                44 if be16(payload, 2)? & 0xfff8 != 0 => return None,
                44 => 8,
                _ => break,
            };
            protocol = *payload.first()?;
            payload = payload.get(len..)?;
        }
        Some(Packet {
            src: Ipv6Addr::from(array::<16>(body, 8)?).into(),
            dst: Ipv6Addr::from(array::<16>(body, 24)?).into(),
            protocol,
            payload,
        })
    }

    /// The TCP segment in the packet, if it is one.
    pub fn tcp(&self) -> Option<Segment<'a>> {
        if self.protocol != TCP {
            return None;
        }
        let header_len = usize::from(self.payload.get(12)? >> 4) * 4;
        let flags = *self.payload.get(13)?;
        Some(Segment {
            src_port: be16(self.payload, 0)?,
            dst_port: be16(self.payload, 2)?,
            sequence: u32::from_be_bytes(array(self.payload, 4)?),
            syn: flags & 0x02 != 0,
            rst: flags & 0x04 != 0,
            payload: self.payload.get(header_len..)?,
        })
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
