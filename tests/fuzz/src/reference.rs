//! A packet parser that nobody would run in a kernel: it cuts a slice shorter header by header and
//! takes its time. Shares types with the real one, and no code.

use sentinel_common::address::Address;
use sentinel_common::limits::MAX_EXTENSION_HEADERS;
use sentinel_common::packet::Packet;

const TCP: u8 = 6;

/// What stands behind the IP headers.
struct Inner {
    protocol: u8,
    offset: usize,
    is_later_fragment: bool,
}

/// What [`sentinel_common::packet::parse`] should say.
pub(crate) fn parse(data: &[u8]) -> Option<Packet> {
    let _whole_minimal_header = data.get(..20)?;
    let inner = match data[0] >> 4 {
        4 => inner_of_v4(data)?,
        6 => inner_of_v6(data)?,
        _ => return None,
    };
    let mut packet = Packet {
        ports: None,
        protocol: inner.protocol,
        flags: 0,
        icmp_type: 0,
        sequence: 0,
        transport: inner.offset as u32,
        payload: inner.offset as u32,
        end: data.len() as u32,
    };
    if inner.is_later_fragment {
        return Some(packet);
    }
    let header = data.get(inner.offset..).unwrap_or(&[]);
    packet.ports = Some((0, 0));
    match inner.protocol {
        TCP => {
            let header = header.get(..16)?;
            let words = usize::from(header[12] >> 4);
            if words < 5 {
                return None;
            }
            packet.ports = Some((number(&header[..2]) as u16, number(&header[2..4]) as u16));
            packet.sequence = number(&header[4..8]);
            packet.flags = header[13];
            packet.payload += 4 * words as u32;
        }
        17 | 132 | 136 | 33 => {
            let header = header.get(..4)?;
            packet.ports = Some((number(&header[..2]) as u16, number(&header[2..]) as u16));
            packet.payload += 8;
        }
        1 | 58 => packet.icmp_type = header.get(..4)?[0],
        _ => {}
    }
    Some(packet)
}

/// What [`sentinel_common::packet::addresses`] should say.
pub(crate) fn addresses(data: &[u8]) -> Option<(Address, Address)> {
    let mapped = |v4: &[u8]| {
        let mut address = [0; 16];
        address[10..12].copy_from_slice(&[0xff, 0xff]);
        address[12..].copy_from_slice(v4);
        address
    };
    match data.first()? >> 4 {
        4 => {
            let ends = data.get(12..20)?;
            Some((mapped(&ends[..4]), mapped(&ends[4..])))
        }
        6 => {
            let ends = data.get(8..40)?;
            Some((ends[..16].try_into().ok()?, ends[16..].try_into().ok()?))
        }
        _ => None,
    }
}

/// RFC 791: the header's length in words, the fragment's offset in the low 13 bits.
fn inner_of_v4(data: &[u8]) -> Option<Inner> {
    let offset = 4 * usize::from(data[0] % 16);
    let is_later_fragment = number(&data[6..8]) & 0x1fff != 0;
    (offset >= 20).then_some(Inner { protocol: data[9], offset, is_later_fragment })
}

/// RFC 8200: a chain of headers, each with the number of the next. The last that is looked at must
/// not be an extension.
fn inner_of_v6(data: &[u8]) -> Option<Inner> {
    let (mut next, mut offset) = (data[6], 40);
    for _ in 0..MAX_EXTENSION_HEADERS {
        let extension = data.get(offset..).unwrap_or(&[]);
        match next {
            0 | 43 | 60 | 135 => offset += 8 * (usize::from(extension.get(..2)?[1]) + 1),
            51 => offset += 4 * (usize::from(extension.get(..2)?[1]) + 2),
            44 => {
                let later = number(&extension.get(..4)?[2..]) / 8 != 0;
                offset += 8;
                if later {
                    return Some(Inner { protocol: extension[0], offset, is_later_fragment: true });
                }
            }
            protocol => return Some(Inner { protocol, offset, is_later_fragment: false }),
        }
        next = extension[0];
    }
    None
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
