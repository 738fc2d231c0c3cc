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

/// Remembers the owner of a socket until its first payload.
#[inline(always)]
pub fn remember(cookie: u64, outbound: bool, owner: &Owner) {
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    let slot = OwnerSlot { cookie, outbound: u64::from(outbound), owner: *owner };
    if let Some(place) = context::value(OWNERS.get_ptr_mut(index)) {
        *place = slot;
    }
}

/// Fills in a flow's owner, once.
#[inline(always)]
pub fn recall(cookie: u64, flow: &mut Flow) {
    if flow.owned == 1 {
        return;
    }
    flow.owned = 1;
    let index = cookie as u32 & (OWNER_SLOTS as u32 - 1);
    match OWNERS.get(index) {
        Some(slot) if slot.cookie == cookie => {
            flow.owner = slot.owner;
            flow.outbound = slot.outbound as u8;
        }
        _ => lose(Loss::Owner),
    }
}
