//! Feeds into the kernel's maps, as a difference to what is there: lookups go on meanwhile, and an
//! entry that both sets hold is never missing.

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError};
use sentinel_common::address::Address;
use sentinel_common::names::NameKey;

use super::DatapathError;
use crate::feed::{Change, FeedSet, Network, changes};

const DOMAINS: &str = "FEED_DOMAINS";
const ADDRESSES: &str = "FEED_ADDRESSES";
const NETWORKS: &str = "FEED_PREFIXES";

/// Makes what the kernel holds, which is `old` or a part of the way from `old` to `new`, into `new`;
/// returns the number of entries that were touched.
///
/// Two domains of one hash are one entry, and the second one's removal would take the first one's
/// too: of 131,072 domains that happens once in two thousand million keys.
pub(super) fn replace(
    ebpf: &mut Ebpf,
    key: NameKey,
    old: &FeedSet,
    new: &FeedSet,
) -> Result<usize, DatapathError> {
    let mut domains = Domains(open(ebpf, DOMAINS)?, key);
    let mut touched = turn(&mut domains, old.domains(), new.domains())
        .map_err(|error| DatapathError::map(DOMAINS, "a domain", &error))?;
    let mut addresses = Addresses(open(ebpf, ADDRESSES)?);
    touched += turn(&mut addresses, old.addresses(), new.addresses())
        .map_err(|error| DatapathError::map(ADDRESSES, "an address", &error))?;
    let mut networks = Networks(open(ebpf, NETWORKS)?);
    touched += turn(&mut networks, old.networks(), new.networks())
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

fn open<'a, T>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<T, DatapathError>
where
    T: TryFrom<&'a mut Map, Error = MapError>,
{
    let map = ebpf.map_mut(name).ok_or_else(|| DatapathError::absent(name))?;
    T::try_from(map).map_err(|error| DatapathError::map(name, "to be opened", &error))
}

/// One of the maps, by the keys of its list.
trait Table<K> {
    fn write(&mut self, key: &K, feed: u32) -> Result<(), MapError>;
    fn remove(&mut self, key: &K) -> Result<(), MapError>;
}

/// Takes out before it puts in, so that two sets that only fit one at a time do.
fn turn<K: Ord>(
    table: &mut impl Table<K>,
    old: &[(K, u16)],
    new: &[(K, u16)],
) -> Result<usize, MapError> {
    let mut touched = 0;
    for change in changes(old, new) {
        if let Change::Remove(key) = change {
            match table.remove(key) {
                Err(error) if !is_absence(&error) => return Err(error),
                _ => touched += 1,
            }
        }
    }
    for change in changes(old, new) {
        if let Change::Write(key, feed) = change {
            table.write(key, u32::from(feed))?;
            touched += 1;
        }
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
