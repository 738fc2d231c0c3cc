//! Messages to and from resolvers: read as they pass, before the application sees them.
//!
//! What is read stands in a map, under a key that this run of the program alone has (`READINGS`); of a
//! stream it is copied from the socket before and back behind it. The steps are functions of their
//! own: see `reading`.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::address::Address;
use sentinel_common::dns::{Act, Dns, PORT, Part};
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::learn::{Kept, Lesson, Reading};
use sentinel_common::packet::{Brief, Source as _, parse};
use sentinel_common::policy::{TCP, UDP};

use crate::context::{self, Chunk, Skb};
use crate::emit::taught;
use crate::learn::{learn_addresses, weigh_question};
use crate::maps::{CONFIG, READINGS, RESOLVERS};

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h).
pub const NOEXIST: u64 = 1;
/// Steps that are taken at a time, and how often that many: a record is three.
const STEPS: usize = 64;
const ROUNDS: usize = 32;
/// Set in the answer of [`open_names`] when nothing is to be read.
const DONE: u32 = 1 << 31;
/// Where [`Act`] stands in the answer of [`step_names`], above the bytes that were taken.
const ACT: u32 = 30;

/// What is being read under this key.
#[inline(always)]
pub fn reading(key: u64) -> Option<&'static mut Reading> {
    context::value(READINGS.get_ptr_mut(key))
}

/// Reads a packet that may be to a resolver or from one. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_names(ctx: *mut __sk_buff, direction: u64) -> u32 {
    let skb = Skb(ctx);
    let Some(packet) = parse(&skb) else {
        return 0;
    };
    let Some((from, to)) = packet.ports else {
        return 0;
    };
    let is_egress = direction == Direction::Egress as u64;
    let remote = if is_egress { to } else { from };
    let speaks = packet.protocol == UDP || packet.protocol == TCP;
    if remote != PORT || !speaks || packet.payload_len() == 0 {
        return 0;
    }
    let mut address: Address = [0; 16];
    if is_egress {
        skb.destination(&mut address);
    } else {
        skb.source(&mut address);
    }
    let Some(resolver) = RESOLVERS.get_ptr(&address) else {
        return 0;
    };
    let Some(flags) = context::value(Some(resolver.cast_mut())) else {
        return 0;
    };
    let way = direction & 1 | u64::from(*flags & 0xff) << 8;
    read_message(ctx, packet.brief().0, u64::from(packet.payload_sequence()), way)
}

/// Reads the payload of a packet to or from a resolver: `way` is the direction, and from bit 8 on
/// the resolver's flags. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn read_message(ctx: *mut __sk_buff, brief: u64, sequence: u64, way: u64) -> u32 {
    let skb = Skb(ctx);
    let key = context::now() ^ skb.cookie().rotate_left(40) ^ way << 63;
    let at = sequence & 0xffff_ffff | way << 32;
    let opened = open_names(ctx, brief, at, key);
    if opened & DONE != 0 {
        return 0;
    }
    let payload = Brief(brief).payload();
    let mut offset = payload.wrapping_add(opened);
    let mut round = 0;
    while round < ROUNDS {
        offset = offset.wrapping_add(step_through(ctx, u64::from(offset), key, way & 1));
        if offset >= skb.len() {
            break;
        }
        round += 1;
    }
    close_names(ctx, brief, at, key, u64::from(offset.wrapping_sub(payload)))
}

/// Takes some steps from `offset` on; returns the bytes that they took. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_through(ctx: *mut __sk_buff, offset: u64, key: u64, direction: u64) -> u32 {
    let end = u64::from(Skb(ctx).len());
    let mut at = offset;
    let mut step = 0;
    while step < STEPS {
        if at >= end {
            break;
        }
        let found = step_names(ctx, at, end, key);
        let taken = found & ((1 << ACT) - 1);
        if taken == 0 {
            break;
        }
        at += u64::from(taken);
        let act = found >> ACT;
        if act == Act::Question as u32 {
            weigh_question(ctx, key, direction);
        } else if act == Act::Address as u32 {
            learn_addresses(key);
        } else if act == Act::Malformed as u32 {
            taught(Lesson::Malformed);
        }
        step += 1;
    }
    at.wrapping_sub(offset) as u32
}

/// One step: a piece of a field, of a label, or of what is passed over. Returns the bytes it took, 0
/// when nothing more is read, and the [`Act`] from bit [`ACT`] on. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_names(ctx: *mut __sk_buff, offset: u64, end: u64, key: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    let dns = &mut reading.dns;
    if dns.is_over() {
        return 0;
    }
    let part = dns.part() as u8;
    let there = end.wrapping_sub(offset) as u32;
    let len = if dns.left() < there { dns.left() } else { there };
    if part != Part::Pass as u8 && take_piece(ctx, offset, u64::from(len), key) == 0 {
        dns.stop();
        taught(Lesson::Unread);
        return 0;
    }
    let act = dns.take(config.name_key, len) as u32;
    len & ((1 << ACT) - 1) | act << ACT
}

/// Takes `len` bytes at `offset`, 64 at most, into the field or the label under way. Returns 0 when
/// they cannot be had. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn take_piece(ctx: *mut __sk_buff, offset: u64, len: u64, key: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    let mut room = Chunk::new();
    let room = room.zeroed();
    let Some(len) = Skb(ctx).chunk(offset, offset.wrapping_add(len), room) else {
        return 0;
    };
    let dns = &mut reading.dns;
    if dns.part() as u8 == Part::Label as u8 {
        dns.label(config.name_key, room.iter(), len);
        return 1;
    }
    for (index, &byte) in room.iter().take(16).enumerate() {
        if index >= len {
            break;
        }
        dns.put(byte);
    }
    1
}

/// Begins to read, or goes on with a stream: the bytes of the payload that were read before, or
/// [`DONE`]. `at` is the sequence number, and from bit 32 on a way. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn open_names(ctx: *mut __sk_buff, brief: u64, at: u64, key: u64) -> u32 {
    let skb = Skb(ctx);
    let resolver = (at >> 40) as u32 & 0xff;
    let len = skb.len().wrapping_sub(Brief(brief).payload());
    if Brief(brief).protocol() == TCP {
        return open_stream(skb, at, key, len);
    }
    let new = Reading { dns: Dns::datagram(len), resolver, ..Reading::default() };
    if READINGS.insert(&key, &new, NOEXIST).is_err() {
        taught(Lesson::Unread);
        return DONE;
    }
    0
}

#[inline(always)]
fn direction_of(at: u64) -> Direction {
    if at >> 32 & 1 == 0 { Direction::Egress } else { Direction::Ingress }
}

#[inline(always)]
fn kept(skb: Skb, direction: Direction) -> Option<&'static mut Kept> {
    let [egress, ingress] = skb.socket()?.stream_or_new()?;
    Some(match direction {
        Direction::Egress => egress,
        Direction::Ingress => ingress,
    })
}

#[inline(always)]
fn open_stream(skb: Skb, at: u64, key: u64, len: u32) -> u32 {
    let (sequence, direction) = (at as u32, direction_of(at));
    let Some(kept) = kept(skb, direction) else {
        taught(Lesson::Unread);
        return DONE;
    };
    if kept.begun == 0 {
        kept.begun = 1;
        kept.reading = Reading::default();
        kept.reading.dns = Dns::stream();
        kept.reading.resolver = (at >> 40) as u32 & 0xff;
        kept.reading.dns.sequence = sequence;
        if matches!(skb.start(direction, sequence), Start::Later) {
            kept.reading.dns.stop();
        }
        kept.sum = kept.reading.sum();
    }
    if kept.reading.dns.is_over() {
        return DONE;
    }
    let before = kept.reading.dns.sequence.wrapping_sub(sequence);
    if before >> 31 == 0 && before >= len {
        return DONE;
    }
    if READINGS.insert(&key, &kept.reading, NOEXIST).is_err() {
        taught(Lesson::Unread);
        return DONE;
    }
    let Some(copy) = reading(key) else {
        return DONE;
    };
    // Bytes are missing, or another CPU wrote while this one copied: the place is lost for good.
    if before >> 31 != 0 || copy.sum() != kept.sum {
        copy.dns.stop();
        taught(Lesson::Unread);
        return 0;
    }
    before
}

/// Ends the reading of a packet of which `taken` bytes were read, and keeps a stream's place.
/// Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn close_names(
    ctx: *mut __sk_buff,
    brief: u64,
    at: u64,
    key: u64,
    taken: u64,
) -> u32 {
    if Brief(brief).protocol() == TCP
        && let Some(reading) = reading(key)
        && let Some(kept) = kept(Skb(ctx), direction_of(at))
    {
        reading.dns.sequence = (at as u32).wrapping_add(taken as u32);
        kept.sum = 0;
        kept.reading = *reading;
        kept.sum = reading.sum();
    }
    // Not there is as good as removed.
    let _ = READINGS.remove(&key);
    0
}
