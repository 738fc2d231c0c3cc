//! IP fragments put together again, as a socket gets them.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::cut::{set_len, write};
use super::link::number;

/// Datagrams under way at a time; the oldest gives way.
const MAX_DATAGRAMS: usize = 256;
/// Bytes of one datagram, by the IP header's 16-bit length.
const MAX_BYTES: usize = 65_535;

/// A fragment's place.
struct Fragment<'a> {
    key: Vec<u8>,
    /// Headers in front of the fragmented part, as the whole datagram has them.
    header: Vec<u8>,
    offset: usize,
    more: bool,
    data: &'a [u8],
}

#[derive(Default)]
struct Datagram {
    header: Option<Vec<u8>>,
    pieces: BTreeMap<usize, Vec<u8>>,
    end: Option<usize>,
    /// Pieces overlapped: Linux drops the whole datagram (net/ipv4/inet_fragment.c).
    spoilt: bool,
}

/// Fragments waiting for the rest of their datagram.
#[derive(Default)]
pub(super) struct Fragments {
    datagrams: BTreeMap<Vec<u8>, Datagram>,
    order: VecDeque<Vec<u8>>,
}

impl Fragments {
    /// The packet itself if it is whole, the datagram that it completes, or `None`.
    pub(super) fn whole<'a>(&mut self, packet: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let Some(fragment) = fragment(packet) else { return Some(Cow::Borrowed(packet)) };
        if !self.datagrams.contains_key(&fragment.key) {
            if self.order.len() >= MAX_DATAGRAMS
                && let Some(oldest) = self.order.pop_front()
            {
                self.datagrams.remove(&oldest);
            }
            self.order.push_back(fragment.key.clone());
        }
        let key = fragment.key.clone();
        let datagram = self.datagrams.entry(key.clone()).or_default();
        datagram.add(fragment);
        let whole = datagram.join()?;
        self.datagrams.remove(&key);
        self.order.retain(|waiting| *waiting != key);
        Some(Cow::Owned(whole))
    }
}

impl Datagram {
    fn add(&mut self, fragment: Fragment<'_>) {
        let Fragment { header, offset, more, data, .. } = fragment;
        let end = offset + data.len();
        if self.pieces.get(&offset).is_some_and(|known| known == data) {
            return;
        }
        let overlaps = self.pieces.iter().any(|(&at, piece)| at < end && offset < at + piece.len());
        self.spoilt |= overlaps || end > MAX_BYTES;
        if offset == 0 {
            self.header = Some(header);
        }
        if !more {
            self.end = Some(end);
        }
        if !self.spoilt {
            self.pieces.insert(offset, data.to_vec());
        }
    }

    fn join(&self) -> Option<Vec<u8>> {
        if self.spoilt {
            return None;
        }
        let mut packet = self.header.clone()?;
        let mut reached = 0;
        for (&offset, piece) in &self.pieces {
            if offset != reached {
                return None;
            }
            packet.extend_from_slice(piece);
            reached += piece.len();
        }
        if self.end != Some(reached) {
            return None;
        }
        set_len(&mut packet);
        Some(packet)
    }
}

/// Reads a packet as a fragment; `None` when it is whole (or not understood).
fn fragment(packet: &[u8]) -> Option<Fragment<'_>> {
    match packet.first()? >> 4 {
        4 => fragment_v4(packet),
        6 => fragment_v6(packet),
        _ => None,
    }
}

/// RFC 791 section 3.2.
fn fragment_v4(packet: &[u8]) -> Option<Fragment<'_>> {
    let header_len = usize::from(packet.first()? & 15) * 4;
    let bits = number(packet, 6)?;
    let (more, offset) = (bits & 0x2000 != 0, usize::from(bits & 0x1fff) * 8);
    if !more && offset == 0 {
        return None;
    }
    let mut key = packet.get(12..20)?.to_vec();
    key.extend_from_slice(packet.get(4..6)?);
    key.push(*packet.get(9)?);
    let mut header = packet.get(..header_len)?.to_vec();
    write(&mut header, 6, &[0, 0]);
    Some(Fragment { key, header, offset, more, data: packet.get(header_len..)? })
}

/// RFC 8200 section 4.5.
fn fragment_v6(packet: &[u8]) -> Option<Fragment<'_>> {
    let mut names_next = 6;
    let mut at = 40;
    loop {
        match *packet.get(names_next)? {
            0 | 43 | 60 => {
                names_next = at;
                at += usize::from(*packet.get(at + 1)?) * 8 + 8;
            }
            44 => break,
            _ => return None,
        }
    }
    let bits = number(packet, at + 2)?;
    let mut key = packet.get(8..40)?.to_vec();
    key.extend_from_slice(packet.get(at + 4..at + 8)?);
    let mut header = packet.get(..at)?.to_vec();
    write(&mut header, names_next, &[*packet.get(at)?]);
    let (more, offset) = (bits & 1 != 0, usize::from(bits & 0xfff8));
    Some(Fragment { key, header, offset, more, data: packet.get(at + 8..)? })
}
