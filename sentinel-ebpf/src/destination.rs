//! Where a packet goes, or whom it is from: the word of the policies and of the feeds on it, and what is
//! remembered and told of a finding.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::maps::lpm_trie::Key;
use sentinel_common::address::Address;
use sentinel_common::config::{Config, Switch};
use sentinel_common::event::Kind;
use sentinel_common::feed;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect;
use sentinel_common::packet::{Brief, is_rerouted};
use sentinel_common::policy::{Called, TCP};
use sentinel_common::verdict::{Loss, Reason, Verdict};

use crate::context::{Skb, Socket, value};
use crate::emit::{count, lose};
use crate::ends::Copied;
use crate::maps::{CALLED, CONFIG, FEED_ADDRESSES, FEED_PREFIXES};
use crate::name::{forget_name, note_server_name};
use crate::owner::{self, recall};
use crate::payload::UNNAMED;
use crate::tell::{Told, tell_packet};
use crate::workload::{self, Finding};

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;

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
    let found = Finding { verdict, reason: Reason::PoolAddress, rule: number, demands: false };
    count(found.reason, found.verdict);
    deny(skb, switch, socket, Brief(brief), &destination, Direction::Egress, found);
    found.verdict as u32
}

/// Judges an outgoing packet with more headers than usual, given its [`Brief`]: where it names its own
/// hops nobody can say where it ends, and a connection may be given some when it stands. Returns a
/// [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_route(ctx: *mut __sk_buff, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    if !is_rerouted(&Copied { skb, base: 0 }) {
        return Verdict::Allowed as u32;
    }
    let switch = config.switch();
    let (subject, is_unknown) = subject(skb, switch);
    let found = workload::judge_anywhere(subject, is_unknown);
    if !matches!(found.verdict, Verdict::Allowed) {
        let mut destination = [0; 16];
        skb.destination(&mut destination);
        count(found.reason, found.verdict);
        deny(skb, switch, socket, Brief(brief), &destination, Direction::Egress, found);
    }
    found.verdict as u32
}

/// The known cgroup that a packet is of, and whether it is that of another beneath it.
#[inline(always)]
fn subject(skb: Skb, switch: Switch) -> (u64, bool) {
    if !switch.by_workload() {
        return (0, false);
    }
    let subject = workload::of_packet(skb.0);
    (subject, subject != skb.cgroup())
}

/// Judges a packet by the policies on its socket's workload, given its [`Brief`] and its [`Direction`];
/// returns a [`Verdict`], or [`UNNAMED`] where nobody will read whether a server is named. Global: see
/// `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_packet(ctx: *mut __sk_buff, brief: u64, direction: u64) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let switch = config.switch();
    let mut remote = [0; 16];
    let direction = if direction == 0 { Direction::Egress } else { Direction::Ingress };
    match direction {
        Direction::Egress => skb.destination(&mut remote),
        Direction::Ingress => skb.source(&mut remote),
    }
    let (subject, is_unknown) = subject(skb, switch);
    let request = Brief(brief).request(remote);
    let found = workload::judge(subject, is_unknown, direction, &request);
    if found.demands && !demand(skb, switch, socket, Brief(brief)) {
        return UNNAMED;
    }
    count(found.reason, found.verdict);
    if !matches!(found.verdict, Verdict::Allowed) {
        deny(skb, switch, socket, Brief(brief), &remote, direction, found);
    }
    found.verdict as u32
}

/// Remembers to whom a datagram goes; of one that comes in, 1 if one went there before. Global: see
/// `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn called(ctx: *mut __sk_buff, brief: u64, direction: u64) -> u32 {
    let skb = Skb(ctx);
    let brief = Brief(brief);
    let protocol = u32::from(brief.protocol()) << 16;
    let (source, destination) = skb.ports(brief);
    let mut peer = Called { cookie: skb.cookie(), remote: [0; 16], port: protocol, reserved: 0 };
    if direction == Direction::Egress as u64 {
        skb.destination(&mut peer.remote);
        peer.port |= u32::from(destination);
        if CALLED.get_ptr(peer).is_none() {
            let _ = CALLED.insert(peer, 1, 0);
        }
        return 0;
    }
    skb.source(&mut peer.remote);
    peer.port |= u32::from(source);
    u32::from(CALLED.get_ptr(peer).is_some())
}

/// Has the connection's ClientHello name a server; `false` where nobody will read it: of what is no TCP
/// socket's, or where the kernel has no room for a flow's state.
#[inline(always)]
fn demand(skb: Skb, switch: Switch, socket: Socket, brief: Brief) -> bool {
    if brief.protocol() != TCP || !socket.is_tcp() {
        return false;
    }
    let Some(flow) = socket.flow_or_new() else {
        lose(Loss::FlowState);
        return false;
    };
    inspect::refresh(flow, switch);
    recall(skb.cookie(), flow);
    forget_name(skb.cookie());
    flow.demand_server_name();
    true
}

/// The rules that demanded a server's name are asked again now that the ClientHello is there, or is none;
/// given the packet's [`Brief`]. Returns a [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_server_name(ctx: *mut __sk_buff, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return Verdict::Allowed as u32;
    };
    let switch = config.switch();
    let slot = note_server_name(ctx);
    let mut remote = [0; 16];
    skb.destination(&mut remote);
    let (subject, is_unknown) = subject(skb, switch);
    let request = Brief(brief).request(remote);
    let found = workload::judge_named(subject, is_unknown, &request, slot);
    count(found.reason, found.verdict);
    let Some(flow) = socket.flow() else {
        return found.verdict as u32;
    };
    flow.settled &= !Flow::DEMANDS;
    if !matches!(found.verdict, Verdict::Allowed) {
        // Under audit what follows is read on.
        if matches!(found.verdict, Verdict::Blocked) {
            flow.settle(found.verdict, found.reason, found.rule);
        }
        let told = Told {
            kind: Kind::Tls as u8,
            verdict: found.verdict as u8,
            reason: found.reason as u8,
            direction: Direction::Egress,
            rule: found.rule,
        };
        tell_packet(ctx, told.pack(), brief);
    }
    found.verdict as u32
}

/// Remembers on the socket what was found, and tells of each destination once. A SYN of which
/// allowlist and feeds both tell may be told of again when it is repeated.
#[inline(always)]
fn deny(
    skb: Skb,
    switch: Switch,
    socket: Socket,
    brief: Brief,
    remote: &Address,
    direction: Direction,
    found: Finding,
) {
    let Some(flow) = socket.flow_or_new() else {
        lose(Loss::FlowState);
        return;
    };
    inspect::refresh(flow, switch);
    recall(skb.cookie(), flow);
    if !socket.is_tcp() {
        // Each of its datagrams may be another process's.
        owner::refresh(skb.cookie(), flow);
    }
    let goes_out = matches!(direction, Direction::Egress);
    // What comes in comes to a listener, which serves others as well.
    if goes_out && socket.is_tcp() && matches!(found.verdict, Verdict::Blocked) {
        flow.settle(found.verdict, found.reason, found.rule);
    }
    let sum = destination_sum(brief, remote) ^ (found.reason as u32) << 1;
    if flow.told != sum {
        flow.told = sum;
        let told = Told {
            kind: if goes_out { Kind::Egress as u8 } else { Kind::Ingress as u8 },
            verdict: found.verdict as u8,
            reason: found.reason as u8,
            direction,
            rule: found.rule,
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
