//! Names that a socket asks for, gathered piece by piece and looked up in the feeds.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::names::{MAX_LABELS, NAME_SLOTS, NameSlot, Suffixes, finish, lower};
use sentinel_common::policy::Match;
use sentinel_common::segment::{Piece, Source};
use sentinel_common::signature::NO_RULE;
use sentinel_common::verdict::Loss;

use crate::context::{self, Skb};
use crate::emit::lose;
use crate::learn::{BY_NAME, match_pattern};
use crate::maps::{CONFIG, FEED_DOMAINS, FQDNS, NAMES};

/// No slot of [`NAMES`].
pub const NO_SLOT: u32 = NAME_SLOTS as u32;

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

/// A connection begins: what its socket has named before is another's.
#[inline(always)]
pub fn forget_name(cookie: u64) {
    if let Some(slot) = slot(cookie)
        && slot.cookie == cookie
    {
        slot.source = 0;
        slot.len = 0;
    }
}

/// Notes which patterns mean the server that the socket's ClientHello has named; returns the slot where
/// they stand, or [`NO_SLOT`] where it has named none. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_server_name(ctx: *mut __sk_buff) -> u32 {
    let cookie = Skb(ctx).cookie();
    let (Some(slot), Some(config)) = (slot(cookie), CONFIG.get(0)) else {
        return NO_SLOT;
    };
    let len = slot.len as usize;
    if slot.cookie != cookie || slot.source != Source::Tls as u32 || len == 0 || len > 0xff {
        return NO_SLOT;
    }
    let mut suffixes = Suffixes::new(config.name_key);
    let mut whole = config.name_key.seed;
    let mut index = 0;
    while index < 0xff {
        if index >= len {
            break;
        }
        let byte = lower(slot.name[index]);
        whole = config.name_key.step(whole, byte);
        suffixes.push(byte);
        index += 1;
    }
    let whole = finish(whole);
    let hashes = suffixes.hashes();
    slot.patterns[0] = context::value(FQDNS.get_ptr_mut(whole)).map_or(0, |entry| entry.exact);
    let [_, ends @ ..] = &mut slot.patterns;
    for (pattern, end) in ends.iter_mut().zip(hashes) {
        // What is below a name is not the name.
        let hash = if end == whole { 0 } else { end };
        *pattern = context::value(FQDNS.get_ptr_mut(hash)).map_or(0, |entry| entry.suffix);
    }
    cookie as u32 & (NAME_SLOTS as u32 - 1)
}

/// What a policy says, a [`Match`], now that the ClientHello is there: what it has said before without the
/// permissions that have a condition, and those that the slot's patterns fulfil. `rules` is the policy's
/// scope with [`BY_NAME`], `asked` a `Request`'s word. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_server_name(slot: u64, rules: u64, asked: u64, before: u64) -> u32 {
    let mut found = Match(before as u32).unconditional();
    let Some(slot) = context::value(NAMES.get_ptr_mut(slot as u32)) else {
        return found.0;
    };
    if rules & BY_NAME == 0 {
        return found.0;
    }
    let mut index = 0;
    while index <= MAX_LABELS {
        let pattern = u64::from(slot.patterns[index]);
        found = found.or(Match(match_pattern(pattern, rules, asked, 0)).met());
        index += 1;
    }
    found.0
}
