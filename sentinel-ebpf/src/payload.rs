//! What a segment says: read on, and told of when it completes a rule.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::event::Kind;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, Arrival, Conclusion, Facts, Opening, Start};
use sentinel_common::packet::{Brief, Source as _};
use sentinel_common::verdict::{Loss, Reason, Verdict};

use crate::context::Skb;
use crate::emit::{count_wire, lose};
use crate::maps::CONFIG;
use crate::owner::recall;
use crate::reading;
use crate::tell::{Told, tell_packet};

/// Which way a packet goes and what it opens its flow to, in one word.
#[inline(always)]
pub fn way(direction: Direction, opening: u32) -> u64 {
    direction as u64 | u64::from(opening) << 8
}

/// The gate that spares most flows their state: what four bytes of payload open, as an [`Opening`]'s
/// number. `brief` is the packet's [`Brief`], `facts` is a [`Facts`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gate(ctx: *mut __sk_buff, brief: u64, facts: u64) -> u32 {
    let Some(config) = CONFIG.get(0) else {
        return Opening::Closed as u32;
    };
    let first = Skb(ctx).first_bytes(Brief(brief).payload());
    inspect::opening(Facts(facts), first, config.switch()) as u32
}

/// Reads a packet's payload for the flow on its socket, which gets its state here if it has none;
/// returns a [`Verdict`]. `brief` is the packet's [`Brief`], `sequence` that of the payload's first
/// byte, `way` a [`way`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_payload(ctx: *mut __sk_buff, brief: u64, sequence: u64, way: u64) -> u32 {
    let skb = Skb(ctx);
    let direction = if way & 1 == 0 { Direction::Egress } else { Direction::Ingress };
    let (from, end, sequence) = (Brief(brief).payload(), skb.len(), sequence as u32);
    let Some(config) = CONFIG.get(0) else {
        return Verdict::Allowed as u32;
    };
    let Some(socket) = skb.socket() else {
        lose(Loss::Socketless);
        return Verdict::Allowed as u32;
    };
    let Some(flow) = socket.flow_or_new() else {
        lose(Loss::FlowState);
        return Verdict::Allowed as u32;
    };
    let switch = config.switch();
    inspect::refresh(flow, switch);
    recall(skb.cookie(), flow);
    if flow.is_settled(direction, switch.generation()) {
        // A verdict passed under an older policy, now under this one's mode: told anew, so that
        // userspace destroys the socket when an audit has become a block.
        return told(ctx, brief, flow, direction);
    }
    let started = flow.readers[direction as usize].started != 0;
    let arrival = Arrival {
        sequence,
        len: end.wrapping_sub(from),
        start: if started { Start::Unknown } else { skb.start(direction, sequence) },
        opening: Opening::from_wire((way >> 8) as u8),
        protocol: Brief(brief).protocol(),
    };
    let skip = match inspect::admit(flow, direction, &arrival) {
        Admission::Nothing => return Verdict::Allowed as u32,
        Admission::Read(skip) => skip,
        Admission::Gap => {
            lose(Loss::SequenceGap);
            0
        }
    };
    let slot = switch.signature_slot();
    let place = u64::from(from.wrapping_add(skip));
    let found =
        reading::read_segment(ctx, place, u64::from(end), direction as u64, u64::from(slot));
    match inspect::conclude(flow, direction, &arrival, found, switch) {
        Conclusion::Silent => Verdict::Allowed as u32,
        Conclusion::Verdict => told(ctx, brief, flow, direction),
        Conclusion::Question(feed) => {
            let verdict = switch.names().verdict() as u8;
            asked(ctx, brief, verdict, feed)
        }
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
