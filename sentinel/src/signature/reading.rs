//! The kernel's reader, called from here: for replay, for naming a finding, for tests.

use sentinel_common::limits::CHUNK;
use sentinel_common::place;
use sentinel_common::signature::{NO_RULE, Signatures};
use sentinel_common::stream::{self, Calls, Reader};

/// Calls the shared functions directly; the kernel has them as functions of their own.
pub struct Direct<'a>(pub &'a Signatures);

impl Calls for Direct<'_> {
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64 {
        place::act(place, cell, byte)
    }
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        self.0.rule_matching(message, said, peer)
    }
}

/// A rule that a stream completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rule's number.
    pub rule: u32,
    /// Bytes read, the completing one included.
    pub bytes: usize,
}

/// Reads bytes on, up to the first completed rule. No budget applies.
pub fn read_on(
    reader: &mut Reader,
    signatures: &Signatures,
    peer: u64,
    bytes: &[u8],
) -> Option<Found> {
    let mut before = 0;
    for piece in bytes.chunks(CHUNK) {
        let mut chunk = [0; CHUNK];
        for (slot, &byte) in chunk.iter_mut().zip(piece) {
            *slot = byte;
        }
        let start = reader.bytes;
        let rule = stream::read(reader, signatures, peer, &chunk, piece.len(), &Direct(signatures));
        if rule != NO_RULE {
            let bytes = before + reader.bytes.wrapping_sub(start) as usize;
            return Some(Found { rule, bytes });
        }
        before += piece.len();
    }
    None
}

/// Reads a whole stream that arrives in these pieces, with a silent peer.
pub fn read_all<'a>(
    signatures: &Signatures,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Found> {
    let mut reader = Reader::at_start(0);
    let mut before = 0;
    for piece in pieces {
        if let Some(found) = read_on(&mut reader, signatures, 0, piece) {
            return Some(Found { bytes: before + found.bytes, ..found });
        }
        before += piece.len();
    }
    None
}

/// The most specific rule that a message completes, read to the end of `bytes`.
///
/// The datapath stops at the first rule that holds, which a more specific one may share its first
/// words with (`mining.subscribe` before the element that says `EthereumStratum`). What came with
/// the completing packet can still tell: `found` unless a better one holds.
#[must_use]
pub fn most_specific(signatures: &Signatures, found: u32, bytes: &[u8]) -> u32 {
    let mut best = found;
    let mut reader = Reader::at_start(0);
    let mut rest = bytes;
    while let Some(Found { rule, bytes }) = read_on(&mut reader, signatures, 0, rest) {
        // Rules are ordered from the most specific on.
        best = best.min(rule);
        rest = rest.get(bytes..).unwrap_or(&[]);
    }
    best
}
