//! Who owns a socket: written where `current` is the caller, read where it no longer is.

use sentinel_common::config::{Config, OwnerSlot};
use sentinel_common::flow::{Flow, Owner};
use sentinel_common::limits::OWNER_SLOTS;
use sentinel_common::verdict::Loss;

use crate::context;
use crate::emit::lose;
use crate::maps::OWNERS;

/// The caller, by what this kernel's structures tell.
#[inline(always)]
pub fn caller(config: &Config) -> Owner {
    context::caller(config.offsets.group_leader, config.offsets.start_boottime)
}

/// What is known of a socket besides its owner.
#[derive(Clone, Copy)]
pub struct Past {
    /// The cgroup it was made in, 0 where nobody saw that.
    pub cgroup: u64,
    /// Another process than the caller has made or used it.
    pub passed: bool,
}

/// Remembers the owner of a socket until its first payload, and says what was known of it. Its maker's
/// call is told by `outbound` being false.
#[inline(always)]
pub fn remember(cookie: u64, outbound: bool, owner: &Owner) -> Past {
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    let Some(place) = context::value(OWNERS.get_ptr_mut(index)) else {
        return Past { cgroup: 0, passed: false };
    };
    let past = match (outbound, place.cookie == cookie) {
        (false, _) => Past { cgroup: owner.cgroup, passed: false },
        (true, true) => Past { cgroup: place.cgroup, passed: was_anothers(place, owner) },
        (true, false) => Past { cgroup: 0, passed: false },
    };
    let flags = (u64::from(outbound) * OwnerSlot::OUTBOUND) | (u64::from(past.passed) << 1);
    *place = OwnerSlot { cookie, flags, owner: *owner, cgroup: past.cgroup };
    past
}

/// That a socket was passed on stays true when it comes back.
#[inline(always)]
fn was_anothers(place: &OwnerSlot, owner: &Owner) -> bool {
    place.flags & OwnerSlot::PASSED != 0
        || (place.owner.tgid, place.owner.start_time) != (owner.tgid, owner.start_time)
}

/// Fills in a flow's owner, once.
#[inline(always)]
pub fn recall(cookie: u64, flow: &mut Flow) {
    if flow.owned == 0 && !refresh(cookie, flow) {
        flow.owned = 1;
        lose(Loss::Owner);
    }
}

/// Takes the owner that is known now: a socket without a connection may have another than before. False
/// where none is known any more.
#[inline(always)]
pub fn refresh(cookie: u64, flow: &mut Flow) -> bool {
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    match OWNERS.get(index) {
        Some(slot) if slot.cookie == cookie => {
            flow.owner = slot.owner;
            flow.owned = 1 | (slot.flags as u8 & 3) << 1;
            true
        }
        _ => false,
    }
}
