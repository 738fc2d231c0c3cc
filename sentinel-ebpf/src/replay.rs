//! The same judgement for packets of a capture, by BPF_PROG_TEST_RUN.
//!
//! The control buffer carries what a socket would know: word 0 the flow's number, word 1 the
//! direction, word 2 a [`Start`] (0 first, 1 later, 2 unknown).

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::config::Switch;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, Arrival, Facts, Opening, Start};
use sentinel_common::packet::{Brief, Source as _, parse};
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::{Loss, Verdict};

use crate::context::Skb;
use crate::emit::lose;
use crate::maps::CONFIG;
use crate::payload::gate;
use crate::reading::{replay_segment, replayed, rounds};

const DROP: i32 = 0;
const PASS: i32 = 1;

#[cgroup_skb]
pub fn replay(ctx: SkBuffContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let Some(packet) = parse(&skb) else {
        return PASS;
    };
    let sequence = u64::from(packet.payload_sequence());
    let verdict = replay_payload(skb.0, packet.brief().0, sequence);
    if verdict == Verdict::Blocked as u32 { DROP } else { PASS }
}

/// A replayed packet's payload, given its [`Brief`]: what `cgroup_skb` and `payload` do of a live one.
/// Returns a [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn replay_payload(ctx: *mut __sk_buff, brief: u64, sequence: u64) -> u32 {
    let skb = Skb(ctx);
    match (CONFIG.get(0), replayed(skb.control(0))) {
        (Some(config), Some(flow)) => {
            read(skb, flow, config.switch(), (Brief(brief), sequence as u32))
        }
        _ => Verdict::Allowed as u32,
    }
}

/// What the control buffer says of a packet, and the packet's brief.
#[inline(always)]
fn facts(skb: Skb, brief: Brief) -> Facts {
    let direction = if skb.control(1) == 0 { Direction::Egress } else { Direction::Ingress };
    let start = match skb.control(2) {
        0 => Start::First,
        1 => Start::Later,
        _ => Start::Unknown,
    };
    Facts::of_brief(brief, skb.len().saturating_sub(brief.payload()), direction, start)
}

#[inline(always)]
fn read(skb: Skb, flow: &mut Flow, switch: Switch, (brief, sequence): (Brief, u32)) -> u32 {
    let facts = facts(skb, brief);
    let (direction, protocol) = (facts.direction(), brief.protocol());
    if flow.is_settled(direction, switch.generation()) {
        return u32::from(flow.verdict);
    }
    let (from, end) = (brief.payload(), skb.len());
    if end <= from || (protocol != TCP && protocol != UDP) {
        return Verdict::Allowed as u32;
    }
    inspect::refresh(flow, switch);
    let goes_on = inspect::goes_on(flow, direction, protocol);
    let mut opening = Opening::Closed as u32;
    if !goes_on || protocol != TCP {
        opening = gate(skb.0, brief.0, facts.0);
        if opening == Opening::Closed as u32 && !goes_on {
            return Verdict::Allowed as u32;
        }
    }
    let opening = Opening::from_wire(opening as u8);
    let arrival = Arrival { sequence, len: end - from, start: facts.start(), opening, protocol };
    let skip = match inspect::admit(flow, direction, switch, &arrival) {
        Admission::Nothing => return Verdict::Allowed as u32,
        Admission::Read(skip) => skip,
        Admission::Gap => {
            lose(Loss::SequenceGap);
            0
        }
    };
    let from = u64::from(from.wrapping_add(skip));
    let slot = u64::from(switch.signature_slot());
    let found = rounds(flow, direction, from, |offset| {
        replay_segment(skb.0, offset, u64::from(end), direction as u64, slot)
    });
    inspect::conclude(flow, direction, &arrival, found, switch);
    u32::from(flow.verdict)
}
