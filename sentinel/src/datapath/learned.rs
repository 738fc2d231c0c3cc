//! Takes away what was learned and no longer holds, without a moment in which what holds is not
//! found: see `sentinel_common::learn`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv6Addr};

use aya::maps::{HashMap, MapData, MapError};
use sentinel_common::address::{self, Address};
use sentinel_common::learn::{Learned, LearnedKey, MAX_SHARED};

use super::DatapathError;
use crate::names::{Shared, Swept};

const LEARNED: &str = "LEARNED";
/// `BPF_NOEXIST`: a place that a program has claimed stays its own.
const NO_EXIST: u64 = 1;

type Table<'a> = HashMap<&'a mut MapData, LearnedKey, Learned>;

/// What decides whether a pair of address and pattern holds.
pub(super) struct Holds<'a> {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub now: u64,
    /// Numbers of the patterns in force.
    pub patterns: &'a BTreeSet<u32>,
    /// Addresses that an open connection leads to.
    pub alive: &'a HashSet<IpAddr>,
}

impl Holds<'_> {
    fn holds(&self, address: &Address, learned: &Learned) -> bool {
        let Some(pattern) = learned.pattern_of(address) else {
            return false;
        };
        let in_force = self.patterns.contains(&pattern);
        in_force && (learned.expires > self.now || self.alive.contains(&ip(address)))
    }
}

/// Numbers of the patterns that an address stands for.
pub(super) fn patterns(table: &Table<'_>, address: IpAddr) -> Result<BTreeSet<u32>, DatapathError> {
    let address = address::of(address);
    let mut patterns = BTreeSet::new();
    for place in 0..2 * MAX_SHARED {
        match table.get(&LearnedKey { address, place }, 0) {
            Ok(learned) => patterns.extend(learned.pattern_of(&address)),
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(refused("a read")(error)),
        }
    }
    Ok(patterns)
}

/// Empties the side that was left behind: moves what holds to the side that the programs write, and
/// only then takes it away. The caller has waited for programs that still wrote to it.
pub(super) fn sweep(
    mut table: Table<'_>,
    left: u32,
    holds: &Holds<'_>,
) -> Result<Swept, DatapathError> {
    let mut swept = Swept::default();
    let mut found: BTreeMap<Address, [Vec<(u32, Learned)>; 2]> = BTreeMap::new();
    for entry in table.iter() {
        let (key, learned) = entry.map_err(refused("a read"))?;
        let [one, other] = found.entry(key.address).or_default();
        let side = if key.place < MAX_SHARED { one } else { other };
        side.push((key.place, learned));
    }
    for (address, [one, other]) in found {
        let (behind, current) = if left & 1 == 0 { (one, other) } else { (other, one) };
        let mut patterns: BTreeSet<u32> =
            current.iter().filter_map(|(_, learned)| learned.pattern_of(&address)).collect();
        swept.known += patterns.len();
        let kept = move_over(&mut table, left ^ 1, &address, &behind, holds, &mut patterns)?;
        swept.removed += behind.iter().filter(|(_, pair)| !holds.holds(&address, pair)).count();
        swept.known += kept;
        if patterns.len() > 1 {
            let patterns = patterns.into_iter().collect();
            swept.shared.push(Shared { address: ip(&address), patterns });
        }
    }
    Ok(swept)
}

/// One address; returns how many of its pairs are known still. `patterns` are those it stands for
/// on the side that is written.
fn move_over(
    table: &mut Table<'_>,
    to: u32,
    address: &Address,
    behind: &[(u32, Learned)],
    holds: &Holds<'_>,
    patterns: &mut BTreeSet<u32>,
) -> Result<usize, DatapathError> {
    let mut behind = behind.to_vec();
    behind.sort_by_key(|(place, _)| *place);
    let mut kept = 0;
    // From the last place on: whoever looks stops at the first place without an entry.
    while let Some((place, learned)) = behind.pop() {
        if holds.holds(address, &learned) {
            if !claim(table, to, address, &learned)? {
                // No room on the other side: it stays, and so do those before it.
                return Ok(kept + behind.len() + 1);
            }
            if learned.pattern_of(address).is_some_and(|pattern| patterns.insert(pattern)) {
                kept += 1;
            }
        }
        table.remove(&LearnedKey { address: *address, place }).map_err(refused("a removal"))?;
    }
    Ok(kept)
}

/// Enters a pair on a side as the programs do; `false` when the side has no room.
fn claim(
    table: &mut Table<'_>,
    side: u32,
    address: &Address,
    learned: &Learned,
) -> Result<bool, DatapathError> {
    for index in 0..MAX_SHARED {
        let key = LearnedKey { address: *address, place: LearnedKey::place(side, index) };
        match table.insert(key, learned, NO_EXIST) {
            Ok(()) => return Ok(true),
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                let there = table.get(&key, 0).map_err(refused("a read"))?;
                if there.pattern_of(address) == learned.pattern_of(address) {
                    return Ok(true);
                }
            }
            // E2BIG: the map is full.
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(7) => {
                return Ok(false);
            }
            Err(error) => return Err(refused("a place")(error)),
        }
    }
    Ok(false)
}

fn refused(what: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |error| DatapathError::map(LEARNED, what, &error)
}

fn ip(address: &Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(*address)).to_canonical()
}
