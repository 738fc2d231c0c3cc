//! The same judgement for packets of a capture, by BPF_PROG_TEST_RUN.
//!
//! The control buffer carries what a socket would know: word 0 the flow's number, word 1 the
//! direction, word 2 a [`Start`] (0 first, 1 later, 2 unknown).

use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::{self, Admission, Start};
use sentinel_common::packet::parse;
use sentinel_common::policy::TCP;
use sentinel_common::verdict::{Loss, Verdict};

use crate::context::{self, Skb};
use crate::emit::lose;
use crate::maps::CONFIG;
use crate::reading::read_segment_replay;

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
    let len = packet.payload_len();
    if len == 0 || packet.protocol != TCP {
        return None;
    }
    inspect::refresh(flow, switch);
    let sequence = packet.payload_sequence();
    if !inspect::is_open(flow) && !opens_replayed(skb, packet.payload, len, start) {
        return None;
    }
    let reader = &mut flow.readers[direction as usize];
    let skip = match inspect::admit(reader, switch, sequence, len, start) {
        Admission::Nothing => return None,
        Admission::Read(skip) => skip,
        Admission::Gap => {
            lose(Loss::SequenceGap);
            0
        }
    };
    let from = u64::from(packet.payload + skip);
    let slot = u64::from(switch.signature_slot());
    let found = read_segment_replay(skb.0, from, u64::from(packet.end), direction as u64, slot);
    inspect::conclude(flow, direction, sequence.wrapping_add(len), found, switch);
    Verdict::from_wire(flow.verdict)
}

#[inline(always)]
fn opens_replayed(skb: Skb, payload: u32, len: u32, start: Start) -> bool {
    let first = skb.first_bytes(payload, len);
    inspect::opens(start, first)
}
