//! Where a packet goes: the allowlist's word on it, and what is remembered and told of a denial.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::maps::lpm_trie::Key;
use sentinel_common::address::Address;
use sentinel_common::config::Switch;
use sentinel_common::event::Kind;
use sentinel_common::flow::Direction;
use sentinel_common::inspect;
use sentinel_common::packet::Brief;
use sentinel_common::policy::{Decision, KEY_BITS, PrefixKey, Request, decide, needs_lookup};
use sentinel_common::verdict::{Loss, Mode, Verdict};

use crate::context::{Skb, Socket};
use crate::emit::{count, lose};
use crate::maps::{CONFIG, PREFIXES};
use crate::owner::recall;
use crate::tell::{Told, tell_packet};

/// Looks a destination up in the allowlist in force, and decides.
#[inline(always)]
pub fn judge(request: &Request, mode: Mode, slot: u8) -> Decision {
    if !needs_lookup(request, mode) {
        return decide(request, mode, None);
    }
    let key = Key::new(KEY_BITS, PrefixKey { slot: [slot, 0, 0, 0], address: request.remote });
    decide(request, mode, PREFIXES.get(&key))
}

/// Judges an outgoing packet, given its [`Brief`]; returns a [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_packet(ctx: *mut __sk_buff, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let switch = config.switch();
    let mut destination = [0; 16];
    skb.destination(&mut destination);
    let decision = judge(&Brief(brief).request(destination), switch.egress(), switch.policy_slot());
    count(decision.reason, decision.verdict);
    if !matches!(decision.verdict, Verdict::Allowed) {
        deny(skb, switch, socket, Brief(brief), &destination, decision);
    }
    decision.verdict as u32
}

/// Remembers on the socket what was denied, and tells of each destination once.
#[inline(always)]
fn deny(
    skb: Skb,
    switch: Switch,
    socket: Socket,
    brief: Brief,
    destination: &Address,
    decision: Decision,
) {
    let Some(flow) = socket.flow_or_new() else {
        lose(Loss::FlowState);
        return;
    };
    inspect::refresh(flow, switch);
    recall(skb.cookie(), flow);
    if socket.is_tcp() && matches!(decision.verdict, Verdict::Blocked) {
        flow.settle(decision.verdict, decision.reason, u32::from(decision.rule));
    }
    let sum = destination_sum(brief, destination);
    if flow.told != sum {
        flow.told = sum;
        let told = Told {
            kind: Kind::Egress as u8,
            verdict: decision.verdict as u8,
            reason: decision.reason as u8,
            direction: Direction::Egress,
            rule: u32::from(decision.rule),
        };
        tell_packet(skb.0, told.pack(), brief.0);
    }
}

/// Never 0, which stands for "none told yet".
#[inline(always)]
fn destination_sum(brief: Brief, destination: &Address) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *destination;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes);
    let mut sum = brief.0 as u32;
    for word in words {
        sum = sum.rotate_left(7).wrapping_mul(0x9e37_79b1) ^ word;
    }
    sum | 1
}
