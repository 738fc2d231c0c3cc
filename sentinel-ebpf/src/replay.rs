//! The same judgement for packets of a capture, by BPF_PROG_TEST_RUN.
//!
//! The control buffer carries what a socket would know: word 0 the flow's number, word 1 the
//! direction, word 2 a [`Start`] (0 first, 1 later, 2 unknown).

use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::{self, Admission, Arrival, Facts, Opening, Start};
use sentinel_common::packet::parse;
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::{Loss, Verdict};

use crate::context::{self, Skb};
use crate::emit::lose;
use crate::maps::CONFIG;
use crate::payload::gate;
use crate::reading::replay_segment;

const DROP: i32 = 0;
const PASS: i32 = 1;

#[cgroup_skb]
pub fn replay(ctx: SkBuffContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    match run(skb) {
        Some(Verdict::Blocked) => DROP,
        _ => PASS,
    }
}

#[inline(always)]
fn run(skb: Skb) -> Option<Verdict> {
    let switch = CONFIG.get(0)?.switch();
    let flow = context::replayed(skb.control(0))?;
    let direction = if skb.control(1) == 0 { Direction::Egress } else { Direction::Ingress };
    let start = match skb.control(2) {
        0 => Start::First,
        1 => Start::Later,
        _ => Start::Unknown,
    };
    if flow.is_settled(direction, switch.generation()) {
        return Verdict::from_wire(flow.verdict);
    }
    let packet = parse(&skb)?;
    if packet.payload_len() == 0 || (packet.protocol != TCP && packet.protocol != UDP) {
        return None;
    }
    inspect::refresh(flow, switch);
    let goes_on = inspect::goes_on(flow, direction, packet.protocol);
    let mut opening = Opening::Closed as u32;
    if !goes_on || packet.protocol != TCP {
        let first = skb.first_bytes(packet.payload, packet.payload_len());
        opening = gate(u64::from(first), Facts::of(&packet, direction, start).0);
        if opening == Opening::Closed as u32 && !goes_on {
            return None;
        }
    }
    let arrival = Arrival {
        sequence: packet.payload_sequence(),
        len: packet.payload_len(),
        start,
        opening: Opening::from_wire(opening as u8),
        protocol: packet.protocol,
    };
    let skip = match inspect::admit(flow, direction, &arrival) {
        Admission::Nothing => return None,
        Admission::Read(skip) => skip,
        Admission::Gap => {
            lose(Loss::SequenceGap);
            0
        }
    };
    let from = u64::from(packet.payload.wrapping_add(skip));
    let slot = u64::from(switch.signature_slot());
    let found = replay_segment(skb.0, from, u64::from(packet.end), direction as u64, slot);
    inspect::conclude(flow, direction, &arrival, found, switch);
    Verdict::from_wire(flow.verdict)
}
