//! Where a packet comes from and goes to, and where its bytes stand in their stream.

use sentinel_common::address::Address;
use sentinel_common::event::Event;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::lookup::Lookup;
use sentinel_common::packet::{Brief, Source, has_ports};

use crate::context::Skb;

/// Headers further into a packet are not read (8 extension headers rarely fill 400).
const HEADERS_END: u32 = 0x7ff;

/// Types of which any bytes are a value.
pub trait Plain {}
impl<const N: usize> Plain for [u8; N] {}
impl<const N: usize> Plain for [u32; N] {}
impl Plain for Event {}
impl Plain for Lookup {}

impl Source for Skb {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.header(offset)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        self.header(offset)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.packet_len()
    }
}

/// A packet whose headers are copied, not read in place: for what few packets have, at offsets that they
/// say themselves. Before 6.1 the verifier loses the bounds of such an offset on its way to a pointer.
pub struct Copied {
    pub skb: Skb,
    /// Where the IP header is.
    pub base: u32,
}

impl Source for Copied {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.skb.load(offset + self.base)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        self.skb.load(offset + self.base)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.skb.packet_len().saturating_sub(self.base)
    }
}

impl Skb {
    /// Header bytes: in place where they are linear, which they are but for test runs before 6.13
    /// (`data_end` is 0 there) and odd senders; those go through the helper.
    #[inline(always)]
    pub fn header<T: Plain>(self, offset: u32) -> Option<T> {
        if offset > HEADERS_END { None } else { self.linear(offset).or_else(|| self.load(offset)) }
    }

    /// The first four payload bytes; of a shorter payload the first, and spaces.
    #[inline(always)]
    pub fn first_bytes(self, payload: u32) -> [u8; 4] {
        if self.packet_len().wrapping_sub(payload) < 4 {
            let [first] = self.load(payload).unwrap_or([0xff]);
            return [first, b' ', b' ', b' '];
        }
        // In place where headers mostly end; at a place that it does not know as a number the
        // verifier wants a proof that the compiler takes out again.
        let word: Option<[u32; 1]> = match payload {
            40 => self.header(40),
            52 => self.header(52),
            60 => self.header(60),
            72 => self.header(72),
            28 => self.header(28),
            _ => self.load(payload),
        };
        let [word] = word.unwrap_or([u32::MAX]);
        word.to_ne_bytes()
    }

    /// Writes the packet's source, v4-mapped, into zeroed room.
    #[inline(always)]
    pub fn source(self, to: &mut Address) {
        self.address(12, 8, to);
    }

    /// Writes the packet's destination, v4-mapped, into zeroed room.
    #[inline(always)]
    pub fn destination(self, to: &mut Address) {
        self.address(16, 24, to);
    }

    /// Copies an address to its place without a stop on the stack; `v4` and `v6` are its offsets.
    #[inline(always)]
    fn address(self, v4: u32, v6: u32, to: &mut Address) {
        let [version] = self.load(0).unwrap_or([0_u8]);
        if version >> 4 == 6 {
            self.chunk(u64::from(v6), u64::from(v6) + 16, to);
            return;
        }
        let [_, _, _, _, _, _, _, _, _, _, mapped @ .., a, b, c, d] = to;
        *mapped = [0xff; 2];
        [*a, *b, *c, *d] = self.load(v4).unwrap_or([0; 4]);
    }

    /// The packet's source and destination port, host byte order; 0 where it has none.
    #[inline(always)]
    pub fn ports(self, brief: Brief) -> (u16, u16) {
        let has_ports = has_ports(brief.protocol());
        let Some(transport) = brief.transport().filter(|_| has_ports) else {
            return (0, 0);
        };
        let [a, b, c, d] = self.load(transport).unwrap_or([0; 4]);
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// Where a TCP segment with this payload sequence number stands in its direction's stream.
    ///
    /// Egress: what is acknowledged plus what is in flight before it. The SYN counts as one byte
    /// acknowledged on the side that sent it (net/ipv4/tcp_input.c, `tcp_snd_una_update`) and not
    /// on the side that accepted, hence `> 1`. Ingress: what was received plus what is missing.
    #[inline(always)]
    pub fn start(self, direction: Direction, sequence: u32) -> Start {
        let Some(tcp) = self.tcp() else {
            return Start::Unknown;
        };
        let before = match direction {
            Direction::Egress => {
                tcp.bytes_acked.wrapping_add(u64::from(sequence.wrapping_sub(tcp.snd_una))) > 1
            }
            Direction::Ingress => {
                tcp.bytes_received.wrapping_add(u64::from(sequence.wrapping_sub(tcp.rcv_nxt))) > 0
            }
        };
        if before { Start::Later } else { Start::First }
    }
}
