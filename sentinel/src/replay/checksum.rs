//! TCP checksums: a segment that the receiving kernel drops is none of the stream.

use sentinel_common::address::is_v4;
use sentinel_common::policy::TCP;

use super::link::number;
use super::view::View;

/// What a segment's checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// It fits.
    Right,
    /// It does not: a receiver drops the segment.
    Wrong,
    /// The network card would have filled it in, or the capture cut the segment short.
    Unknown,
}

/// Checks a TCP segment (RFC 9293 section 3.1; RFC 8200 section 8.1). `whole` tells that the capture
/// holds all of its bytes.
pub(super) fn check(packet: &View<'_>, whole: bool) -> Checksum {
    let start = packet.headers.transport as usize;
    let segment = packet.bytes.get(start..).unwrap_or(&[]);
    let Some(stored) = number(segment, 16) else {
        return Checksum::Unknown;
    };
    if !whole {
        return Checksum::Unknown;
    }
    let pseudo = pseudo_header(packet, segment.len());
    if fold(pseudo) == stored {
        // Linux leaves the pseudo header's sum for the card (CHECKSUM_PARTIAL, skbuff.h).
        return Checksum::Unknown;
    }
    if fold(pseudo + sum(segment)) == 0xffff { Checksum::Right } else { Checksum::Wrong }
}

fn pseudo_header(packet: &View<'_>, len: usize) -> u64 {
    let addresses = [packet.source, packet.destination];
    // Of a mapped address only the last four bytes are on the wire; the ffff before them is not.
    let on_wire = addresses.iter().map(|address| {
        let skip = if is_v4(address) { 12 } else { 0 };
        sum(address.get(skip..).unwrap_or(&[]))
    });
    on_wire.sum::<u64>() + u64::from(TCP) + len as u64
}

/// 16-bit words added up; an odd byte is the upper half of a word.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        })
        .sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
