//! Answers to lookups, told to userspace.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::lookup::{Lookup, RING_SHARE};
use sentinel_common::packet::Source as _;
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::Loss;

use crate::context::{self, Skb};
use crate::dns::{PAYLOAD, reading};
use crate::emit::lose;
use crate::maps::EVENTS;

/// `BPF_RB_AVAIL_DATA` (include/uapi/linux/bpf.h): bytes that nobody has read yet.
const UNREAD: u64 = 0;

/// Tells of the answer whose question ends at `at`. Records are read in the order in which their room was
/// reserved, and the socket has not got this packet yet: so whoever reads knows the name before the
/// connection that it leads to. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_lookup(ctx: *mut __sk_buff, key: u64, way: u64, at: u64) -> u32 {
    let Some(reading) = reading(key) else {
        return 0;
    };
    let skb = Skb(ctx);
    let (before, rest) = (reading.place.dns.question_end(), reading.place.dns.rest());
    let payload = (way >> PAYLOAD) as u32;
    let at = at as u32;
    if at.wrapping_sub(payload) < before || EVENTS.query(UNREAD) > RING_SHARE {
        lose(Loss::Lookup);
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve::<Lookup>(0) else {
        lose(Loss::Lookup);
        return 0;
    };
    let lookup = context::zeroed(&mut entry);
    lookup.time = context::now();
    lookup.cookie = skb.cookie();
    lookup.cgroup = skb.cgroup();
    lookup.protocol = u32::from(if reading.place.dns.is_stream() { TCP } else { UDP });
    skb.source(&mut lookup.server);
    lookup.whole = before + rest;
    let begin = at.wrapping_sub(before);
    let (there, whole) = (skb.len().wrapping_sub(begin), lookup.whole);
    let len = if there < whole { there } else { whole };
    let end = u64::from(begin).wrapping_add(u64::from(len));
    lookup.len = skb.chunk(u64::from(begin), end, &mut lookup.message).unwrap_or(0) as u32;
    entry.submit(0);
    0
}
