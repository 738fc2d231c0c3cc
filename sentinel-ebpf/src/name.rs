//! Names that a socket asks for, gathered piece by piece and looked up in the feeds.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::names::{
    MAX_LABELS, NAME_PATTERNS, NAME_SLOTS, NameSlot, Suffixes, finish, lower,
};
use sentinel_common::policy::Match;
use sentinel_common::segment::{Piece, Source};
use sentinel_common::signature::NO_RULE;
use sentinel_common::verdict::Loss;

use crate::context::{self, Skb, Socket};
use crate::emit::lose;
use crate::learn::{BY_NAME, match_pattern};
use crate::maps::{CONFIG, FEED_DOMAINS, FQDNS, NAMES};

/// The slot where the name of a socket can be seen once it is read; it may hold another socket's.
#[inline(always)]
pub fn slot(cookie: u64) -> Option<&'static mut NameSlot> {
    context::value(NAMES.get_ptr_mut(cookie as u32 & (NAME_SLOTS as u32 - 1)))
}

/// The name that a packet's socket asks for, if it has said one.
#[inline(always)]
fn of_socket(skb: Skb) -> Option<&'static mut NameSlot> {
    skb.socket()?.name()
}

/// Takes `len` bytes at `offset` of the packet, at most a `PIECE`, into the name of its socket.
/// Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn gather_name(ctx: *mut __sk_buff, offset: u64, len: u64, piece: u64) -> u32 {
    let skb = Skb(ctx);
    let Some(socket) = skb.socket() else {
        return 0;
    };
    let is_first = piece == Piece::First as u64;
    let Some(slot) = (if is_first { socket.name_or_new() } else { socket.name() }) else {
        lose(Loss::FlowState);
        return 0;
    };
    if is_first {
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
    let skb = Skb(ctx);
    if source == Source::Nameless as u64 {
        show_none(skb);
        return NO_RULE;
    }
    let (Some(slot), Some(config)) = (of_socket(skb), CONFIG.get(0)) else {
        return NO_RULE;
    };
    slot.source = source as u32;
    slot.cookie = skb.cookie();
    let len = slot.len as usize;
    if len == 0 || len > 0xff {
        show(slot);
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
    show(slot);
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

/// Puts the name that was read where it can be seen.
#[inline(always)]
fn show(read: &NameSlot) {
    if let Some(shown) = slot(read.cookie) {
        *shown = *read;
    }
}

/// Says that the socket's ClientHello names nobody: no room is made on the socket for that.
#[inline(always)]
fn show_none(skb: Skb) {
    let cookie = skb.cookie();
    if let Some(said) = of_socket(skb) {
        said.len = 0;
        said.source = Source::Nameless as u32;
    }
    if let Some(shown) = slot(cookie) {
        shown.cookie = cookie;
        shown.len = 0;
        shown.source = Source::Nameless as u32;
    }
}

/// A connection begins: what its socket has named before is another's.
#[inline(always)]
pub fn forget_name(socket: Socket) {
    if let Some(slot) = socket.name() {
        slot.source = 0;
        slot.len = 0;
    }
}

/// Notes which patterns mean the server that the socket's ClientHello has named; none where it has named
/// none. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_server_name(ctx: *mut __sk_buff) -> u32 {
    let (Some(slot), Some(config)) = (of_socket(Skb(ctx)), CONFIG.get(0)) else {
        return 0;
    };
    slot.patterns = [0; NAME_PATTERNS];
    let len = slot.len as usize;
    if slot.source != Source::Tls as u32 || len == 0 || len > 0xff {
        return 0;
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
    0
}

/// What a policy says, a [`Match`], now that the ClientHello is there: what it has said before without the
/// permissions that have a condition, and those that the noted patterns fulfil. `rules` is the policy's
/// scope with [`BY_NAME`], `asked` a `Request`'s word. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_server_name(
    ctx: *mut __sk_buff,
    rules: u64,
    asked: u64,
    before: u64,
) -> u32 {
    let mut found = Match(before as u32).unconditional();
    let Some(slot) = of_socket(Skb(ctx)) else {
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
