//! Where a packet goes: the word of the allowlist and of the feeds on it, and what is remembered and
//! told of a finding.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::maps::lpm_trie::Key;
use sentinel_common::address::Address;
use sentinel_common::config::{Config, Switch};
use sentinel_common::event::Kind;
use sentinel_common::feed;
use sentinel_common::flow::Direction;
use sentinel_common::inspect;
use sentinel_common::packet::{Brief, is_rerouted};
use sentinel_common::policy::{Decision, KEY_BITS, PrefixKey, Request, decide, needs_lookup};
use sentinel_common::verdict::{Loss, Mode, Reason, Verdict};

use crate::context::{Skb, Socket, value};
use crate::emit::{count, lose};
use crate::maps::{CONFIG, FEED_ADDRESSES, FEED_PREFIXES, PREFIXES};
use crate::owner::recall;
use crate::tell::{Told, tell_packet};

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;

/// Looks a destination up in the allowlist in force, and decides.
#[inline(always)]
pub fn judge(request: &Request, mode: Mode, slot: u8) -> Decision {
    if !needs_lookup(request, mode) {
        return decide(request, mode, None);
    }
    let key = Key::new(KEY_BITS, PrefixKey { slot: [slot, 0, 0, 0], address: request.remote });
    decide(request, mode, PREFIXES.get(&key))
}

/// Looks a destination up in the feeds: the number of the one that names it. The precedence stands
/// above [`feed::listing`].
#[inline(always)]
pub fn listed(config: &Config, remote: &Address) -> Option<u32> {
    feed::listing(
        remote,
        || value(FEED_ADDRESSES.get_ptr_mut(remote)).map(|feed| *feed),
        || match config.feed_prefixes {
            0 => None,
            _ => FEED_PREFIXES.get(Key::new(ADDRESS_BITS, *remote)).copied(),
        },
    )
}

/// Judges the SYN of an outgoing connection by the feeds, given its [`Brief`]; returns a
/// [`Verdict`]. Under enforcement `connect(2)`, and Fast Open too, fail before there is a SYN: what
/// comes here came by a raw socket or as a subflow. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_feed(ctx: *mut __sk_buff, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let switch = config.switch();
    let mut destination = [0; 16];
    skb.destination(&mut destination);
    let Some(number) = listed(config, &destination) else {
        return Verdict::Allowed as u32;
    };
    let verdict = switch.names().verdict();
    let decision = Decision { verdict, reason: Reason::PoolAddress, rule: number as u16 };
    count(decision.reason, decision.verdict);
    deny(skb, switch, socket, Brief(brief), &destination, decision);
    decision.verdict as u32
}

/// Judges an outgoing packet with more headers than usual, given its [`Brief`]: where it names its own
/// hops nobody can say where it ends, and a connection may be given some when it stands. Returns a
/// [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_route(ctx: *mut __sk_buff, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let Some(config) = CONFIG.get(0) else {
        return Verdict::Allowed as u32;
    };
    if !is_rerouted(&skb) {
        return Verdict::Allowed as u32;
    }
    let switch = config.switch();
    let verdict = switch.egress().verdict();
    let decision = Decision { verdict, reason: Reason::SourceRoute, rule: 0 };
    count(decision.reason, decision.verdict);
    if let Some(socket) = skb.socket() {
        let mut destination = [0; 16];
        skb.destination(&mut destination);
        deny(skb, switch, socket, Brief(brief), &destination, decision);
    }
    verdict as u32
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

/// Remembers on the socket what was found, and tells of each destination once. A SYN of which
/// allowlist and feeds both tell may be told of again when it is repeated.
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
    let sum = destination_sum(brief, destination) ^ (decision.reason as u32) << 1;
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
pub fn destination_sum(brief: Brief, destination: &Address) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *destination;
    let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes);
    let mut sum = brief.0 as u32;
    for word in words {
        sum = sum.rotate_left(7).wrapping_mul(0x9e37_79b1) ^ word;
    }
    sum | 1
}
