//! Feeds into the kernel's maps, as a difference to what is there, while lookups go on. What comes is
//! written before what goes is taken out, so that a destination which both sets name, in whatever
//! way, is named throughout. Only where both do not fit at a time is it the other way round.

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, MapData, MapError};
use sentinel_common::address::Address;
use sentinel_common::limits::{MAX_FEED_ADDRESSES, MAX_FEED_DOMAINS};
use sentinel_common::names::NameKey;

use super::kernel::open;
use super::{DatapathError, Kernel};
use crate::feed::{Change, FeedSet, Network, changes};

const DOMAINS: &str = "FEED_DOMAINS";
const ADDRESSES: &str = "FEED_ADDRESSES";
const NETWORKS: &str = "FEED_PREFIXES";

impl Kernel {
    /// Tells the programs whether the trie of prefixes is worth asking.
    pub(super) fn ask_for_prefixes(&mut self, ask: bool) -> Result<(), DatapathError> {
        self.config.feed_prefixes = u32::from(ask);
        let now = self.switch();
        self.switch_to(now)
    }
}

/// One of the two passes over the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Write,
    Remove,
}

/// Makes `old`, which the kernel holds, into `new`; returns how many entries were touched.
pub(super) fn replace(
    ebpf: &mut Ebpf,
    key: NameKey,
    old: &FeedSet,
    new: &FeedSet,
) -> Result<usize, DatapathError> {
    let both_fit = union(old.domains(), new.domains()) <= MAX_FEED_DOMAINS
        && union(old.addresses(), new.addresses()) <= MAX_FEED_ADDRESSES
        && union(old.networks(), new.networks()) <= MAX_FEED_ADDRESSES;
    let (first, second) =
        if both_fit { (Pass::Write, Pass::Remove) } else { (Pass::Remove, Pass::Write) };
    Ok(pass(ebpf, key, old, new, first)? + pass(ebpf, key, old, new, second)?)
}

/// Makes what the kernel holds, a part of the way from `old` to `new`, into `old` again.
pub(super) fn restore(
    ebpf: &mut Ebpf,
    key: NameKey,
    old: &FeedSet,
    new: &FeedSet,
) -> Result<(), DatapathError> {
    pass(ebpf, key, new, old, Pass::Remove)?;
    pass(ebpf, key, new, old, Pass::Write).map(drop)
}

/// Keys that either list has.
fn union<K: Ord>(old: &[(K, u16)], new: &[(K, u16)]) -> usize {
    let gone = changes(old, new).filter(|change| matches!(change, Change::Remove(_))).count();
    new.len() + gone
}

/// One pass over all maps.
///
/// Two domains of one hash are one entry, and the second one's removal would take the first one's
/// too: of 131,072 domains that happens once in two thousand million keys.
fn pass(
    ebpf: &mut Ebpf,
    key: NameKey,
    old: &FeedSet,
    new: &FeedSet,
    pass: Pass,
) -> Result<usize, DatapathError> {
    let mut domains = Domains(open(ebpf, DOMAINS)?, key);
    let mut touched = turn(&mut domains, old.domains(), new.domains(), pass)
        .map_err(|error| DatapathError::map(DOMAINS, "a domain", &error))?;
    let mut addresses = Addresses(open(ebpf, ADDRESSES)?);
    touched += turn(&mut addresses, old.addresses(), new.addresses(), pass)
        .map_err(|error| DatapathError::map(ADDRESSES, "an address", &error))?;
    let mut networks = Networks(open(ebpf, NETWORKS)?);
    touched += turn(&mut networks, old.networks(), new.networks(), pass)
        .map_err(|error| DatapathError::map(NETWORKS, "a prefix", &error))?;
    Ok(touched)
}

/// Empties the maps, whatever they hold.
pub(super) fn clear(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    let refused = |map| move |error: MapError| DatapathError::map(map, "a removal", &error);
    let mut domains: HashMap<&mut MapData, u64, u32> = open(ebpf, DOMAINS)?;
    for key in domains.keys().collect::<Result<Vec<_>, _>>().map_err(refused(DOMAINS))? {
        domains.remove(&key).map_err(refused(DOMAINS))?;
    }
    let mut addresses: HashMap<&mut MapData, Address, u32> = open(ebpf, ADDRESSES)?;
    for key in addresses.keys().collect::<Result<Vec<_>, _>>().map_err(refused(ADDRESSES))? {
        addresses.remove(&key).map_err(refused(ADDRESSES))?;
    }
    let mut networks: LpmTrie<&mut MapData, Address, u32> = open(ebpf, NETWORKS)?;
    for key in networks.keys().collect::<Result<Vec<_>, _>>().map_err(refused(NETWORKS))? {
        networks.remove(&key).map_err(refused(NETWORKS))?;
    }
    Ok(())
}

/// One of the maps, by the keys of its list.
trait Table<K> {
    fn write(&mut self, key: &K, feed: u32) -> Result<(), MapError>;
    fn remove(&mut self, key: &K) -> Result<(), MapError>;
}

fn turn<K: Ord>(
    table: &mut impl Table<K>,
    old: &[(K, u16)],
    new: &[(K, u16)],
    pass: Pass,
) -> Result<usize, MapError> {
    let mut touched = 0;
    for change in changes(old, new) {
        match (change, pass) {
            (Change::Write(key, feed), Pass::Write) => table.write(key, u32::from(feed))?,
            (Change::Remove(key), Pass::Remove) => match table.remove(key) {
                Err(error) if !is_absence(&error) => return Err(error),
                _ => {}
            },
            _ => continue,
        }
        touched += 1;
    }
    Ok(touched)
}

/// On the way back from a set that was refused, what never went in need not come out.
fn is_absence(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

struct Domains<'a>(HashMap<&'a mut MapData, u64, u32>, NameKey);

impl Table<Box<str>> for Domains<'_> {
    fn write(&mut self, key: &Box<str>, feed: u32) -> Result<(), MapError> {
        self.0.insert(self.1.hash(key.as_bytes()), feed, 0)
    }

    fn remove(&mut self, key: &Box<str>) -> Result<(), MapError> {
        self.0.remove(&self.1.hash(key.as_bytes()))
    }
}

struct Addresses<'a>(HashMap<&'a mut MapData, Address, u32>);

impl Table<Address> for Addresses<'_> {
    fn write(&mut self, key: &Address, feed: u32) -> Result<(), MapError> {
        self.0.insert(key, feed, 0)
    }

    fn remove(&mut self, key: &Address) -> Result<(), MapError> {
        self.0.remove(key)
    }
}

struct Networks<'a>(LpmTrie<&'a mut MapData, Address, u32>);

impl Table<Network> for Networks<'_> {
    fn write(&mut self, key: &Network, feed: u32) -> Result<(), MapError> {
        self.0.insert(&Key::new(u32::from(key.len), key.address), feed, 0)
    }

    fn remove(&mut self, key: &Network) -> Result<(), MapError> {
        self.0.remove(&Key::new(u32::from(key.len), key.address))
    }
}
