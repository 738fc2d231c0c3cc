//! Names that a socket asks for, gathered piece by piece and looked up in the feeds.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::names::{NAME_SLOTS, NameSlot, Suffixes, lower};
use sentinel_common::segment::{Piece, Source};
use sentinel_common::signature::NO_RULE;
use sentinel_common::verdict::Loss;

use crate::context::{self, Skb};
use crate::emit::lose;
use crate::maps::{CONFIG, FEED_DOMAINS, NAMES};

/// The slot of a socket's name; it may hold another socket's.
#[inline(always)]
pub fn slot(cookie: u64) -> Option<&'static mut NameSlot> {
    context::value(NAMES.get_ptr_mut(cookie as u32 & (NAME_SLOTS as u32 - 1)))
}

/// Takes `len` bytes at `offset` of the packet, at most a `PIECE`, into the name of its socket.
/// Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gather_name(ctx: *mut __sk_buff, offset: u64, len: u64, piece: u64) -> u32 {
    let skb = Skb(ctx);
    let cookie = skb.cookie();
    let Some(slot) = slot(cookie) else {
        return 0;
    };
    if piece == Piece::First as u64 {
        slot.cookie = cookie;
        slot.len = 0;
        slot.source = 0;
    }
    let mut at = slot.len & 0xff;
    if piece == Piece::Label as u64 {
        slot.name[at as usize] = b'.';
        at = (at + 1) & 0xff;
    }
    if !skb.name_piece(offset as u32, len as u32, &mut slot.name, at) {
        lose(Loss::Payload);
    }
    slot.len = at.wrapping_add(len as u32);
    0
}

/// The feed that has an end of the gathered name, or [`NO_RULE`]. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn judge_name(ctx: *mut __sk_buff, source: u64) -> u32 {
    let cookie = Skb(ctx).cookie();
    let (Some(slot), Some(config)) = (slot(cookie), CONFIG.get(0)) else {
        return NO_RULE;
    };
    if source == Source::Nameless as u64 {
        slot.cookie = cookie;
        slot.len = 0;
    }
    slot.source = source as u32;
    let len = slot.len as usize;
    if slot.cookie != cookie || len == 0 || len > 0xff {
        return NO_RULE;
    }
    let mut suffixes = Suffixes::new(config.name_key);
    let mut index = 0;
    while index < 0xff {
        if index >= len {
            break;
        }
        let byte = lower(slot.name[index]);
        slot.name[index] = byte;
        suffixes.push(byte);
        index += 1;
    }
    // A top-level domain alone is in no feed.
    let [_, two, three, four, five, six] = suffixes.hashes();
    for hash in [two, three, four, five, six] {
        if let Some(feed) =
            FEED_DOMAINS.get_ptr(hash).and_then(|feed| context::value(Some(feed.cast_mut())))
        {
            return *feed;
        }
    }
    NO_RULE
}
