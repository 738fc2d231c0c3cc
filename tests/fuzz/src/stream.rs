//! Any conversation, cut in any way: the verdict, its rule and its place are the same.
//!
//! The input is what two sides say by turns, the turns set apart by [`TURN`]; its first four bytes
//! choose cuts and repetitions. Each variant runs through the host's engine, packet by packet.

use sentinel::replay::{Engine as _, HostEngine, MAX_PAYLOAD, MODES, Outcome};
use sentinel::signature::reading::{Found, read_all};
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::limits::INSPECTION_BUDGET;
use sentinel_common::segment::NOISE_FIRST;
use sentinel_common::segment::{ROUNDS, STEPS};
use sentinel_common::verdict::Reason;

use crate::BUILT_IN;

/// Ends a turn: the other side speaks next. No message has this byte in it.
pub const TURN: u8 = 0x1e;

/// Bytes by which the gate judges a direction's first segment.
const GATE: usize = 4;

/// Bytes of a segment of a framed stream, at most: a step takes one at least, and so many steps are
/// taken in one segment.
const FRAMED: usize = STEPS * ROUNDS;

/// How a turn is put into segments.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Not at all, below this many bytes.
    Whole(usize),
    Bytes,
    Random,
    /// Random, and some segments come again with other bytes, whole or overlapping.
    Repeated,
}

/// Checks one conversation.
pub fn run(data: &[u8]) {
    let Some((seed, said)) = data.split_first_chunk::<4>() else { return };
    let seed = u32::from_le_bytes(*seed);
    let turns: Vec<&[u8]> = said.split(|byte| *byte == TURN).collect();
    // A websocket that is met in mid-stream is known by how a segment begins, so where one may be met
    // the cut is a part of what is said, and only panics count.
    let may_hold_frames = said.iter().any(|byte| matches!(byte & 0x7f, 1 | 2));
    if !may_hold_frames {
        one_side(said, seed);
    }
    let plain = turns.iter().all(|turn| matches!(turn.first(), None | Some(b'{' | b'[' | b' ')));
    let longest_segment = if plain { MAX_PAYLOAD } else { FRAMED };
    let whole = converse(&turns, Cut::Whole(longest_segment), seed);
    let finest = converse(&turns, Cut::Bytes, seed);
    // Noise is known by the sizes of segments alone, so there the cut is what is said.
    let first = turns.iter().step_by(2).find(|turn| !turn.is_empty());
    if first.is_some_and(|first| first.len() == NOISE_FIRST as usize) {
        return;
    }
    if may_hold_frames {
        return;
    }
    let side = |first: usize| turns.iter().skip(first).step_by(2).map(|turn| turn.len()).sum();
    let longest = usize::max(side(0), side(1));
    let others = [Cut::Random, Cut::Repeated].map(|cut| (cut, converse(&turns, cut, seed)));
    for (cut, other) in [(Cut::Whole(longest_segment), whole)].into_iter().chain(others) {
        if longest <= INSPECTION_BUDGET as usize {
            assert_eq!(other, finest, "{cut:?}");
        } else if finest.outcome.reason == Reason::Stratum {
            // The budget is looked at after each chunk, so a direction may be read a chunk further
            // than byte by byte; never less far.
            let as_far = other.outcome.reason == Reason::Stratum && other.turn <= finest.turn;
            assert!(
                as_far,
                "{cut:?}: what the finest cut catches, every cut does: {other:?}, {finest:?}"
            );
        }
    }
}

/// Without a budget, one side alone: the reader's answer is that of the whole stream, to the byte.
fn one_side(said: &[u8], seed: u32) {
    let signatures = &BUILT_IN.signatures;
    let whole = read_all(signatures, [said]);
    assert_eq!(read_all(signatures, said.chunks(1)), whole, "byte by byte");
    let mut random = Random::new(seed);
    let pieces = random.cut(said);
    assert_eq!(read_all(signatures, pieces.iter().copied()), whole, "cut as {pieces:?}");
    if let Some(Found { bytes, .. }) = whole {
        assert!(bytes <= said.len());
        assert_eq!(read_all(signatures, [&said[..bytes]]), whole, "what follows changes nothing");
        assert_eq!(read_all(signatures, [&said[..bytes - 1]]), None, "the last byte completes it");
    }
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended {
    outcome: Outcome,
    /// The turn in which a verdict fell.
    turn: Option<usize>,
}

fn converse(turns: &[&[u8]], cut: Cut, seed: u32) -> Ended {
    let mut engine = HostEngine::new(&BUILT_IN.signatures, MODES);
    let mut random = Random::new(seed);
    let mut sequences = [1u32, 0xffff_ff00];
    let mut begun = [false; 2];
    let mut outcome = Outcome::UNREMARKABLE;
    for (turn, said) in turns.iter().enumerate() {
        let side = turn % 2;
        let direction = if side == 0 { Direction::Egress } else { Direction::Ingress };
        // The gate's answer belongs to the first segment, so its four bytes stay together.
        let together = if begun[side] { 0 } else { said.len().min(GATE) };
        let (first, rest) = said.split_at(together);
        let first = (together > 0 && !matches!(cut, Cut::Whole(_))).then_some(first);
        let rest = if matches!(cut, Cut::Whole(_)) { said } else { rest };
        for piece in first.into_iter().chain(pieces(rest, cut, &mut random)) {
            let mut send = |sequence: u32, payload: &[u8], start: Start| {
                let packet = packet(sequence, payload);
                engine.packet(0, direction, &packet, start).unwrap()
            };
            let start = if begun[side] { Start::Later } else { Start::First };
            begun[side] = true;
            outcome = send(sequences[side], piece, start);
            if outcome.reason == Reason::Stratum {
                return Ended { outcome, turn: Some(turn) };
            }
            if cut == Cut::Repeated && random.below(3) == 0 {
                let lie = vec![b'{'; piece.len()];
                let again = send(sequences[side], &lie, Start::Later);
                assert_eq!(again, outcome, "bytes that were read are not read again");
            }
            sequences[side] = sequences[side].wrapping_add(piece.len() as u32);
        }
    }
    Ended { outcome, turn: None }
}

/// The shortest headers there are, with a sequence number.
fn packet(sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = [0; 40];
    (packet[0], packet[9], packet[32], packet[33]) = (0x45, 6, 5 << 4, 0x18);
    packet[24..28].copy_from_slice(&sequence.to_be_bytes());
    [packet.as_slice(), payload].concat()
}

fn pieces<'a>(said: &'a [u8], cut: Cut, random: &mut Random) -> Vec<&'a [u8]> {
    match cut {
        Cut::Whole(longest) => said.chunks(longest).collect(),
        Cut::Bytes => said.chunks(1).collect(),
        Cut::Random | Cut::Repeated => random.cut(said),
    }
}

/// Marsaglia's xorshift: the same cuts for the same input.
struct Random(u32);

impl Random {
    fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }

    fn cut<'a>(&mut self, mut said: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !said.is_empty() {
            let len = 1 + self.below(said.len().min(200));
            let (piece, rest) = said.split_at(len);
            pieces.push(piece);
            said = rest;
        }
        pieces
    }
}
