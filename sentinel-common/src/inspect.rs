//! One segment through a flow: the steps that the kernel's hook and the host's replay share.
//!
//! The kernel reads a segment chunk by chunk through a function that the verifier checks once, so
//! the loop over chunks stands at the caller; what comes before and after it stands here.

use crate::config::Switch;
use crate::flow::{Direction, Flow};
use crate::frame::{Frame, flag, state};
pub use crate::gate::{Facts, Opening, TLS_HANDSHAKE, begins_nothing, opening};
use crate::policy::TCP;
use crate::segment::outcome;
use crate::stream::{Reader, STARTED, WAITING};
use crate::verdict::{Mode, Reason, Verdict};

/// Whether a segment holds the first byte of its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Start {
    /// It does.
    First = 0,
    /// It does not: bytes before it went unread.
    Later = 1,
    /// Nobody can tell (a raw socket, a capture without its beginning).
    Unknown = 2,
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
    egress.started() | ingress.started() != 0
}

/// Brings a flow up to the policy in force before a segment of it is looked at. A verdict on a
/// mining-pool message keeps its rule, and with it the set that the rule is of.
#[inline(always)]
pub fn refresh(flow: &mut Flow, switch: Switch) {
    if flow.generation != switch.generation() {
        flow.generation = switch.generation();
        if flow.reason == Reason::ServerName as u8 {
            // What was said stays said, and nobody knows any more what of it.
            flow.settled = 3;
        } else if let Some(mode) = standing(flow.reason, switch) {
            flow.verdict = mode.verdict() as u8;
            flow.settled = 3;
        } else if flow.reason != Reason::Unremarkable as u8 {
            flow.verdict = Verdict::Allowed as u8;
            flow.reason = Reason::Unremarkable as u8;
            flow.settled = 0;
            flow.told = 0;
        }
    }
}

/// The mode of a finding that stands for as long as its flow: what was said stays said.
#[inline(always)]
const fn standing(reason: u8, switch: Switch) -> Option<Mode> {
    if reason == Reason::Stratum as u8 {
        Some(switch.stratum())
    } else if reason == Reason::PoolName as u8 {
        Some(switch.names())
    } else if reason == Reason::PeerToPeer as u8 {
        Some(switch.peer_to_peer())
    } else {
        None
    }
}

/// A segment's place: its payload's first byte in the sequence, its length, and what it opens.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// TCP sequence number; of a datagram whatever.
    pub sequence: u32,
    /// Payload bytes.
    pub len: u32,
    /// Whether it holds the direction's first byte.
    pub start: Start,
    /// What it opens a direction to that is not read yet; `Closed` reads it as a stream.
    pub opening: Opening,
    /// The transport protocol.
    pub protocol: u8,
}

/// Whether a packet goes on with what its flow was opened to.
#[inline(always)]
#[must_use]
pub const fn goes_on(flow: &Flow, direction: Direction, protocol: u8) -> bool {
    let [egress, ingress] = &flow.readers;
    let reader = if matches!(direction, Direction::Egress) { egress } else { ingress };
    if protocol == TCP { is_open(flow) } else { reader.is_in_message() }
}

/// Places a segment in its direction's stream, to be read by the signature set in force.
///
/// Each direction has the number of its own set: the two may be read on two CPUs at once, one of
/// which has loaded the switch before a new set came into force and one after it.
#[inline(always)]
pub fn admit(
    flow: &mut Flow,
    direction: Direction,
    switch: Switch,
    arrival: &Arrival,
) -> Admission {
    let [egress, ingress] = &mut flow.readers;
    let (reader, peer) = match direction {
        Direction::Egress => (egress, &*ingress),
        Direction::Ingress => (ingress, &*egress),
    };
    let Arrival { sequence, len, .. } = *arrival;
    if reader.table() != switch.signatures() {
        reader.change_table(switch.signatures());
    }
    if arrival.protocol != TCP {
        return admit_datagram(reader, arrival);
    }
    if reader.started() == 0 {
        reader.open(sequence, first_frame(peer, arrival.opening));
        if matches!(arrival.start, Start::Later) {
            reader.lose_place(sequence);
        }
        return Admission::Read(0);
    }
    if reader.started() == WAITING {
        reader.set_started(STARTED);
        reader.next_sequence = sequence;
    }
    if reader.is_stopped() {
        return Admission::Nothing;
    }
    match reader.already_read(sequence) {
        Some(behind) if behind >= len => Admission::Nothing,
        Some(behind) => {
            if behind == 0 {
                reader.begin_segment();
            }
            Admission::Read(behind)
        }
        None => {
            reader.lose_place(sequence);
            Admission::Gap
        }
    }
}

/// Datagrams have no order that anyone could know: each goes on where the one before ended.
#[inline(always)]
fn admit_datagram(reader: &mut Reader, arrival: &Arrival) -> Admission {
    if matches!(arrival.opening, Opening::DnsQuestion) {
        reader.open(0, Frame::dns(arrival.len.saturating_sub(12) as u64));
    } else if reader.started() == 0 {
        reader.open(0, Frame(0));
    }
    if reader.is_stopped() { Admission::Nothing } else { Admission::Read(0) }
}

/// What a direction's first bytes are, given the other direction.
#[inline(always)]
const fn first_frame(peer: &Reader, opening: Opening) -> Frame {
    match opening {
        Opening::DnsStream => return Frame::DNS_STREAM,
        Opening::Noise => return Frame::new(state::NOISE, 0),
        Opening::Frames => return Frame::new(state::LOST, 0),
        _ => {}
    }
    if peer.started() == 0 {
        return Frame::new(state::OPENING, 0);
    }
    if peer.frame().state() == state::NOISE {
        return Frame::new(state::NOISE, flag::ANSWER);
    }
    let asked = peer.frame().state() == state::OPENING && peer.frame().flags() & flag::SOCKS4 != 0;
    Frame::new(state::OPENING, flag::ANSWER | if asked { flag::SOCKS4 } else { 0 })
}

/// What the reading of a segment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing to tell.
    Silent,
    /// The flow has a verdict now.
    Verdict,
    /// A question's name is in this feed: a verdict on this packet alone, its socket may ask for
    /// others; but where a stream is blocked, on all of it.
    Question(u32),
}

/// Closes the reading of a segment: passes the verdict when there is one, and settles the direction
/// when nothing more is to be read there.
#[inline(always)]
pub fn conclude(
    flow: &mut Flow,
    direction: Direction,
    arrival: &Arrival,
    found: u32,
    switch: Switch,
) -> Conclusion {
    let next = arrival.sequence.wrapping_add(arrival.len);
    let (mode, reason, rule) = match found {
        outcome::NONE | outcome::STOP | outcome::MORE => {
            let [egress, ingress] = &mut flow.readers;
            let reader = if matches!(direction, Direction::Egress) { egress } else { ingress };
            reader.next_sequence = next;
            if found == outcome::MORE {
                reader.lose_place(next);
            }
            if reader.is_stopped() && !matches!(arrival.opening, Opening::DnsQuestion) {
                flow.settled |= 1 << direction as u8;
            }
            return Conclusion::Silent;
        }
        outcome::PEER_BITCOIN => (switch.peer_to_peer(), Reason::PeerToPeer, 0),
        outcome::PEER_MONERO => (switch.peer_to_peer(), Reason::PeerToPeer, 1),
        // Sizes prove nothing: told, never acted on.
        outcome::NOISE => (Mode::Audit, Reason::NoiseHandshake, Flow::NO_RULE as u32),
        outcome::NAMES..outcome::NAMES_END => {
            let feed = found & (outcome::DNS - 1);
            if found & outcome::DNS != 0 {
                // A datagram that is dropped is gone. A segment comes again, and is not read twice:
                // of a stream the verdict must stand.
                if arrival.protocol == TCP {
                    let verdict = switch.names().verdict();
                    flow.settle(verdict, Reason::PoolName, feed);
                }
                return Conclusion::Question(feed);
            }
            (switch.names(), Reason::PoolName, feed)
        }
        rule => {
            flow.signatures = switch.signatures() as u16;
            (switch.stratum(), Reason::Stratum, rule)
        }
    };
    flow.settle(mode.verdict(), reason, rule);
    Conclusion::Verdict
}
