//! One segment through a flow: the steps that the kernel's hook and the host's replay share.
//!
//! The kernel reads a segment chunk by chunk through a function that the verifier checks once, so
//! the loop over chunks stands at the caller; what comes before and after it stands here.

use crate::config::Switch;
use crate::flow::{Direction, Flow};
use crate::signature::NO_RULE;
use crate::stream::Reader;
use crate::verdict::{Mode, Reason, Verdict};

/// Returned by a chunk's reading where a rule would stand: nothing more is to be read.
pub const STOP: u32 = NO_RULE - 1;

/// Whether a segment holds the first byte of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It does.
    First,
    /// It does not: bytes before it went unread.
    Later,
    /// Nobody can tell (a raw socket, a capture without its beginning).
    Unknown,
}

/// What is to be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Read it, from this byte of its payload on.
    Read(u32),
    /// Bytes before it are missing: read it all, the place is lost.
    Gap,
    /// All of it was read before, or nothing is read in this direction any more.
    Nothing,
}

/// Whether a message was ever under way on a flow, in either direction: then all of its segments
/// are read, and before that only one that [`opens`] it.
#[inline(always)]
#[must_use]
pub const fn is_open(flow: &Flow) -> bool {
    let [egress, ingress] = &flow.readers;
    egress.started | ingress.started != 0
}

/// Whether a segment opens a flow to reading: only its direction's first bytes can, and only those
/// that pass [`crate::lexer::can_open_message`] do.
#[inline(always)]
#[must_use]
pub fn opens(start: Start, first_bytes: [u8; 4]) -> bool {
    !matches!(start, Start::Later) && crate::lexer::can_open_message(first_bytes)
}

/// Brings a flow up to the configuration in force before a segment of it is looked at.
#[inline(always)]
pub fn refresh(flow: &mut Flow, switch: Switch) {
    if flow.signatures != switch.signatures() {
        // Token bits and automaton states of another table mean nothing in this one.
        flow.signatures = switch.signatures();
        for reader in &mut flow.readers {
            if reader.started == 1 && !reader.is_stopped() {
                let next = reader.next_sequence;
                reader.said = 0;
                reader.lose_place(next);
            }
        }
    }
    if flow.generation != switch.generation() {
        flow.generation = switch.generation();
        if flow.reason == Reason::Stratum as u8 {
            flow.settle(switch.stratum().verdict(), Reason::Stratum, flow.rule);
        } else if flow.reason != Reason::Unremarkable as u8 {
            flow.verdict = Verdict::Allowed as u8;
            flow.reason = Reason::Unremarkable as u8;
            flow.settled = 0;
            flow.told = 0;
        }
    }
}

/// Places a segment in its direction's stream. `sequence` is that of its first payload byte.
#[inline(always)]
pub fn admit(reader: &mut Reader, sequence: u32, len: u32, start: Start) -> Admission {
    if reader.started == 0 {
        *reader = Reader::at_start(sequence);
        if matches!(start, Start::Later) {
            reader.lose_place(sequence);
        }
        return Admission::Read(0);
    }
    if reader.started == 2 {
        reader.next_sequence = sequence;
        reader.started = 1;
        return Admission::Read(0);
    }
    if reader.is_stopped() {
        return Admission::Nothing;
    }
    match reader.already_read(sequence) {
        Some(behind) if behind >= len => Admission::Nothing,
        Some(behind) => Admission::Read(behind),
        None => {
            reader.lose_place(sequence);
            Admission::Gap
        }
    }
}

/// Closes the reading of a segment: passes the verdict when a rule was completed, and settles the
/// direction when nothing more is to be read there. Returns whether there is a verdict to tell.
#[inline(always)]
pub fn conclude(
    flow: &mut Flow,
    direction: Direction,
    next_sequence: u32,
    outcome: u32,
    mode: Mode,
) -> bool {
    if outcome != NO_RULE && outcome != STOP {
        flow.settle(mode.verdict(), Reason::Stratum, outcome);
        return true;
    }
    let [egress, ingress] = &mut flow.readers;
    let reader = if matches!(direction, Direction::Egress) { egress } else { ingress };
    reader.next_sequence = next_sequence;
    if reader.is_stopped() {
        flow.settled |= 1 << direction as u8;
    }
    false
}
