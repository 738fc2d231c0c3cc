//! Packets in packets: what a tunnel's end would see.

use sentinel_common::policy::UDP;

use super::link::{ethernet, number, tagged, trimmed};
use super::view::View;

const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
/// Transparent Ethernet bridging: a frame in GRE.
const BRIDGED: u16 = 0x6558;
/// VXLAN's port (RFC 7348) and the one Linux used before it had one.
const VXLAN: [u16; 2] = [4789, 8472];

/// The packet that this one carries through a tunnel, if it does.
pub(super) fn inner<'a>(packet: &View<'a>) -> Option<&'a [u8]> {
    let (headers, payload) = (packet.headers, packet.payload());
    let inner = match headers.protocol {
        IP_IN_IP | IPV6_IN_IP => payload,
        GRE => gre(payload)?,
        UDP if headers.ports.is_some_and(|(_, port)| VXLAN.contains(&port)) => vxlan(payload)?,
        _ => return None,
    };
    trimmed(inner)
}

/// RFC 2784 and RFC 2890: four bytes, and four for each of checksum, key and sequence number.
fn gre(payload: &[u8]) -> Option<&[u8]> {
    let flags = number(payload, 0)?;
    if flags & 7 != 0 {
        return None;
    }
    let options = [0x8000, 0x2000, 0x1000].into_iter().filter(|bit| flags & bit != 0).count();
    let rest = payload.get(4 + 4 * options..)?;
    match number(payload, 2)? {
        BRIDGED => ethernet(rest),
        kind => tagged(kind, rest),
    }
}

/// RFC 7348: eight bytes, the first of which says that the network's number is valid.
fn vxlan(payload: &[u8]) -> Option<&[u8]> {
    if payload.first()? & 0x08 == 0 {
        return None;
    }
    ethernet(payload.get(8..)?)
}
