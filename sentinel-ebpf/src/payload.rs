//! What a segment says: read on, and told of when it completes a rule.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::event::Kind;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, Start};
use sentinel_common::packet::{Brief, Source as _};
use sentinel_common::verdict::{Loss, Reason, Verdict};

use crate::context::Skb;
use crate::emit::{count_wire, lose};
use crate::maps::CONFIG;
use crate::owner::recall;
use crate::reading;
use crate::tell::{Told, tell_packet};

/// Reads a TCP segment's payload for the flow on its socket, which gets its state here if it has
/// none; returns a [`Verdict`]. `brief` is the packet's [`Brief`], `sequence` that of the payload's
/// first byte. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_payload(
    ctx: *mut __sk_buff,
    brief: u64,
    sequence: u64,
    direction: u64,
) -> u32 {
    let skb = Skb(ctx);
    let direction = if direction == 0 { Direction::Egress } else { Direction::Ingress };
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
    let reader = &mut flow.readers[direction as usize];
    let started = reader.started != 0;
    let start = if started { Start::Unknown } else { skb.start(direction, sequence) };
    let len = end.wrapping_sub(from);
    let skip = match inspect::admit(reader, sequence, len, start) {
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
    let next = sequence.wrapping_add(len);
    if !inspect::conclude(flow, direction, next, found, switch.stratum()) {
        return Verdict::Allowed as u32;
    }
    told(ctx, brief, flow, direction)
}

/// Counts and tells of the flow's verdict, and returns it.
#[inline(always)]
fn told(ctx: *mut __sk_buff, brief: u64, flow: &Flow, direction: Direction) -> u32 {
    count_wire(flow.reason, flow.verdict);
    if flow.reason == Reason::Stratum as u8 {
        let told = Told {
            kind: Kind::Stratum,
            verdict: flow.verdict,
            reason: flow.reason,
            direction,
            rule: flow.rule,
        };
        tell_packet(ctx, told.pack(), brief);
    }
    u32::from(flow.verdict)
}
