//! The host's end of a workload's wire: what no hook on a socket has seen comes by here. Only under
//! enforcement: what is allowed was told of where it was sent.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use sentinel_common::address::{Address, from_v4, is_loopback, is_v4};
use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::limits::MAX_WIRE_CGROUPS;
use sentinel_common::packet::{Brief, IPV6, Source, addresses, has_ports, is_rerouted, parse};
use sentinel_common::policy::Request;
use sentinel_common::verdict::{Mode, Reason, Verdict};
use sentinel_common::wire::{self, Frame, Wire};

use crate::context::{self, Skb};
use crate::destination::destination_sum;
use crate::emit::{count, tell};
use crate::ends::Copied;
use crate::maps::{CONFIG, WIRES};
use crate::workload::{self, Finding};

/// `TC_ACT_UNSPEC`, `TCX_NEXT`: on to whoever else is attached.
const NEXT: i32 = -1;
/// `TC_ACT_SHOT`, `TCX_DROP`.
const DROP: i32 = 2;
/// Bytes of an Ethernet header; an outer VLAN tag is taken off before.
const ETHERNET: u32 = 14;
/// Bits of what [`look`] is told, above TCP's flags: there is payload; a socket may vouch.
const CARRIES: u32 = 8;
const MAY_HAVE_SOCKET: u32 = 9;
/// What [`look`] knows: a socket vouches for the packet; it may end elsewhere than its header says.
const VOUCHED: u32 = 1;
const REROUTED: u32 = 2;
/// What [`judge_frame`] returns of a frame that goes on: no reason is that.
const PASSES: u64 = u64::MAX;
/// Flag of what it returns otherwise: it was not told of before.
const NEWS: u64 = 1 << 8;

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
    let (interface, ethertype) = skb.link();
    let Some(wire) = context::value(WIRES.get_ptr_mut(interface)) else {
        return NEXT;
    };
    match wire::frame(ethertype) {
        Frame::Passes => NEXT,
        Frame::Foreign => unreadable(wire, Reason::NotIp),
        Frame::Ip => ip(skb, wire),
    }
}

#[inline(always)]
fn unreadable(wire: &Wire, reason: Reason) -> i32 {
    if !matches!(judge(wire, None).verdict, Verdict::Blocked) {
        return NEXT;
    }
    count(reason, Verdict::Blocked);
    DROP
}

#[inline(always)]
fn ip(skb: Skb, wire: &Wire) -> i32 {
    let Some(packet) = parse(&Inner(skb)) else {
        return unreadable(wire, Reason::Unreadable);
    };
    let carries = packet.payload_len() > 0;
    let facts = u32::from(packet.flags)
        | (carries as u32) << CARRIES
        | (wire::may_have_socket(&packet) as u32) << MAY_HAVE_SOCKET;
    let brief = packet.brief().0;
    let known = look(skb.0, brief, facts);
    let denied = if known == VOUCHED { PASSES } else { judge_frame(skb.0, brief, known) };
    if denied == PASSES {
        return NEXT;
    }
    // From here, where the stack has the room.
    if denied & NEWS != 0 {
        tell_frame(skb.0, brief, denied);
    }
    DROP
}

/// What is known of the IP packet in a frame, given its [`Brief`], its TCP flags and more: [`VOUCHED`],
/// [`REROUTED`], or 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn look(ctx: *mut __sk_buff, brief: u64, facts: u32) -> u32 {
    let skb = Skb(ctx);
    if Brief(brief).has_more_headers(skb.link().1) && is_rerouted(&Copied { skb, base: ETHERNET }) {
        return REROUTED;
    }
    if facts >> MAY_HAVE_SOCKET & 1 == 0 {
        return 0;
    }
    let (Some(wire), Some(ends)) =
        (context::value(WIRES.get_ptr_mut(skb.link().0)), ends(skb, Brief(brief)))
    else {
        return 0;
    };
    let carries = facts >> CARRIES & 1 == 1;
    if wire::vouches(socket_state(skb, &ends, wire), facts as u8, carries) { VOUCHED } else { 0 }
}

/// Judges the IP packet in a frame, given its [`Brief`] and what [`look`] knows; [`PASSES`], or what is to
/// be told: the rule in the upper half, the reason in the lowest byte, and whether it is [`NEWS`].
/// Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_frame(ctx: *mut __sk_buff, brief: u64, known: u32) -> u64 {
    let skb = Skb(ctx);
    let brief = Brief(brief);
    let (Some(wire), Some(destination)) =
        (context::value(WIRES.get_ptr_mut(skb.link().0)), destination(skb))
    else {
        return Reason::Unreadable as u64;
    };
    // On a wire nobody is this host itself.
    let is_anywhere = known == REROUTED || is_loopback(&destination);
    let request = brief.request(destination);
    let mut found = judge(wire, (!is_anywhere).then_some(&request));
    if !matches!(found.verdict, Verdict::Blocked) {
        return PASSES;
    }
    if is_anywhere && known != REROUTED {
        found.reason = Reason::NotAllowlisted;
    }
    count(found.reason, found.verdict);
    let sum = destination_sum(brief, &destination) ^ (found.reason as u32) << 1;
    let is_news = u64::from(wire.told != sum);
    wire.told = sum;
    u64::from(found.rule) << 32 | is_news * NEWS | found.reason as u64
}

/// Decides by the policies on those at a wire's other end: nobody can say which of them a frame is of, so
/// what one of them may send is let pass. Without a request, where a frame may end anywhere.
#[inline(always)]
fn judge(wire: &Wire, request: Option<&Request>) -> Finding {
    let mut found = judge_one(wire.cgroups[0], request);
    let mut index = 1;
    while index < MAX_WIRE_CGROUPS {
        let cgroup = wire.cgroups[index];
        if cgroup == 0 || !matches!(found.verdict, Verdict::Blocked) {
            break;
        }
        found = judge_one(cgroup, request);
        index += 1;
    }
    found
}

#[inline(always)]
fn judge_one(cgroup: u64, request: Option<&Request>) -> Finding {
    match request {
        Some(request) => workload::judge(cgroup, false, Direction::Egress, request),
        None => workload::judge_anywhere(cgroup, false),
    }
}

/// Where the packet in a frame goes.
#[inline(always)]
fn destination(skb: Skb) -> Option<Address> {
    if skb.link().1 == IPV6 {
        skb.load(ETHERNET + 24)
    } else {
        skb.load(ETHERNET + 16).map(from_v4)
    }
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

/// Tells of a frame, given its [`Brief`] and the word of [`judge_frame`]. Returns 0. Global: see
/// `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_frame(ctx: *mut __sk_buff, brief: u64, told: u64) -> u32 {
    let skb = Skb(ctx);
    let brief = Brief(brief);
    let (Some(config), Some(wire), Some(ends)) =
        (CONFIG.get(0), context::value(WIRES.get_ptr_mut(skb.link().0)), ends(skb, brief))
    else {
        return 0;
    };
    let [f0, f1, t0, t1] = ends.ports;
    tell(|event| {
        event.kind = Kind::Egress as u8;
        event.hook = Hook::Wire as u8;
        event.verdict = Verdict::Blocked as u8;
        event.reason = told as u8;
        event.rule = (told >> 32) as u32;
        event.generation = config.switch().generation();
        event.cgroup = wire.cgroups[0];
        event.direction = Direction::Egress as u8;
        event.protocol = brief.protocol();
        event.local = ends.source;
        event.remote = ends.destination;
        event.local_port = u16::from_be_bytes([f0, f1]);
        event.remote_port = u16::from_be_bytes([t0, t1]);
    });
    0
}
