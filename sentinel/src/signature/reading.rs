//! The kernel's reader, called from here: for replay, for naming a finding, for tests.

use sentinel_common::frame::{self, Frame, state};
use sentinel_common::limits::CHUNK;
use sentinel_common::place;
use sentinel_common::segment::{self, Part, Piece, ROUNDS, STEPS, Segment, Source, Step, outcome};
use sentinel_common::signature::{NO_RULE, Signatures};
use sentinel_common::stream::{Calls, Reader};

/// A segment in memory: calls the shared functions directly, where the kernel has them as functions
/// of their own. Names are not gathered: they are looked up in the kernel only.
pub struct Direct<'a> {
    /// The set to read by.
    pub signatures: &'a Signatures,
    /// The segment's payload.
    pub bytes: &'a [u8],
}

impl Calls for Direct<'_> {
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64 {
        place::act(place, cell, byte)
    }
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        self.signatures.rule_matching(message, said, peer)
    }
}

impl Segment for Direct<'_> {
    fn feed(&self, frame: u64, last: u64) -> u64 {
        frame::feed(frame, last)
    }
    fn advance(&self, frame: u64, before: u64, now: u64) -> u64 {
        frame::advance(frame, before, now)
    }
    fn fill(&self, offset: u32, end: u32, chunk: &mut [u8; CHUNK]) -> Option<usize> {
        let bytes = self.bytes.get(offset as usize..end as usize)?;
        let len = bytes.len().min(CHUNK);
        for (slot, &byte) in chunk.iter_mut().zip(bytes) {
            *slot = byte;
        }
        Some(len)
    }
    fn name(&self, _: u32, _: u32, _: Piece) {}
    fn judge_name(&self, _: Source) -> u32 {
        NO_RULE
    }
}

impl Direct<'_> {
    /// One step from `offset` on, in the direction that `reader` reads; `peer` is what the other one
    /// has said, and its bytes.
    pub fn step(&self, reader: &mut Reader, peer: (u64, u32), offset: u32) -> Step {
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let place = (offset, end);
        let (said, bytes) = peer;
        let mut chunk = [0; CHUNK];
        match Part::of(reader.frame()) {
            Part::Messages => {
                segment::messages(reader, said, self.signatures, place, &mut chunk, self)
            }
            Part::Run => segment::run(reader, bytes, place, self),
            Part::Header => segment::header(reader, place, &mut chunk, self),
        }
    }

    /// The whole segment from `offset` on: one of [`outcome`], as the kernel's `read_segment`.
    pub fn read(&self, reader: &mut Reader, peer: (u64, u32), mut offset: u32) -> u32 {
        for _ in 0..STEPS * ROUNDS {
            if offset as usize >= self.bytes.len() {
                return outcome::NONE;
            }
            let before = reader.bytes;
            let step = self.step(reader, peer, offset);
            if step.outcome() != outcome::NONE {
                return step.outcome();
            }
            offset += reader.bytes.wrapping_sub(before);
        }
        outcome::MORE
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
    let direct = Direct { signatures, bytes };
    let mut offset = 0;
    while offset < bytes.len() {
        reader.bytes = 0;
        let step = direct.step(reader, (peer, 0), u32::try_from(offset).ok()?);
        offset += reader.bytes as usize;
        match step.outcome() {
            outcome::NONE => {}
            rule if rule < outcome::NAMES => return Some(Found { rule, bytes: offset }),
            _ => return None,
        }
    }
    None
}

/// Reads a whole stream that arrives in these pieces, with a silent peer. Behind bytes that end the
/// reading nothing is read, in the same piece or in another.
pub fn read_all<'a>(
    signatures: &Signatures,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Found> {
    let mut reader = opening();
    let mut before = 0;
    for piece in pieces {
        if reader.is_stopped() {
            break;
        }
        if let Some(found) = read_on(&mut reader, signatures, 0, piece) {
            return Some(Found { bytes: before + found.bytes, ..found });
        }
        before += piece.len();
    }
    None
}

/// A direction before its first byte.
#[must_use]
pub fn opening() -> Reader {
    Reader::framed(0, Frame::new(state::OPENING, 0))
}

/// The most specific rule that a message completes, read to the end of `bytes`.
///
/// The datapath stops at the first rule that holds, which a more specific one may share its first
/// words with (`mining.subscribe` before the element that says `EthereumStratum`). What came with
/// the completing packet can still tell: `found` unless a better one holds.
#[must_use]
pub fn most_specific(signatures: &Signatures, found: u32, bytes: &[u8]) -> u32 {
    let websocket = Reader::framed(0, Frame::new(state::WEBSOCKET, 0));
    [opening(), websocket].into_iter().fold(found, |best, mut reader| {
        let mut best = best;
        let mut rest = bytes;
        while let Some(Found { rule, bytes }) = read_on(&mut reader, signatures, 0, rest) {
            // Rules are ordered from the most specific on.
            best = best.min(rule);
            rest = rest.get(bytes..).unwrap_or(&[]);
        }
        best
    })
}
