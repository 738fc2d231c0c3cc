//! Link-layer headers: a captured frame to the IP packet in it.

use pcap_parser::Linktype;

/// `DLT_RAW` as OpenBSD and older systems number it.
const RAW_BSD: [i32; 2] = [12, 14];
/// `LINKTYPE_LINUX_SLL2`.
const LINUX_SLL2: i32 = 276;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// IEEE 802.1Q and 802.1ad tags, and what came before the latter.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// PPPoE session (RFC 2516).
const PPPOE: u16 = 0x8864;
/// MPLS unicast.
const MPLS: u16 = 0x8847;
/// Tags and labels that are walked at most.
const MAX_TAGS: usize = 8;

/// What a frame holds.
pub(super) enum Content<'a> {
    /// An IP packet, what the link layer padded it with cut off.
    Ip(&'a [u8]),
    /// Something else: ARP, a spanning tree...
    Other,
    /// A link layer that is not read.
    UnknownLink,
}

/// Finds the IP packet in a frame.
pub(super) fn content(link: Linktype, frame: &[u8]) -> Content<'_> {
    let found = match link {
        Linktype::ETHERNET => ethernet(frame),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => Some(frame),
        Linktype(raw) if RAW_BSD.contains(&raw) => Some(frame),
        Linktype::NULL | Linktype::LOOP => frame.get(4..),
        Linktype::LINUX_SLL => number(frame, 14).and_then(|kind| tagged(kind, frame.get(16..)?)),
        Linktype(LINUX_SLL2) => number(frame, 0).and_then(|kind| tagged(kind, frame.get(20..)?)),
        _ => return Content::UnknownLink,
    };
    found.and_then(trimmed).map_or(Content::Other, Content::Ip)
}

/// An Ethernet frame's IP packet, untrimmed.
pub(super) fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    tagged(number(frame, 12)?, frame.get(14..)?)
}

/// What follows an EtherType, behind any tags.
pub(super) fn tagged(mut kind: u16, mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..MAX_TAGS {
        match kind {
            IPV4 | IPV6 => return Some(rest),
            PPPOE => {
                // Six bytes of PPPoE, two of PPP: 0x0021 and 0x0057 are the IPs.
                let ip = matches!(number(rest, 6)?, 0x0021 | 0x0057);
                return if ip { rest.get(8..) } else { None };
            }
            MPLS => {
                let bottom = rest.get(2)? & 1 == 1;
                rest = rest.get(4..)?;
                if bottom {
                    return Some(rest);
                }
            }
            kind_of_tag if VLAN.contains(&kind_of_tag) => {
                kind = number(rest, 2)?;
                rest = rest.get(4..)?;
            }
            _ => return None,
        }
    }
    None
}

/// The packet as long as its own length says: short frames are padded, and padding is no payload.
/// A length of zero stands for "see the frame" (segmentation offload, jumbograms).
pub(super) fn trimmed(packet: &[u8]) -> Option<&[u8]> {
    let len = match packet.first()? >> 4 {
        4 => usize::from(number(packet, 2)?),
        6 => match usize::from(number(packet, 4)?) {
            0 => 0,
            payload => payload + 40,
        },
        _ => return None,
    };
    if len == 0 { Some(packet) } else { Some(packet.get(..len).unwrap_or(packet)) }
}

/// A 16-bit number in network byte order.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|pair| u16::from_be_bytes(*pair))
}
