//! `cgroup_skb/egress` and `/ingress`: the enforcing hooks. A program attached later may override
//! what a connect hook says; nobody can override these.
//!
//! The way of a packet: one read if its flow is settled; otherwise its headers, its destination if
//! it may be a new one, and its payload if it may carry a message. The last two are functions the
//! verifier checks once (see `reading`), so a packet's many shapes do not multiply with them.

use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::config::Switch;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::{self, Facts, Opening, Start};
use sentinel_common::packet::{Packet, parse};
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use crate::context::Skb;
use crate::destination::{judge_feed, judge_packet, judge_route};
use crate::emit::{count, count_wire};
use crate::maps::CONFIG;
use crate::payload::{gate, read_payload, way};

const DROP: i32 = 0;
const PASS: i32 = 1;

#[cgroup_skb(egress)]
pub fn egress(ctx: SkBuffContext) -> i32 {
    packet(Skb(ctx.skb.skb), Direction::Egress)
}

#[cgroup_skb(ingress)]
pub fn ingress(ctx: SkBuffContext) -> i32 {
    packet(Skb(ctx.skb.skb), Direction::Ingress)
}

#[inline(always)]
fn outcome(verdict: u8) -> i32 {
    if verdict == Verdict::Blocked as u8 { DROP } else { PASS }
}

/// The way of one packet: 0 drops it, 1 lets it pass.
#[inline(always)]
pub fn packet(skb: Skb, direction: Direction) -> i32 {
    let Some(config) = CONFIG.get(0) else {
        return PASS;
    };
    let switch = config.switch();
    let mut open = false;
    let mut in_message = false;
    if let Some(flow) = skb.flow() {
        if flow.is_settled(direction, switch.generation()) {
            count_wire(flow.reason, flow.verdict);
            return outcome(flow.verdict);
        }
        open = inspect::is_open(flow);
        in_message = flow.readers[direction as usize].is_in_message();
    }
    let Some(packet) = parse(&skb) else {
        return unreadable(switch);
    };
    if matches!(direction, Direction::Egress)
        && !matches!(switch.egress(), Mode::Off)
        && packet.has_more_headers()
        && judge_route(skb.0, packet.brief().0) == Verdict::Blocked as u32
    {
        return DROP;
    }
    if needs_judgement(switch, skb, &packet, direction)
        && judge_packet(skb.0, packet.brief().0) == Verdict::Blocked as u32
    {
        return DROP;
    }
    if may_reach_a_pool(switch, &packet, direction)
        && judge_feed(skb.0, packet.brief().0) == Verdict::Blocked as u32
    {
        return DROP;
    }
    if !reads(switch) || packet.payload_len() == 0 {
        return PASS;
    }
    let is_tcp = packet.protocol == TCP;
    if !is_tcp && packet.protocol != UDP {
        return PASS;
    }
    // On an open stream every segment is read; of datagrams each may open something.
    let mut opening = Opening::Closed as u32;
    if !is_tcp || !open {
        let start = skb.start(direction, packet.payload_sequence());
        if matches!(start, Start::Later) {
            return PASS;
        }
        opening = gate(skb.0, packet.brief().0, Facts::of(&packet, direction, start).0);
        if opening == Opening::Closed as u32 && !in_message {
            return PASS;
        }
    }
    let sequence = u64::from(packet.payload_sequence());
    outcome(read_payload(skb.0, packet.brief().0, sequence, way(direction, opening)) as u8)
}

/// Whether payload is looked at, for anything.
#[inline(always)]
fn reads(switch: Switch) -> bool {
    !matches!(
        (switch.stratum(), switch.names(), switch.peer_to_peer()),
        (Mode::Off, Mode::Off, Mode::Off)
    )
}

/// Headers that cannot be read cannot be judged: the mode of the allowlist decides.
#[inline(always)]
fn unreadable(switch: Switch) -> i32 {
    let verdict = switch.egress().verdict();
    count(Reason::Unreadable, verdict);
    outcome(verdict as u8)
}

/// Whether a packet may go to a new destination. Of a TCP connection that is its SYN: replies on
/// accepted connections are nobody's new destination. Everything else is judged packet by packet,
/// since the next one may go elsewhere.
#[inline(always)]
fn needs_judgement(switch: Switch, skb: Skb, packet: &Packet, direction: Direction) -> bool {
    matches!(direction, Direction::Egress)
        && !matches!(switch.egress(), Mode::Off)
        && (packet.opens_connection() || !skb.socket().is_some_and(|socket| socket.is_tcp()))
}

/// Whether the feeds are asked about a packet's destination: of a connection once. Datagrams are
/// judged where they are sent or their socket is connected, and not again for every packet.
#[inline(always)]
fn may_reach_a_pool(switch: Switch, packet: &Packet, direction: Direction) -> bool {
    matches!(direction, Direction::Egress)
        && !matches!(switch.names(), Mode::Off)
        && packet.opens_connection()
}
