//! What answers teach: which addresses stand for which patterns of names.

use aya_ebpf::bindings::__sk_buff;
use sentinel_common::address::from_halves;
use sentinel_common::config::{Config, Learning};
use sentinel_common::learn::{
    Learned, LearnedKey, Lesson, MAX_SHARED, NameRuleKey, QuestionSlot, Reading, Scope, opens,
    question_slot, resolver,
};
use sentinel_common::lookup::AskedSlot;
use sentinel_common::names::MAX_LABELS;
use sentinel_common::policy::{Match, Request};

use crate::context::{self, Skb, read_kernel};
use crate::dns::{NOEXIST, reading};
use crate::emit::taught;
use crate::lookup::tell_lookup;
use crate::maps::{ASKED, CONFIG, FQDNS, LEARNED, NAME_RULES, QUESTIONS};

/// `EEXIST`: somebody else was faster.
const EXISTS: i32 = -17;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// The pattern that the question's name matches by its `index`-th hash, the whole name first and
/// then its ends, with its flags; 0 for none.
#[inline(always)]
fn pattern(reading: &Reading, index: usize) -> (u32, u32) {
    let whole = reading.place.dns.whole();
    let hash = if index == 0 { whole } else { reading.place.dns.suffix(index - 1) };
    // What is below a name is not the name.
    if index != 0 && hash == whole {
        return (0, 0);
    }
    match context::value(FQDNS.get_ptr_mut(hash)) {
        Some(entry) if index == 0 => (entry.exact, entry.flags & 0xff),
        Some(entry) => (entry.suffix, entry.flags >> opens::SUFFIX & 0xff),
        None => (0, 0),
    }
}

/// A question is complete: one of this host's is remembered, and an answer goes on being read if it is one
/// to a question whose name a pattern has. `way` is as `step_through` has it, `at` where the question ends.
/// Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weigh_question(ctx: *mut __sk_buff, key: u64, way: u64, at: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    reading.place.asked = 0;
    let mut matches = 0;
    let mut index = 0;
    while index <= MAX_LABELS {
        matches |= pattern(reading, index).0;
        index += 1;
    }
    let is_egress = way & 1 == 0;
    let is_astray = reading.place.dns.is_answer() == is_egress;
    if matches == 0 || is_astray {
        if !is_astray && config.learning.on & Learning::TELLS != 0 {
            weigh_other(ctx, key, way, at);
        }
        reading.place.dns.ignore();
        return 0;
    }
    let (id, name) = (reading.place.dns.id(), reading.place.dns.whole());
    let cookie = Skb(ctx).cookie();
    let Some(slot) = context::value(QUESTIONS.get_ptr_mut(question_slot(cookie, id, name))) else {
        return 0;
    };
    if is_egress {
        let is_other = slot.cookie != cookie || slot.name != name;
        if slot.cookie != 0 && is_other && slot.id & QuestionSlot::ANSWERED == 0 {
            taught(Lesson::Forgotten);
        }
        slot.cookie = cookie;
        slot.name = name;
        slot.id = u32::from(id);
        return 0;
    }
    if slot.cookie != cookie || slot.name != name || slot.id as u16 != id {
        taught(Lesson::Unasked);
        reading.place.dns.ignore();
        return 0;
    }
    if is_foreign(Skb(ctx), config, reading) {
        taught(Lesson::Foreign);
        reading.place.dns.ignore();
        return 0;
    }
    slot.id |= QuestionSlot::ANSWERED;
    reading.place.asked = 1;
    tell_lookup(ctx, key, way, at);
    0
}

/// A question that no pattern is about: remembered, or its answer told. Returns 0. Global: likewise.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn weigh_other(ctx: *mut __sk_buff, key: u64, way: u64, at: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    let dns = &reading.place.dns;
    let asked = AskedSlot::new(Skb(ctx).cookie(), dns.id(), dns.whole());
    let Some(slot) = context::value(ASKED.get_ptr_mut(asked.slot())) else {
        return 0;
    };
    if way & 1 == 0 {
        *slot = asked;
    } else if *slot == asked && !is_foreign(Skb(ctx), config, reading) {
        // One answer to a question: what else comes was not asked for.
        slot.cookie = 0;
        tell_lookup(ctx, key, way, at);
    }
    0
}

/// Whether an answer came from where it proves nothing. In a network namespace that belongs to a
/// user namespace anyone can have the resolver's address, and on a loopback device anyone's process
/// can, unless it is that of the host and the resolver is known to be there.
#[inline(always)]
fn is_foreign(skb: Skb, config: &Config, reading: &mut Reading) -> bool {
    let offsets = &config.offsets;
    if offsets.skc_net == 0 || offsets.net_user_ns == 0 || offsets.user_ns_level == 0 {
        return true;
    }
    let at = |base: u64, offset: u32| base.wrapping_add(u64::from(offset));
    let socket = skb.socket_address(&mut reading.socket);
    let net = read_kernel::<u64>(at(socket, offsets.skc_net));
    let owner = read_kernel::<u64>(at(net, offsets.net_user_ns));
    if net == 0 || owner == 0 || read_kernel::<u32>(at(owner, offsets.user_ns_level)) != 0 {
        return true;
    }
    if !skb.is_over_loopback() {
        return false;
    }
    let number = read_kernel::<u32>(at(net, offsets.net_inum));
    reading.place.resolver & resolver::ON_HOST == 0
        || number == 0
        || number != config.learning.netns
}

/// An address is complete: it is learned for every pattern that the question's name matches. Returns
/// 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn learn_addresses(key: u64) -> u32 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    if reading.place.asked == 0 {
        return 0;
    }
    let side = u64::from(config.learning.side);
    let expires = context::now().wrapping_add(holds(key) * SECOND);
    let needs = needs(key);
    let mut index = 0;
    while index <= MAX_LABELS {
        let (pattern, flags) = pattern(reading, index);
        if pattern != 0 {
            if flags & needs == needs {
                learn(key, u64::from(pattern), expires, side);
            } else {
                taught(Lesson::Scope);
            }
        }
        index += 1;
    }
    0
}

/// The flags that a pattern needs to open the address just read. Global, and of no type that is matched
/// on: what this comes to would be another way to follow at each of the patterns. See `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn needs(key: u64) -> u32 {
    reading(key).map_or(opens::NEVER, |reading| Scope::of(&reading.place.dns.address()).needs())
}

/// Seconds that the answer just read holds. Global: likewise.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn holds(key: u64) -> u64 {
    let (Some(reading), Some(config)) = (reading(key), CONFIG.get(0)) else {
        return 0;
    };
    let Learning { floor, ceiling, grace, .. } = config.learning;
    let ttl = reading.place.dns.ttl();
    let ttl = if ttl > ceiling { ceiling } else { ttl };
    let ttl = if ttl < floor { floor } else { ttl };
    u64::from(ttl) + u64::from(grace)
}

/// Learns that the address just read stands for a pattern until then: in the first place of this
/// side that has the pattern or has none. Returns 0. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn learn(key: u64, pattern: u64, expires: u64, side: u64) -> u32 {
    let Some(reading) = reading(key) else {
        return 0;
    };
    let pattern = pattern as u32;
    let Reading { place, learned, key: at, .. } = reading;
    at.address = place.dns.address();
    *learned = Learned::new(&at.address, pattern, expires);
    let mut index = 0;
    while index < MAX_SHARED {
        at.place = LearnedKey::place(side as u32, index);
        if LEARNED.get_ptr(&*at).is_none() {
            match LEARNED.insert(&*at, &*learned, NOEXIST) {
                Ok(()) => {
                    taught(Lesson::Learned);
                    return 0;
                }
                Err(EXISTS) => {}
                Err(_) => {
                    taught(Lesson::Full);
                    return 0;
                }
            }
        }
        if let Some(there) = context::value(LEARNED.get_ptr_mut(&*at))
            && there.pattern_of(&at.address) == Some(pattern)
        {
            if there.expires < expires {
                there.expires = expires;
            }
            taught(Lesson::Learned);
            return 0;
        }
        index += 1;
    }
    taught(Lesson::Shared);
    0
}

/// Set beside a policy's scope where it has rules on names.
pub const BY_NAME: u64 = 1 << 32;
/// Set beside it where the second side is asked.
pub const SIDE: u64 = 1 << 33;

/// What a policy says of the names that led to an address, by one side, beside what was found before:
/// a [`Match`]. `rules` is the policy's scope with [`BY_NAME`] and [`SIDE`], `asked` a [`Request`]'s word. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_names(high: u64, low: u64, rules: u64, asked: u64, before: u64) -> u32 {
    let mut found = before as u32;
    if rules & BY_NAME == 0 {
        return found;
    }
    let mut at = LearnedKey { address: from_halves(high, low), place: 0 };
    let side = (rules / SIDE) as u32 & 1;
    let mut index = 0;
    while index < MAX_SHARED {
        at.place = LearnedKey::place(side, index);
        let Some(there) = context::value(LEARNED.get_ptr_mut(&at)) else {
            break;
        };
        let Some(pattern) = there.pattern_of(&at.address) else {
            break;
        };
        found = match_pattern(u64::from(pattern), rules, asked, u64::from(found));
        index += 1;
    }
    found
}

/// What a policy says of a pattern's addresses, beside what was found before. Global: see `reading`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn match_pattern(pattern: u64, scope: u64, asked: u64, before: u64) -> u32 {
    let key = NameRuleKey { scope: scope as u32, pattern: pattern as u32 };
    let before = Match(before as u32);
    match context::value(NAME_RULES.get_ptr_mut(&key)) {
        // Of an address rules only ask whether it is there.
        Some(rules) => before.or(rules.find(&Request::unpack(asked, [0; 16]))).0,
        None => before.0,
    }
}
