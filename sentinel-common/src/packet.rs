//! Bytes of an IP packet to what the decision needs: IHL, extension headers and fragments included.

use crate::address::{Address, from_v4};
use crate::limits::MAX_EXTENSION_HEADERS;
use crate::policy::{ICMP, ICMPV6, Request, SCTP, TCP, UDP, UDP_LITE};

/// `IPPROTO_DCCP`: ports stand where UDP has them, as they do for SCTP and UDP-Lite.
const DCCP: u8 = 33;

/// EtherTypes (include/uapi/linux/if_ether.h).
pub const IPV4: u16 = 0x0800;
/// Likewise.
pub const IPV6: u16 = 0x86dd;

/// Bytes of an IPv4 header with all the options it has room for.
const MAX_IPV4_HEADER: u32 = 60;

/// TCP's SYN bit (RFC 9293 section 3.1).
pub const SYN: u8 = 0x02;
/// TCP's ACK bit.
pub const ACK: u8 = 0x10;

/// Where header bytes come from: a slice on the host, a packet in the kernel.
pub trait Source {
    /// `N` bytes at `offset` from the IP header on, or `None` when the packet ends before.
    fn bytes<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// `N` 32-bit words as they stand in memory (network byte order), likewise.
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]>;
    /// Bytes from the IP header to the packet's end.
    fn len(&self) -> u32;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Source for &[u8] {
    fn bytes<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk::<N>().copied()
    }
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let (bytes, _) = self.get(offset as usize..)?.as_chunks::<4>();
        bytes.first_chunk::<N>().map(|words| words.map(u32::from_ne_bytes))
    }
    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

/// A packet's headers, but for its addresses (see [`addresses`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source and destination port in host byte order, or `None` where they cannot be known (a
    /// fragment behind the first). Protocols without ports have (0, 0).
    pub ports: Option<(u16, u16)>,
    /// The transport protocol's number.
    pub protocol: u8,
    /// TCP's flags, otherwise 0.
    pub flags: u8,
    /// Type of an ICMP message, otherwise 0.
    pub icmp_type: u8,
    /// TCP's sequence number, otherwise 0.
    pub sequence: u32,
    /// Offset of the transport header from the IP header.
    pub transport: u32,
    /// Offset of the payload from the IP header.
    pub payload: u32,
    /// Offset of the packet's end.
    pub end: u32,
}

impl Packet {
    /// Payload bytes.
    #[inline(always)]
    #[must_use]
    pub const fn payload_len(&self) -> u32 {
        self.end.saturating_sub(self.payload)
    }

    /// Whether this packet opens a TCP connection (SYN, as yet unanswered).
    #[inline(always)]
    #[must_use]
    pub const fn opens_connection(&self) -> bool {
        opens_connection(self.protocol, self.flags)
    }

    /// The sequence number of the payload's first byte: a SYN takes one of its own.
    #[inline(always)]
    #[must_use]
    pub const fn payload_sequence(&self) -> u32 {
        // No branch, which would double the verifier's way through what comes behind it.
        self.sequence.wrapping_add((self.flags & SYN) as u32 >> 1)
    }

    /// What the kernel's functions hand on of a packet, in one word.
    #[inline(always)]
    #[must_use]
    pub const fn brief(&self) -> Brief {
        let (known, port) = match self.ports {
            Some((_, destination)) => (1, destination as u64),
            None => (0, 0),
        };
        Brief(
            known << 63
                | (self.transport as u64 & 0x7fff) << 48
                | (self.payload as u64 & 0xffff) << 32
                | port << 16
                | (self.icmp_type as u64) << 8
                | self.protocol as u64,
        )
    }

    /// The question the policy answers about an outgoing packet.
    #[inline(always)]
    #[must_use]
    pub const fn request(&self, destination: Address) -> Request {
        self.brief().request(destination)
    }
}

/// A packet's headers in one word, which a function of the kernel's can take as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief(pub u64);

impl Brief {
    /// Of a packet whose headers cannot be read: no known protocol (255 is reserved), port or payload.
    pub const UNREADABLE: Self = Self(0xffff << 32 | 0xff);

    /// Of a packet whose ports are known; `port` is the destination's.
    #[inline(always)]
    #[must_use]
    pub const fn new(protocol: u8, transport: u32, payload: u32, port: u16) -> Self {
        Self(
            1 << 63
                | (transport as u64 & 0x7fff) << 48
                | (payload as u64 & 0xffff) << 32
                | (port as u64) << 16
                | protocol as u64,
        )
    }

    /// The transport protocol's number.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(self) -> u8 {
        self.0 as u8
    }

    /// The destination's port, host byte order; 0 where it cannot be known.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Whether anything stands between the IP header and the transport's, given the EtherType: it may
    /// change the packet's way.
    #[inline(always)]
    #[must_use]
    pub const fn has_more_headers(self, ethertype: u16) -> bool {
        let bare = if ethertype == IPV6 { 40 } else { 20 };
        self.0 >> 48 & 0x7fff != bare
    }

    /// Offset of the transport header, where the ports stand, if there are ports to know.
    #[inline(always)]
    #[must_use]
    pub const fn transport(self) -> Option<u32> {
        if self.0 >> 63 == 1 { Some((self.0 >> 48) as u32 & 0x7fff) } else { None }
    }

    /// Offset of the payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload(self) -> u32 {
        (self.0 >> 32) as u32 & 0xffff
    }

    /// The question the policy answers about a packet to `destination`.
    #[inline(always)]
    #[must_use]
    pub const fn request(self, destination: Address) -> Request {
        let port = if self.0 >> 63 == 1 { Some(self.port()) } else { None };
        let icmp_type = (self.0 >> 8) as u8;
        Request { remote: destination, protocol: self.protocol(), port, icmp_type }
    }
}

/// Source and destination of a packet, v4-mapped; `None` when its header is cut short.
#[inline(always)]
pub fn addresses(source: &impl Source) -> Option<(Address, Address)> {
    let [version, _] = source.bytes::<2>(0)?;
    match version >> 4 {
        4 => {
            let [from, to] = source.words::<2>(12)?;
            Some((from_v4(from.to_ne_bytes()), from_v4(to.to_ne_bytes())))
        }
        6 => Some((source.bytes::<16>(8)?, source.bytes::<16>(24)?)),
        _ => None,
    }
}

/// Reads the headers; `None` when they are cut short, malformed or nested too deep.
///
/// `end` is where the source ends, not what the length field says: the kernel writes that field
/// late for GSO packets, and IPv6 jumbograms have none.
#[inline(always)]
pub fn parse(source: &impl Source) -> Option<Packet> {
    // Twenty bytes at once, which both families have. Never one byte: `data < data_end` gives the
    // verifier no range (kernel/bpf/verifier.c, `find_good_pkt_pointers`).
    let header = source.words::<5>(0)?;
    let [version_word, ..] = header;
    let [version, ..] = version_word.to_ne_bytes();
    match version >> 4 {
        4 => parse_v4(source, header),
        6 => parse_v6(source, header),
        _ => None,
    }
}

/// RFC 791 section 3.1.
#[inline(always)]
fn parse_v4(source: &impl Source, header: [u32; 5]) -> Option<Packet> {
    let [first, fragment, ttl_protocol, _, _] = header;
    let [version_ihl, ..] = first.to_ne_bytes();
    let [_, _, fragment_high, fragment_low] = fragment.to_ne_bytes();
    let [_, protocol, ..] = ttl_protocol.to_ne_bytes();
    let header_len = u32::from(version_ihl & 15) * 4;
    if header_len < 20 {
        return None;
    }
    let behind_first = (u16::from_be_bytes([fragment_high, fragment_low]) & 0x1fff) != 0;
    transport(source, protocol, header_len, behind_first)
}

/// RFC 8200 sections 3 and 4.
#[inline(always)]
fn parse_v6(source: &impl Source, header: [u32; 5]) -> Option<Packet> {
    let [_, length_next, _, _, _] = header;
    let [_, _, mut next, _] = length_next.to_ne_bytes();
    let mut offset = 40;
    let mut behind_first = false;
    for _ in 0..MAX_EXTENSION_HEADERS {
        match next {
            // Hop-by-hop options, routing, destination options, mobility: length in 8-byte units.
            0 | 43 | 60 | 135 => {
                let [following, length] = source.bytes::<2>(offset)?;
                next = following;
                offset += u32::from(length) * 8 + 8;
            }
            // Authentication header (RFC 4302): length in 4-byte units.
            51 => {
                let [following, length] = source.bytes::<2>(offset)?;
                next = following;
                offset += u32::from(length) * 4 + 8;
            }
            // Fragment header.
            44 => {
                let [following, _, high, low] = source.bytes::<4>(offset)?;
                next = following;
                behind_first = behind_first || (u16::from_be_bytes([high, low]) & 0xfff8) != 0;
                offset += 8;
            }
            _ => return transport(source, next, offset, behind_first),
        }
        if behind_first {
            return transport(source, next, offset, true);
        }
    }
    None
}

/// Whether a packet says by which hops it wants to go: the destination in its header is then not where
/// it ends, or not where its sender said. A function of its own: told by [`parse`], it would double the
/// states of every program in the eyes of the verifier. A packet that cannot be read is not its matter.
#[inline(always)]
pub fn is_rerouted(source: &impl Source) -> bool {
    let Some([first, length_next, ..]) = source.words::<5>(0) else {
        return false;
    };
    let [version_ihl, ..] = first.to_ne_bytes();
    match version_ihl >> 4 {
        4 => may_have_source_route(source, u32::from(version_ihl & 15) * 4),
        6 => has_routing_header(source, length_next.to_ne_bytes()[2]),
        _ => false,
    }
}

/// Whether the options may contain a loose or a strict source route (RFC 791 section 3.1): any byte that
/// could begin one counts. Nearly no packet has options.
#[inline(always)]
fn may_have_source_route(source: &impl Source, end: u32) -> bool {
    let mut offset = 20;
    while offset < end && offset < MAX_IPV4_HEADER {
        let Some([word]) = source.words::<1>(offset) else {
            return false;
        };
        if word.to_ne_bytes().iter().any(|byte| matches!(byte, 131 | 137)) {
            return true;
        }
        offset += 4;
    }
    false
}

/// Whether the chain of extension headers, as far as it is walked, has a routing header of any type.
#[inline(always)]
fn has_routing_header(source: &impl Source, first: u8) -> bool {
    let (mut next, mut offset) = (first, 40);
    for _ in 0..MAX_EXTENSION_HEADERS {
        let units = match next {
            43 => return true,
            0 | 60 | 135 => 8,
            51 => 4,
            // The fragment header; behind it the chain goes on in a first fragment only.
            44 => 0,
            _ => return false,
        };
        let Some([following, length]) = source.bytes::<2>(offset) else {
            return false;
        };
        next = following;
        offset += 8 + u32::from(length) * units;
    }
    false
}

#[inline(always)]
fn transport(
    source: &impl Source,
    protocol: u8,
    offset: u32,
    behind_first: bool,
) -> Option<Packet> {
    let mut packet = Packet {
        ports: None,
        protocol,
        flags: 0,
        icmp_type: 0,
        sequence: 0,
        transport: offset,
        payload: offset,
        end: source.len(),
    };
    if behind_first {
        return Some(packet);
    }
    if protocol == TCP {
        // RFC 9293 section 3.1.
        let [ports, sequence, _, offset_flags] = source.words::<4>(offset)?;
        let [s0, s1, d0, d1] = ports.to_ne_bytes();
        let [data_offset, flags, ..] = offset_flags.to_ne_bytes();
        let header_len = u32::from(data_offset >> 4) * 4;
        if header_len < 20 {
            return None;
        }
        packet.ports = Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])));
        packet.sequence = u32::from_be(sequence);
        packet.flags = flags;
        packet.payload = offset + header_len;
    } else if has_ports(protocol) {
        let [s0, s1, d0, d1] = source.bytes::<4>(offset)?;
        packet.ports = Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])));
        packet.payload = offset + 8;
    } else {
        // No ports to know: port 0 stands for "none", which a range over all ports allows.
        packet.ports = Some((0, 0));
        if protocol == ICMP || protocol == ICMPV6 {
            let [type_code_checksum] = source.words::<1>(offset)?;
            [packet.icmp_type, ..] = type_code_checksum.to_ne_bytes();
        }
    }
    Some(packet)
}

/// Whether a packet of this protocol, with these flags, opens a TCP connection.
#[inline(always)]
#[must_use]
pub const fn opens_connection(protocol: u8, flags: u8) -> bool {
    protocol == TCP && flags & (SYN | ACK) == SYN
}

/// Whether a protocol's header begins with a source and a destination port.
#[inline(always)]
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP | UDP_LITE | DCCP)
}
