//! The host's end of a workload's wire: what no hook on a socket has seen comes by here. Only under
//! enforcement: what is allowed was told of where it was sent.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use sentinel_common::address::{Address, is_v4};
use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::packet::{Brief, Source, addresses, has_ports, is_rerouted, parse};
use sentinel_common::policy::Decision;
use sentinel_common::verdict::{Mode, Reason, Verdict};
use sentinel_common::wire::{self, Frame, Wire};

use crate::context::{self, Skb};
use crate::destination::{destination_sum, judge};
use crate::emit::{count, tell};
use crate::maps::{CONFIG, WIRES};

/// `TC_ACT_UNSPEC`, `TCX_NEXT`: on to whoever else is attached.
const NEXT: i32 = -1;
/// `TC_ACT_SHOT`, `TCX_DROP`.
const DROP: i32 = 2;
/// Bytes of an Ethernet header; an outer VLAN tag is taken off before.
const ETHERNET: u32 = 14;
/// Bits of what [`judge_frame`] is told, above TCP's flags: there is payload; a socket may vouch.
const CARRIES: u32 = 8;
const MAY_HAVE_SOCKET: u32 = 9;

/// The IP packet in a frame.
struct Inner(Skb);

impl Source for Inner {
    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.0.header(offset + ETHERNET)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        self.0.header(offset + ETHERNET)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.0.packet_len().saturating_sub(ETHERNET)
    }
}

#[classifier]
pub fn wire(ctx: TcContext) -> i32 {
    let skb = Skb(ctx.skb.skb);
    let Some(config) = CONFIG.get(0) else {
        return NEXT;
    };
    let switch = config.switch();
    if !matches!(switch.egress(), Mode::Enforce) {
        return NEXT;
    }
    if WIRES.get_ptr(skb.interface()).is_none() {
        return NEXT;
    }
    match wire::frame(u16::from_be(ctx.skb.protocol() as u16)) {
        Frame::Passes => NEXT,
        Frame::Foreign => {
            count(Reason::NotIp, Verdict::Blocked);
            DROP
        }
        Frame::Ip => ip(skb),
    }
}

#[inline(always)]
fn ip(skb: Skb) -> i32 {
    let Some(packet) = parse(&Inner(skb)) else {
        count(Reason::Unreadable, Verdict::Blocked);
        return DROP;
    };
    let carries = packet.payload_len() > 0;
    let facts = u32::from(packet.flags)
        | (carries as u32) << CARRIES
        | (wire::may_have_socket(&packet) as u32) << MAY_HAVE_SOCKET;
    if judge_frame(skb.0, packet.brief().0, facts) == Verdict::Blocked as u32 { DROP } else { NEXT }
}

/// Judges the IP packet in a frame, given its [`Brief`], its TCP flags and what else is known of it;
/// returns a [`Verdict`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_frame(ctx: *mut __sk_buff, brief: u64, facts: u32) -> u32 {
    let skb = Skb(ctx);
    let brief = Brief(brief);
    let (Some(config), Some(wire), Some(ends)) =
        (CONFIG.get(0), context::value(WIRES.get_ptr_mut(skb.interface())), ends(skb, brief))
    else {
        return Verdict::Blocked as u32;
    };
    let is_rerouted = is_rerouted(&Inner(skb));
    if !is_rerouted
        && facts >> MAY_HAVE_SOCKET & 1 == 1
        && wire::vouches(socket_state(skb, &ends, wire), facts as u8, facts >> CARRIES & 1 == 1)
    {
        return Verdict::Allowed as u32;
    }
    let switch = config.switch();
    let request = brief.request(ends.destination);
    let mut decision = judge(&request, switch.egress(), switch.policy_slot());
    if is_rerouted {
        decision = Decision { verdict: Verdict::Blocked, reason: Reason::SourceRoute, rule: 0 };
    } else if matches!(decision.reason, Reason::Loopback) {
        // On a wire nobody is this host itself.
        decision = Decision { verdict: Verdict::Blocked, reason: Reason::NotAllowlisted, rule: 0 };
    }
    if !matches!(decision.verdict, Verdict::Blocked) {
        return Verdict::Allowed as u32;
    }
    count(decision.reason, decision.verdict);
    let sum = destination_sum(brief, &ends.destination) ^ (decision.reason as u32) << 1;
    if wire.told != sum {
        wire.told = sum;
        explain(brief, &ends, decision, (switch.generation(), wire.cgroup));
    }
    Verdict::Blocked as u32
}

/// Where a packet comes from and goes to.
struct Ends {
    source: Address,
    destination: Address,
    /// Source and destination port as they stand in the packet; zero where it has none.
    ports: [u8; 4],
}

#[inline(always)]
fn ends(skb: Skb, brief: Brief) -> Option<Ends> {
    let (source, destination) = addresses(&Inner(skb))?;
    let transport = brief.transport().filter(|_| has_ports(brief.protocol()));
    let ports = match transport {
        Some(transport) => skb.load(transport + ETHERNET)?,
        None => [0; 4],
    };
    Some(Ends { source, destination, ports })
}

/// State of the TCP socket at the wire's other end that such a packet is of; 0 is none. That side
/// looks a packet up which comes to it, so the ends stand the other way round.
#[inline(always)]
fn socket_state(skb: Skb, ends: &Ends, wire: &Wire) -> u32 {
    let [f0, f1, t0, t1] = ends.ports;
    if is_v4(&ends.source) {
        let [.., a, b, c, d] = ends.destination;
        let [.., e, f, g, h] = ends.source;
        let mut ends = [a, b, c, d, e, f, g, h, t0, t1, f0, f1];
        return skb.tcp_state(&mut ends, wire.namespace.into());
    }
    let mut tuple = [0; 36];
    tuple[..16].copy_from_slice(&ends.destination);
    tuple[16..32].copy_from_slice(&ends.source);
    tuple[32..].copy_from_slice(&[t0, t1, f0, f1]);
    skb.tcp_state(&mut tuple, wire.namespace.into())
}

#[inline(always)]
fn explain(brief: Brief, ends: &Ends, decision: Decision, (generation, cgroup): (u32, u64)) {
    let [f0, f1, t0, t1] = ends.ports;
    tell(|event| {
        event.kind = Kind::Egress as u8;
        event.hook = Hook::Wire as u8;
        event.verdict = decision.verdict as u8;
        event.reason = decision.reason as u8;
        event.rule = u32::from(decision.rule);
        event.generation = generation;
        event.cgroup = cgroup;
        event.direction = Direction::Egress as u8;
        event.protocol = brief.protocol();
        event.local = ends.source;
        event.remote = ends.destination;
        event.local_port = u16::from_be_bytes([f0, f1]);
        event.remote_port = u16::from_be_bytes([t0, t1]);
    });
}
