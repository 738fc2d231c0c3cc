//! The event of a packet.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::event::{Event, Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::packet::{Brief, Source as _};
use sentinel_common::stream::Reader;

use crate::context::{self, Skb};
use crate::emit::tell;
use crate::maps::CONFIG;
use crate::name;

/// What an event says beyond its packet and its flow, in one word.
pub struct Told {
    /// A [`Kind`].
    pub kind: u8,
    pub verdict: u8,
    pub reason: u8,
    pub direction: Direction,
    pub rule: u32,
}

impl Told {
    #[inline(always)]
    pub fn pack(&self) -> u64 {
        u64::from(self.rule) << 32
            | (self.direction as u64) << 24
            | u64::from(self.reason) << 16
            | u64::from(self.verdict) << 8
            | u64::from(self.kind)
    }
}

/// Tells of a packet, given its [`Brief`]. Addresses and ports go from the packet straight into the
/// record: the stack has no room for them this deep. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_packet(ctx: *mut __sk_buff, told: u64, brief: u64) -> u32 {
    let skb = Skb(ctx);
    let brief = Brief(brief);
    let (Some(config), Some(socket)) = (CONFIG.get(0), skb.socket()) else {
        return 0;
    };
    let Some(flow) = socket.flow() else {
        return 0;
    };
    tell(|event| {
        event.kind = told as u8;
        event.verdict = (told >> 8) as u8;
        event.reason = (told >> 16) as u8;
        event.direction = (told >> 24) as u8;
        event.rule = (told >> 32) as u32;
        event.signatures = u32::from(flow.signatures);
        event.generation = config.switch().generation();
        event.cookie = skb.cookie();
        event.cgroup = skb.cgroup();
        event.owner = flow.owner;
        event.flags = u32::from(flow.owned >> 2 & 1) * Event::PASSED;
        event.protocol = brief.protocol();
        if event.direction == Direction::Egress as u8 {
            event.hook = Hook::SkbEgress as u8;
            said(event, &flow.readers[0], &flow.readers[1]);
            skb.source(&mut event.local);
            skb.destination(&mut event.remote);
            (event.local_port, event.remote_port) = skb.ports(brief);
        } else {
            event.hook = Hook::SkbIngress as u8;
            said(event, &flow.readers[1], &flow.readers[0]);
            skb.source(&mut event.remote);
            skb.destination(&mut event.local);
            (event.remote_port, event.local_port) = skb.ports(brief);
        }
        let payload = brief.payload();
        if event.kind == Kind::Dns as u8 || event.kind == Kind::Tls as u8 {
            if let Some(slot) = name::slot(event.cookie)
                && slot.cookie == event.cookie
            {
                context::name(slot, event);
            }
        } else if payload < skb.len() {
            let (from, end) = (u64::from(payload), u64::from(skb.len()));
            event.excerpt_len = skb.chunk(from, end, &mut event.excerpt).unwrap_or(0) as u16;
        }
    });
    0
}

#[inline(always)]
fn said(event: &mut Event, speaker: &Reader, peer: &Reader) {
    event.tokens = speaker.said_under(event.signatures);
    event.peer_tokens = peer.said_under(event.signatures);
    event.bytes = speaker.bytes;
}
