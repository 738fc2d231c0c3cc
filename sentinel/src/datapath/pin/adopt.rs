//! What another agent has left in the maps, as a beginning.

use std::collections::HashSet;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError};
use sentinel_common::address::Address;
use sentinel_common::config::{Config, Learning};
use sentinel_common::event::ABI_VERSION;
use sentinel_common::names::NameKey;

use super::super::kernel::open;
use super::super::names::Names;
use super::super::policies::Resident;
use super::super::{DatapathError, Kernel, OpenError, feeds};
use crate::feed::FeedSet;

impl Kernel {
    /// Goes on with what is in the maps; `false` where nothing is in force in them. Names are gone on
    /// with in any case.
    pub(crate) fn adopt(&mut self) -> Result<bool, OpenError> {
        let Some(pins) = &self.pins else { return Ok(false) };
        let fresh = self.config;
        self.config.name_key = pins.secret(fresh.name_key)?;
        let refused = |error: DatapathError| OpenError::refused("what another agent left", &error);
        self.names = Names::adopted(&mut self.ebpf).map_err(refused)?;
        let found = self.written().map_err(refused)?;
        if found.abi_version != ABI_VERSION {
            return Ok(false);
        }
        if found.name_key != self.config.name_key {
            // Beginning anew would lift what is in force.
            let path = self.pins.as_ref().map(|pins| pins.folder().to_path_buf());
            return Err(OpenError::TornPins { path: path.unwrap_or_default() });
        }
        let Learning { on, side, .. } = found.learning;
        self.config = Config {
            switch: found.switch,
            feed_prefixes: found.feed_prefixes,
            learning: Learning { on, side, ..fresh.learning },
            ..self.config
        };
        self.resident = [Resident::unknown(), Resident::unknown()];
        self.inherits_feeds = true;
        Ok(true)
    }

    /// Makes the feeds' maps, of which nobody knows what they hold, hold these: what comes is written
    /// before what goes is taken out.
    pub(crate) fn replace_unknown_feeds(&mut self, new: &FeedSet) -> Result<usize, DatapathError> {
        let key = self.config.name_key;
        let touched = match feeds::replace(&mut self.ebpf, key, &FeedSet::default(), new) {
            Ok(touched) => touched,
            Err(_) => {
                // Both do not fit.
                feeds::clear(&mut self.ebpf)?;
                feeds::replace(&mut self.ebpf, key, &FeedSet::default(), new)?
            }
        };
        Ok(touched + retain_feeds(&mut self.ebpf, key, new)?)
    }
}

fn retain_feeds(ebpf: &mut Ebpf, key: NameKey, new: &FeedSet) -> Result<usize, DatapathError> {
    let refused = |error: MapError| DatapathError::map("FEED_…", "a removal", &error);
    let wanted: HashSet<u64> =
        new.domains().iter().map(|(domain, _)| key.hash(domain.as_bytes())).collect();
    let mut domains: HashMap<&mut MapData, u64, u32> = open(ebpf, "FEED_DOMAINS")?;
    let there = domains.keys().collect::<Result<Vec<_>, _>>().map_err(refused)?;
    let mut touched = 0;
    for key in there.iter().filter(|key| !wanted.contains(key)) {
        domains.remove(key).map_err(refused)?;
        touched += 1;
    }
    let wanted: HashSet<Address> = new.addresses().iter().map(|(address, _)| *address).collect();
    let mut addresses: HashMap<&mut MapData, Address, u32> = open(ebpf, "FEED_ADDRESSES")?;
    let there = addresses.keys().collect::<Result<Vec<_>, _>>().map_err(refused)?;
    for key in there.iter().filter(|key| !wanted.contains(*key)) {
        addresses.remove(key).map_err(refused)?;
        touched += 1;
    }
    let wanted: HashSet<(u32, Address)> = new
        .networks()
        .iter()
        .map(|(network, _)| (u32::from(network.len), network.address))
        .collect();
    let mut networks: LpmTrie<&mut MapData, Address, u32> = open(ebpf, "FEED_PREFIXES")?;
    let there: Vec<Key<Address>> = networks.keys().collect::<Result<_, _>>().map_err(refused)?;
    for key in there.iter().filter(|key| !wanted.contains(&(key.prefix_len(), key.data()))) {
        networks.remove(key).map_err(refused)?;
        touched += 1;
    }
    Ok(touched)
}
