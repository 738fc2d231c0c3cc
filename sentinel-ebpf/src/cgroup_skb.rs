//! `cgroup_skb/egress` and `/ingress`: the enforcing hooks. A program attached later may override
//! what a connect hook says; nobody can override these.
//!
//! The way of a packet: one read if its flow is settled; otherwise its headers, its destination if
//! it may be a new one, and its payload if it may carry a message. All behind the headers are
//! functions the verifier checks once (see `reading`), so a packet's many shapes do not multiply with
//! them.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use sentinel_common::config::{Learning, Switch};
use sentinel_common::dns;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Facts, Opening, Start, TLS_HANDSHAKE};
use sentinel_common::packet::{Brief, Packet, Source as _, opens_connection, parse};
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::stream::is_in_message;
use sentinel_common::verdict::{Mode, Reason, Verdict};

use crate::context::Skb;
use crate::destination::{called, judge_feed, judge_packet, judge_route, judge_server_name};
use crate::dns::read_names;
use crate::emit::{count, count_wire};
use crate::maps::CONFIG;
use crate::payload::{UNNAMED, direction_of, opened, read_payload};

const ALLOWED: u32 = Verdict::Allowed as u32;
const BLOCKED: u32 = Verdict::Blocked as u32;
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
    if config.learning.on & (Learning::TEACHES | Learning::TELLS) != 0 && may_speak_of_names(skb) {
        read_names(skb.0, direction as u64);
    }
    let switch = config.switch();
    let mut way = direction as u64;
    if let Some(flow) = skb.flow() {
        if flow.is_settled(direction, switch.generation()) {
            count_wire(flow.reason, flow.verdict);
            return outcome(flow.verdict);
        }
        way |= state_of(flow, direction);
    }
    let Some(packet) = parse(&skb) else {
        return unreadable(switch, skb, direction);
    };
    let port = packet.ports.map_or(0, |(_, port)| u64::from(port));
    if !may_be_judged(switch, &packet, direction)
        && (packet.payload_len() == 0
            || (way & STATE == 0 && opens_nothing(skb.0, u64::from(packet.payload), port) != 0))
    {
        return PASS;
    }
    let (brief, sequence) = (packet.brief().0, u64::from(packet.payload_sequence()));
    way |= u64::from(packet.flags) << FLAGS;
    let considered = consider(skb.0, brief, sequence, way, switch.0);
    let mut verdict = considered;
    if considered & READ != 0 {
        verdict = read_payload(skb.0, brief, sequence, way | u64::from(considered & OPENING));
    }
    if verdict == UNNAMED {
        // Here and not there: the stack has no room for it further down.
        verdict = judge_server_name(skb.0, brief);
    }
    outcome(verdict as u8)
}

/// Beside what `read_payload` calls a way, where these begin: whether either direction of the flow was read,
/// whether a ClientHello is demanded of what goes out, TCP's flags, and the lexer's state in this direction.
const OPEN: u32 = 1;
const DEMANDS: u32 = 3;
const FLAGS: u32 = 16;
const LEXER: u32 = 24;
/// What is known of a flow's state.
const STATE: u64 = 3 << OPEN | 1 << DEMANDS | 63 << LEXER;
/// In the answer of [`consider`]: the payload is to be read, and what it opens.
const READ: u32 = 1 << 31;
const OPENING: u32 = 0xff00;

/// As bits of a way, and without a branch, which would double a packet's shapes.
#[inline(always)]
fn state_of(flow: &Flow, direction: Direction) -> u64 {
    let [egress, ingress] = &flow.readers;
    let lexer_state = flow.readers[direction as usize].lexer_state();
    let demands =
        (u64::from(flow.settled & Flow::DEMANDS) / u64::from(Flow::DEMANDS)) & !(direction as u64);
    u64::from(egress.started() | ingress.started()) << OPEN
        | demands << DEMANDS
        | lexer_state << LEXER
}

/// Whether payload that is at hand begins with a byte that opens nothing: 1 or 0. `payload` is where
/// it begins, looked at for the headers that most packets have; `port` the destination's. What is not
/// linear is looked at later, if it is a stream's first. Global: see `reading`; a comparison with the
/// offset would make the verifier follow every way to it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn opens_nothing(ctx: *mut __sk_buff, payload: u64, port: u64) -> u32 {
    let skb = Skb(ctx);
    let first: Option<[u32; 1]> = match payload as u32 {
        40 => skb.linear(40),
        52 => skb.linear(52),
        60 => skb.linear(60),
        72 => skb.linear(72),
        _ => None,
    };
    let Some([word]) = first else {
        return 0;
    };
    let [byte, ..] = word.to_ne_bytes();
    let len = skb.len().wrapping_sub(payload as u32);
    u32::from(inspect::begins_nothing(byte, port as u16, len))
}

/// A packet whose flow is not settled: whether it may go where it goes, and whether its payload is to
/// be read. A [`Verdict`] or [`UNNAMED`], or [`READ`] and an [`Opening`]. `brief` is the packet's [`Brief`],
/// `sequence` that of its payload, `switch` a [`Switch`]. Global: see `reading`; a packet's many
/// shapes end at its call.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn consider(
    ctx: *mut __sk_buff,
    brief: u64,
    sequence: u64,
    way: u64,
    switch: u64,
) -> u32 {
    let (skb, switch) = (Skb(ctx), Switch(switch));
    let (direction, flags) = (direction_of(way), (way >> FLAGS) as u8);
    let protocol = Brief(brief).protocol();
    let opens = opens_connection(protocol, flags);
    if is_egress_judged(switch, direction)
        && Brief(brief).has_more_headers(skb.link().1)
        && judge_route(ctx, brief) == BLOCKED
    {
        return BLOCKED;
    }
    let is_answer = is_answer(switch, skb, brief, direction);
    if needs_judgement(switch, skb, opens, direction) && !is_answer {
        match judge_packet(ctx, brief, direction as u64) {
            UNNAMED => return UNNAMED,
            BLOCKED => return BLOCKED,
            _ => {}
        }
    }
    if opens && may_reach_a_pool(switch, direction) && judge_feed(ctx, brief) == BLOCKED {
        return BLOCKED;
    }
    let len = skb.len().saturating_sub(Brief(brief).payload());
    if len != 0 && protocol == TCP && demands(skb, way, opens) {
        return if begins_hello(skb, brief) {
            READ | (Opening::Stream as u32) << 8
        } else {
            UNNAMED
        };
    }
    if !reads(switch) || len == 0 || (protocol != TCP && protocol != UDP) {
        return ALLOWED;
    }
    // On an open stream every segment is read; of datagrams each may open something.
    if protocol == TCP && way >> OPEN & 3 != 0 {
        return READ;
    }
    let start = skb.start(direction, sequence as u32);
    if matches!(start, Start::Later) {
        return ALLOWED;
    }
    let facts = Facts::of_brief(Brief(brief), len, direction, start);
    let opening = opened(skb, Brief(brief), facts, switch) as u32;
    if opening == Opening::Closed as u32 && !is_in_message(way >> LEXER & 63) {
        return ALLOWED;
    }
    READ | opening << 8
}

/// Whether a packet's other end may have to be judged, or noted, at all.
#[inline(always)]
fn may_be_judged(switch: Switch, packet: &Packet, direction: Direction) -> bool {
    switch.on_ingress()
        || judges(switch, direction)
        || (matches!(direction, Direction::Egress) && packet.opens_connection())
}

/// Whether a packet may be to or from a resolver, as far as its socket tells: a settled flow too,
/// whose payload nobody else reads.
#[inline(always)]
fn may_speak_of_names(skb: Skb) -> bool {
    matches!(skb.remote_port(), 0 | dns::PORT)
}

/// Whether payload is looked at, for anything.
#[inline(always)]
fn reads(switch: Switch) -> bool {
    !matches!(
        (switch.stratum(), switch.names(), switch.peer_to_peer()),
        (Mode::Off, Mode::Off, Mode::Off)
    )
}

/// Headers that cannot be read name no port and no protocol: what only a rule on all of them allows.
#[inline(always)]
fn unreadable(switch: Switch, skb: Skb, direction: Direction) -> i32 {
    if !judges(switch, direction) {
        count(Reason::Unreadable, Verdict::Allowed);
        return PASS;
    }
    outcome(judge_packet(skb.0, Brief::UNREADABLE.0, direction as u64) as u8)
}

/// Whether what goes out must be a ClientHello. A SYN may have brought that about, and data with it.
#[inline(always)]
fn demands(skb: Skb, way: u64, opens: bool) -> bool {
    way >> DEMANDS & 1 != 0
        || (opens && way & 1 == 0 && skb.flow().is_some_and(|flow| flow.demands()))
}

/// Whether what goes out begins as a TLS handshake does, or goes on with one: a handshake behind the preamble
/// of a proxy is the proxy's business.
#[inline(always)]
fn begins_hello(skb: Skb, brief: u64) -> bool {
    let started = skb.flow().is_some_and(|flow| flow.readers[0].started() != 0);
    let [byte, ..] = skb.first_bytes(Brief(brief).payload());
    started || byte == TLS_HANDSHAKE
}

/// Whether a packet goes out where some policy is about what does.
#[inline(always)]
fn is_egress_judged(switch: Switch, direction: Direction) -> bool {
    matches!(direction, Direction::Egress) && judges(switch, direction)
}

/// Whether policies are about what goes this way.
#[inline(always)]
fn judges(switch: Switch, direction: Direction) -> bool {
    match direction {
        Direction::Egress => !matches!(switch.egress(), Mode::Off),
        Direction::Ingress => switch.on_ingress(),
    }
}

/// Whether a packet may go to a new destination, or come from a new caller. Of a TCP connection that is
/// its SYN: what follows goes the way that was judged. Everything else is judged packet by packet,
/// since the next one may go elsewhere.
#[inline(always)]
fn needs_judgement(switch: Switch, skb: Skb, opens: bool, direction: Direction) -> bool {
    judges(switch, direction) && (opens || !skb.socket().is_some_and(|socket| socket.is_tcp()))
}

/// Whether a packet comes from where this socket has sent something: an answer, and nobody's call. Of
/// what goes out it is noted where to.
#[inline(always)]
fn is_answer(switch: Switch, skb: Skb, brief: u64, direction: Direction) -> bool {
    switch.on_ingress()
        && Brief(brief).protocol() != TCP
        && called(skb.0, brief, direction as u64) != 0
}

/// Whether the feeds are asked about a connection's destination, which is asked of once. Datagrams
/// are judged where they are sent or their socket is connected, and not again for every packet.
#[inline(always)]
fn may_reach_a_pool(switch: Switch, direction: Direction) -> bool {
    matches!(direction, Direction::Egress) && !matches!(switch.names(), Mode::Off)
}
