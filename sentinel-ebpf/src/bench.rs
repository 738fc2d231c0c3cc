//! What the benchmark runs by BPF_PROG_TEST_RUN, never attached.

use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::flow::Direction;

use crate::cgroup_skb::packet;
use crate::context::Skb;

/// The harness and nothing else: what every figure is measured above.
#[cgroup_skb]
pub fn bench_empty(_: SkBuffContext) -> i32 {
    1
}

/// The egress hook on a flow that nobody has seen: its state is made and taken away every time.
#[cgroup_skb]
pub fn bench_fresh(ctx: SkBuffContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let verdict = packet(skb, Direction::Egress);
    if let Some(socket) = skb.socket() {
        socket.forget_flow();
    }
    verdict
}

/// Making and taking away a flow's state, alone.
#[cgroup_skb]
pub fn bench_state(ctx: SkBuffContext) -> i32 {
    if let Some(socket) = Skb(ctx.skb.skb).socket() {
        let made = socket.flow_or_new().is_some();
        socket.forget_flow();
        return i32::from(made);
    }
    1
}
