//! Messages to and from resolvers: read as they pass, before the application sees them.
//!
//! What is read stands in a map, under a key that this run of the program alone has (`READINGS`); of a
//! stream it is copied from the socket before and back behind it. The steps are functions of their
//! own: see `reading`.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::address::Address;
use sentinel_common::dns::{Act, Dns, FIELD, PORT, Part};
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::learn::{Kept, Lesson, Place, Reading};
use sentinel_common::packet::{Brief, Source as _};
use sentinel_common::policy::{TCP, UDP};

use crate::context::{self, Skb};
use crate::emit::taught;
use crate::learn::{learn_addresses, weigh_question};
use crate::maps::{BLANK, CONFIG, READINGS, RESOLVERS};

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h).
pub const NOEXIST: u64 = 1;
/// Steps that are taken at a time, and how often that many: a record is three.
const STEPS: usize = 32;
const ROUNDS: usize = 64;
/// Bytes of a field or of a label that one step takes.
const PIECE: u32 = FIELD as u32;
/// Set in the answer of [`open_names`] when nothing is to be read.
const DONE: u32 = 1 << 31;
/// Where [`Act`] stands in the answer of [`step_names`], above the bytes that were taken.
const ACT: u32 = 30;
/// Where the payload's begin stands in a way, above the direction.
pub const PAYLOAD: u32 = 1;

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
    let Some((brief, sequence)) = headers(skb, direction) else {
        return 0;
    };
    let mut address: Address = [0; 16];
    if direction == Direction::Egress as u64 {
        skb.destination(&mut address);
    } else {
        skb.source(&mut address);
    }
    let Some(flags) = context::value(RESOLVERS.get_ptr_mut(&address)) else {
        return 0;
    };
    let key = context::now() ^ skb.cookie().rotate_left(40) ^ direction << 63;
    let at = u64::from(sequence) | (direction & 1) << 32 | u64::from(*flags & 0xff) << 40;
    let opened = open_names(ctx, brief.0, at, key);
    if opened & DONE != 0 {
        return 0;
    }
    let mut offset = brief.payload().wrapping_add(opened);
    let way = direction & 1 | u64::from(brief.payload()) << PAYLOAD;
    let mut round = 0;
    while round < ROUNDS {
        let taken = step_through(ctx, u64::from(offset), key, way);
        offset = offset.wrapping_add(taken);
        if taken == 0 || offset >= skb.len() {
            break;
        }
        round += 1;
    }
    close_names(ctx, brief.0, at, key, u64::from(offset.wrapping_sub(brief.payload())))
}

/// The headers of a packet whose other end is port 53, and its payload's sequence number. Only as
/// names are sent: what comes in extension headers or as a fragment teaches nothing, so the hook can
/// do without another whole parser.
#[inline(always)]
fn headers(skb: Skb, direction: u64) -> Option<(Brief, u32)> {
    let [first, _, _, _, _, _, high, low, _, v4, ..] = skb.load::<[u8; 20]>(0)?;
    let (transport, protocol) = match first >> 4 {
        4 if u16::from_be_bytes([high, low]) & 0x3fff == 0 => (u32::from(first & 15) * 4, v4),
        // The next header stands where IPv4 has its fragment offset.
        6 => (40, high),
        _ => return None,
    };
    let [a, b, c, d] = skb.load::<[u8; 4]>(transport)?;
    let remote = if direction == Direction::Egress as u64 { [c, d] } else { [a, b] };
    if u16::from_be_bytes(remote) != PORT {
        return None;
    }
    let (mut payload, mut sequence) = (transport + 8, 0);
    if protocol == TCP {
        let [e, f, g, h, _, _, _, _, offset, flags] = skb.load::<[u8; 10]>(transport + 4)?;
        sequence = u32::from_be_bytes([e, f, g, h]).wrapping_add(u32::from(flags >> 1 & 1));
        payload = transport + u32::from(offset >> 4) * 4;
    } else if protocol != UDP {
        return None;
    }
    let brief = Brief::new(protocol, transport, payload, PORT);
    (payload < skb.packet_len()).then_some((brief, sequence))
}

/// Takes some steps from `offset` on; returns the bytes that they took. `way` is the direction and, from
/// bit [`PAYLOAD`] on, where the packet's payload begins. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_through(ctx: *mut __sk_buff, offset: u64, key: u64, way: u64) -> u32 {
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
            weigh_question(ctx, key, way, at);
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
    let dns = &mut reading.place.dns;
    if dns.is_over() {
        return 0;
    }
    let part = dns.part() as u8;
    let there = end.wrapping_sub(offset) as u32;
    let len = if dns.left() < there { dns.left() } else { there };
    let len = if part != Part::Pass as u8 && len > PIECE { PIECE } else { len };
    if part != Part::Pass as u8 && take_piece(ctx, offset, u64::from(len), key) == 0 {
        dns.stop();
        taught(Lesson::Unread);
        return 0;
    }
    let act = dns.take(config.name_key, len) as u32;
    len & ((1 << ACT) - 1) | act << ACT
}

/// Takes `len` bytes at `offset`, a [`PIECE`] at most, into the field or the label under way. Returns 0 when
/// they cannot be had. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn take_piece(ctx: *mut __sk_buff, offset: u64, len: u64, key: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    let Reading { place, room, .. } = reading;
    let Some(len) = Skb(ctx).chunk(offset, offset.wrapping_add(len), room) else {
        return 0;
    };
    let dns = &mut place.dns;
    if dns.part() as u8 == Part::Label as u8 {
        dns.label(config.name_key, room.iter().take(FIELD), len);
        return 1;
    }
    for (index, &byte) in room.iter().take(FIELD).enumerate() {
        if index >= len {
            break;
        }
        dns.put(byte);
    }
    1
}

/// Begins to read, or goes on with a stream: the bytes of the payload that were read before, or
/// [`DONE`]. `at` is the sequence number, from bit 32 on the direction and from bit 40 on the
/// resolver's flags. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn open_names(ctx: *mut __sk_buff, brief: u64, at: u64, key: u64) -> u32 {
    let skb = Skb(ctx);
    if let Some(blank) = BLANK.get(0)
        && READINGS.insert(&key, blank, NOEXIST).is_ok()
        && let Some(reading) = reading(key)
    {
        let len = skb.len().wrapping_sub(Brief(brief).payload());
        let place = &mut reading.place;
        place.resolver = (at >> 40) as u32 & 0xff;
        let opened = if Brief(brief).protocol() == TCP {
            open_stream(skb, at, len, place)
        } else {
            place.dns = Dns::datagram(len);
            0
        };
        if opened & DONE != 0 {
            let _ = READINGS.remove(&key);
        }
        return opened;
    }
    taught(Lesson::Unread);
    DONE
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
fn open_stream(skb: Skb, at: u64, len: u32, place: &mut Place) -> u32 {
    let (sequence, direction) = (at as u32, direction_of(at));
    let Some(kept) = kept(skb, direction) else {
        taught(Lesson::Unread);
        return DONE;
    };
    if kept.begun == 0 {
        kept.begun = 1;
        place.dns = Dns::stream();
        place.dns.sequence = sequence;
        if matches!(skb.start(direction, sequence), Start::Later) {
            place.dns.stop();
        }
        return 0;
    }
    *place = kept.place;
    if place.dns.is_over() {
        return DONE;
    }
    let before = place.dns.sequence.wrapping_sub(sequence);
    if before >> 31 == 0 && before >= len {
        return DONE;
    }
    // Bytes are missing, or another CPU wrote while this one copied: the place is lost for good.
    if before >> 31 != 0 || place.sum() != kept.sum {
        place.dns.stop();
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
        let place = &mut reading.place;
        place.dns.sequence = (at as u32).wrapping_add(taken as u32);
        kept.sum = 0;
        kept.place = *place;
        kept.sum = place.sum();
    }
    // Not there is as good as removed.
    let _ = READINGS.remove(&key);
    0
}
