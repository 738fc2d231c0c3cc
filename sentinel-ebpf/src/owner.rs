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

/// Remembers the owner of a socket until its first payload. Returns the cgroup that the socket was made
/// in, 0 where nobody saw that: its maker's own is told by `outbound` being false.
#[inline(always)]
pub fn remember(cookie: u64, outbound: bool, owner: &Owner) -> u64 {
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    let Some(place) = context::value(OWNERS.get_ptr_mut(index)) else {
        return 0;
    };
    let cgroup = match (outbound, place.cookie == cookie) {
        (false, _) => owner.cgroup,
        (true, true) => place.cgroup,
        (true, false) => 0,
    };
    *place = OwnerSlot { cookie, outbound: u64::from(outbound), owner: *owner, cgroup };
    cgroup
}

/// Fills in a flow's owner, once.
#[inline(always)]
pub fn recall(cookie: u64, flow: &mut Flow) {
    if flow.owned != 0 {
        return;
    }
    flow.owned = 1;
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    match OWNERS.get(index) {
        Some(slot) if slot.cookie == cookie => {
            flow.owner = slot.owner;
            flow.owned = 1 | (slot.outbound as u8 & 1) << 1;
        }
        _ => lose(Loss::Owner),
    }
}
