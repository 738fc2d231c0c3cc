//! Feeds of addresses: which destinations belong to mining pools, by somebody's list.

use crate::address::{Address, is_loopback};

/// What stands in the map of addresses where a feed number would: the allowlist names this one
/// address, and no feed may speak against it.
pub const EXEMPT: u32 = 0;

/// The number of the feed that names a destination, from 1 on; `None` where none does.
///
/// Precedence, first that applies:
/// 1. this host itself: never listed;
/// 2. the address is exempt, because a rule of the allowlist names it alone (a `/32`, a `/128`):
///    not listed, whatever the prefixes say;
/// 3. the address stands in a feed: listed;
/// 4. a prefix of a feed holds it: listed, by the longest such prefix.
///
/// What the allowlist blocks is blocked before a feed is asked. What it allows by a wider prefix is
/// still listed: a pool inside an allowed range is a pool.
#[inline(always)]
#[must_use]
pub fn listing(
    remote: &Address,
    address: impl FnOnce() -> Option<u32>,
    prefix: impl FnOnce() -> Option<u32>,
) -> Option<u32> {
    if is_loopback(remote) {
        return None;
    }
    let feed = match address() {
        Some(feed) => feed,
        None => prefix()?,
    };
    if feed == EXEMPT { None } else { Some(feed) }
}
