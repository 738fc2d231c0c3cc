//! What a segment says: read on, and told of when it completes a rule.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::config::Switch;
use sentinel_common::event::Kind;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, Arrival, Conclusion, Facts, Opening, Start};
use sentinel_common::packet::{Brief, Source as _};
use sentinel_common::segment::outcome;
use sentinel_common::verdict::{Loss, Reason, Verdict};

use crate::context::Skb;
use crate::emit::{count_wire, lose};
use crate::maps::CONFIG;
use crate::owner::recall;
use crate::reading::{read_segment, rounds};
use crate::tell::{Told, tell_packet};
use crate::workload::switch_of;

/// The gate that spares most flows their state: what a packet's first four bytes of payload open.
#[inline(always)]
pub fn opened(skb: Skb, brief: Brief, facts: Facts, switch: Switch) -> Opening {
    inspect::opening(facts, skb.first_bytes(brief.payload()), switch)
}

/// [`opened`] as an [`Opening`]'s number. `brief` is the packet's [`Brief`], `facts` is a [`Facts`].
/// Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate(ctx: *mut __sk_buff, brief: u64, facts: u64) -> u32 {
    let Some(config) = CONFIG.get(0) else {
        return Opening::Closed as u32;
    };
    opened(Skb(ctx), Brief(brief), Facts(facts), config.switch()) as u32
}

/// In the place of a [`Verdict`]: a server was to be named, and what went out is a ClientHello up to its
/// name, or none.
pub const UNNAMED: u32 = 1 << 8;

/// Set in the answer of [`admit_payload`] when nothing is to be read: the rest is a [`Verdict`].
const DONE: u32 = 1 << 31;

/// Reads a packet's payload for the flow on its socket; returns a [`Verdict`] or [`UNNAMED`]. `brief` is the packet's
/// [`Brief`], `sequence` that of the payload's first byte, `way` has the direction in bit 0 and the
/// [`Opening`] in bits 8..16. Global: see `reading`.
///
/// What comes before the reading and after it are functions of their own, so that nothing of them
/// lies on the stack below the reader, which takes all that is left of its 512 bytes.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_payload(ctx: *mut __sk_buff, brief: u64, sequence: u64, way: u64) -> u32 {
    let admitted = admit_payload(ctx, brief, sequence, way);
    if admitted & DONE != 0 {
        return admitted & 0xff;
    }
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let Some(flow) = socket.flow() else {
        return Verdict::Allowed as u32;
    };
    let slot = u64::from(config.switch().signature_slot());
    let place = u64::from(Brief(brief).payload().wrapping_add(admitted));
    let found = rounds(flow, direction_of(way), place, |offset| {
        read_segment(ctx, offset, u64::from(skb.len()), way & 1, slot)
    });
    conclude_payload(ctx, brief, sequence, way, u64::from(found))
}

/// Gives the packet's socket its state if it has none, and places the payload in its stream: the bytes
/// of it that were read before, or [`DONE`] and a verdict. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn admit_payload(ctx: *mut __sk_buff, brief: u64, sequence: u64, way: u64) -> u32 {
    let skb = Skb(ctx);
    let direction = direction_of(way);
    let sequence = sequence as u32;
    let Some(config) = CONFIG.get(0) else {
        return DONE | Verdict::Allowed as u32;
    };
    let Some(socket) = skb.socket() else {
        lose(Loss::Socketless);
        return DONE | Verdict::Allowed as u32;
    };
    let Some(flow) = socket.flow_or_new() else {
        lose(Loss::FlowState);
        return DONE | Verdict::Allowed as u32;
    };
    let switch = config.switch();
    let is_mining = flow.reason == Reason::Stratum as u8 && flow.generation != switch.generation();
    inspect::refresh(flow, if is_mining { switch_of(ctx, switch) } else { switch });
    recall(skb.cookie(), flow);
    if flow.is_settled(direction, switch.generation()) {
        // A verdict passed under an older policy, now under this one's mode: told anew, so that
        // userspace destroys the socket when an audit has become a block.
        return DONE | told(ctx, brief, flow, direction);
    }
    let started = flow.readers[direction as usize].started() != 0;
    let start = if started { Start::Unknown } else { skb.start(direction, sequence) };
    let arrival = arrival(skb, brief, sequence, way, start);
    match inspect::admit(flow, direction, switch, &arrival) {
        Admission::Nothing => DONE | Verdict::Allowed as u32,
        Admission::Read(skip) => skip & !DONE,
        Admission::Gap => {
            lose(Loss::SequenceGap);
            0
        }
    }
}

/// What the reading of a packet's payload came to: passes the verdict, if there is one, tells of it
/// and returns it. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn conclude_payload(
    ctx: *mut __sk_buff,
    brief: u64,
    sequence: u64,
    way: u64,
    found: u64,
) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let Some(flow) = socket.flow() else {
        return Verdict::Allowed as u32;
    };
    let mut switch = config.switch();
    if outcome::is_signature(found as u32) {
        switch = switch_of(ctx, switch);
    }
    let direction = direction_of(way);
    let demands = flow.demands() && matches!(direction, Direction::Egress);
    let arrival = arrival(skb, brief, sequence as u32, way, Start::Unknown);
    let verdict = match inspect::conclude(flow, direction, &arrival, found as u32, switch) {
        Conclusion::Silent => Verdict::Allowed as u32,
        Conclusion::Verdict => told(ctx, brief, flow, direction),
        Conclusion::Question(feed) => {
            let verdict = switch.names().verdict() as u8;
            asked(ctx, brief, verdict, feed)
        }
    };
    if demands && verdict != Verdict::Blocked as u32 && !is_hello_under_way(flow) {
        return UNNAMED;
    }
    verdict
}

/// Whether what goes out is still the beginning of a ClientHello.
#[inline(always)]
fn is_hello_under_way(flow: &Flow) -> bool {
    let [egress, _] = &flow.readers;
    !egress.is_stopped() && egress.frame().is_hello()
}

/// Which way a packet goes, of such a `way`.
#[inline(always)]
pub fn direction_of(way: u64) -> Direction {
    if way & 1 == 0 { Direction::Egress } else { Direction::Ingress }
}

#[inline(always)]
fn arrival(skb: Skb, brief: u64, sequence: u32, way: u64, start: Start) -> Arrival {
    let brief = Brief(brief);
    Arrival {
        sequence,
        len: skb.len().wrapping_sub(brief.payload()),
        start,
        opening: Opening::from_wire((way >> 8) as u8),
        protocol: brief.protocol(),
    }
}

/// Counts and tells of the flow's verdict, and returns it.
#[inline(always)]
fn told(ctx: *mut __sk_buff, brief: u64, flow: &Flow, direction: Direction) -> u32 {
    count_wire(flow.reason, flow.verdict);
    let kind = kind_of(flow.reason);
    if kind != 0 && flow.verdict != Verdict::Allowed as u8 {
        let rule = if flow.rule == Flow::NO_RULE { u32::MAX } else { u32::from(flow.rule) };
        let told = Told { kind, verdict: flow.verdict, reason: flow.reason, direction, rule };
        tell_packet(ctx, told.pack(), brief);
    }
    u32::from(flow.verdict)
}

/// The kind of event that tells of a flow's verdict for this reason; 0 for none.
#[inline(always)]
fn kind_of(reason: u8) -> u8 {
    if reason == Reason::Stratum as u8 {
        Kind::Stratum as u8
    } else if reason == Reason::PoolName as u8 {
        Kind::Tls as u8
    } else if reason == Reason::PeerToPeer as u8 {
        Kind::PeerToPeer as u8
    } else if reason == Reason::NoiseHandshake as u8 {
        Kind::Suspicion as u8
    } else {
        0
    }
}

/// The same for a question, whose verdict is on this packet alone.
#[inline(always)]
fn asked(ctx: *mut __sk_buff, brief: u64, verdict: u8, feed: u32) -> u32 {
    let reason = Reason::PoolName as u8;
    count_wire(reason, verdict);
    let kind = Kind::Dns as u8;
    let told = Told { kind, verdict, reason, direction: Direction::Egress, rule: feed };
    tell_packet(ctx, told.pack(), brief);
    u32::from(verdict)
}
