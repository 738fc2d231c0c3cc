//! Patterns and resolvers into the kernel's maps, as a difference to what is there. What comes is
//! written before what goes is taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError};
use sentinel_common::address::{self, Address};
use sentinel_common::learn::{FqdnEntry, Learned, LearnedKey, NameRuleKey, opens, resolver};
use sentinel_common::names::NameKey;
use sentinel_common::policy::PrefixRules;

use super::DatapathError;
use super::kernel::open;
use crate::names::{Opens, resolvers};
use crate::policy::Pattern;

const FQDNS: &str = "FQDNS";
const RESOLVERS: &str = "RESOLVERS";
const LEARNED: &str = "LEARNED";
const NAME_RULES: &str = "NAME_RULES";

/// What the maps hold.
#[derive(Debug, Default)]
pub(super) struct Names {
    patterns: BTreeMap<Pattern, (u32, Opens)>,
    resolvers: BTreeMap<IpAddr, u32>,
    /// The last number that was given. Numbers are not given twice: what was learned of a pattern
    /// that is gone says nothing of another.
    last: u32,
    /// Another agent has left patterns in the map, of which only hashes are known.
    inherits: bool,
}

impl Names {
    /// What another agent has left, if anything: its resolvers, and the numbers of its patterns.
    pub(super) fn adopted(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let unread = |map| move |error: MapError| DatapathError::map(map, "a read", &error);
        let mut names = Self { inherits: true, ..Self::default() };
        let map: HashMap<&mut MapData, Address, u32> = open(ebpf, RESOLVERS)?;
        for entry in map.iter() {
            let (address, flags) = entry.map_err(unread(RESOLVERS))?;
            let server = IpAddr::V6(Ipv6Addr::from(address)).to_canonical();
            names.resolvers.insert(server, flags);
        }
        let map: HashMap<&mut MapData, u64, FqdnEntry> = open(ebpf, FQDNS)?;
        for entry in map.iter() {
            let (_, entry) = entry.map_err(unread(FQDNS))?;
            names.last = names.last.max(entry.exact).max(entry.suffix);
        }
        let map: HashMap<&mut MapData, LearnedKey, Learned> = open(ebpf, LEARNED)?;
        for entry in map.iter() {
            let (key, learned) = entry.map_err(unread(LEARNED))?;
            names.last = names.last.max(learned.pattern_of(&key.address).unwrap_or_default());
        }
        Ok(names)
    }

    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    pub(super) fn has_resolvers(&self) -> bool {
        !self.resolvers.is_empty()
    }

    /// Numbers of the patterns in force.
    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        self.patterns.values().map(|(number, _)| *number).collect()
    }

    /// The number of a pattern in force; 0, which is nobody's, of another.
    pub(super) fn number(&self, pattern: &Pattern) -> u32 {
        self.patterns.get(pattern).map_or(0, |(number, _)| *number)
    }

    /// The pattern in force with this number.
    pub(super) fn pattern(&self, wanted: u32) -> Option<&Pattern> {
        let mut all = self.patterns.iter();
        all.find(|(_, (number, _))| *number == wanted).map(|(pattern, _)| pattern)
    }

    /// Writes these patterns; those that are there keep their numbers.
    pub(super) fn add(
        &mut self,
        ebpf: &mut Ebpf,
        key: NameKey,
        wanted: &BTreeMap<Pattern, Opens>,
    ) -> Result<(), DatapathError> {
        let mut map: HashMap<&mut MapData, u64, FqdnEntry> = open(ebpf, FQDNS)?;
        for (pattern, opens) in wanted {
            let known = self.patterns.get(pattern).copied();
            let number = known.map(|(number, _)| number);
            // What was learned for another agent holds for the same pattern.
            let number = number.or_else(|| self.inherits.then(|| left(&map, key, pattern))?);
            let number = number.unwrap_or_else(|| self.last.saturating_add(1));
            if known != Some((number, *opens)) {
                write(&mut map, key, pattern, number, *opens)?;
                self.last = self.last.max(number);
                self.patterns.insert(pattern.clone(), (number, *opens));
            }
        }
        Ok(())
    }

    /// Takes out every pattern but these.
    pub(super) fn retain(
        &mut self,
        ebpf: &mut Ebpf,
        key: NameKey,
        wanted: &BTreeMap<Pattern, Opens>,
    ) -> Result<(), DatapathError> {
        let mut map: HashMap<&mut MapData, u64, FqdnEntry> = open(ebpf, FQDNS)?;
        let gone: Vec<Pattern> =
            self.patterns.keys().filter(|pattern| !wanted.contains_key(pattern)).cloned().collect();
        for pattern in gone {
            write(&mut map, key, &pattern, 0, Opens::default())?;
            self.patterns.remove(&pattern);
        }
        if self.inherits {
            self.disinherit(&mut map, key)?;
            self.inherits = false;
        }
        Ok(())
    }

    /// Takes out what is nobody's in force.
    fn disinherit(
        &self,
        map: &mut HashMap<&mut MapData, u64, FqdnEntry>,
        key: NameKey,
    ) -> Result<(), DatapathError> {
        let refused = |error: MapError| DatapathError::map(FQDNS, "a removal", &error);
        let numbers = self.numbers();
        let mut wanted: BTreeSet<u64> = BTreeSet::new();
        wanted.extend(self.patterns.keys().map(|it| key.hash(it.domain().as_bytes())));
        let there = map.iter().collect::<Result<Vec<_>, _>>().map_err(refused)?;
        for (hash, entry) in there {
            let ours = |number: u32| if numbers.contains(&number) { number } else { 0 };
            let kept = FqdnEntry { exact: ours(entry.exact), suffix: ours(entry.suffix), ..entry };
            if !wanted.contains(&hash) || (kept.exact, kept.suffix) == (0, 0) {
                map.remove(&hash).map_err(refused)?;
            } else if kept != entry {
                map.insert(hash, kept, 0).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Makes these the ones that may teach.
    pub(super) fn set_resolvers(
        &mut self,
        ebpf: &mut Ebpf,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(), DatapathError> {
        let mut map: HashMap<&mut MapData, Address, u32> = open(ebpf, RESOLVERS)?;
        for &server in wanted {
            let here = resolvers::is_on_this_host(server);
            let flags = if here { resolver::ON_HOST } else { 0 };
            if self.resolvers.get(&server) != Some(&flags) {
                map.insert(address::of(server), flags, 0)
                    .map_err(|error| DatapathError::map(RESOLVERS, "a resolver", &error))?;
                self.resolvers.insert(server, flags);
            }
        }
        let gone: Vec<IpAddr> =
            self.resolvers.keys().filter(|server| !wanted.contains(server)).copied().collect();
        for server in gone {
            map.remove(&address::of(server))
                .map_err(|error| DatapathError::map(RESOLVERS, "a removal", &error))?;
            self.resolvers.remove(&server);
        }
        Ok(())
    }
}

/// The number that a pattern has in the map.
fn left(
    map: &HashMap<&mut MapData, u64, FqdnEntry>,
    key: NameKey,
    pattern: &Pattern,
) -> Option<u32> {
    let entry = map.get(&key.hash(pattern.domain().as_bytes()), 0).ok()?;
    let number = if pattern.is_below() { entry.suffix } else { entry.exact };
    (number != 0).then_some(number)
}

/// What policies allow by name, into a slot of the sets; what the slot held before goes.
pub(super) fn write_rules(
    ebpf: &mut Ebpf,
    slot: u8,
    rules: &BTreeMap<NameRuleKey, PrefixRules>,
) -> Result<(), DatapathError> {
    let mut map: HashMap<&mut MapData, NameRuleKey, PrefixRules> = open(ebpf, NAME_RULES)?;
    let refused = |what| move |error: MapError| DatapathError::map(NAME_RULES, what, &error);
    let there = map.keys().collect::<Result<Vec<_>, _>>().map_err(refused("a read"))?;
    let is_of_slot = |key: &NameRuleKey| key.scope >> 31 == u32::from(slot);
    for key in there.iter().filter(|key| is_of_slot(key) && !rules.contains_key(key)) {
        map.remove(key).map_err(refused("a removal"))?;
    }
    for (key, rules) in rules {
        map.insert(key, rules, 0).map_err(refused("a rule"))?;
    }
    Ok(())
}

/// Writes one half of a name's entry; the other may belong to another pattern. Number 0 takes it
/// out.
fn write(
    map: &mut HashMap<&mut MapData, u64, FqdnEntry>,
    key: NameKey,
    pattern: &Pattern,
    number: u32,
    may: Opens,
) -> Result<(), DatapathError> {
    let hash = key.hash(pattern.domain().as_bytes());
    let mut entry = map.get(&hash, 0).unwrap_or_default();
    let flags = (u32::from(may.private) * opens::PRIVATE) | (u32::from(may.local) * opens::LOCAL);
    let shift = if pattern.is_below() { opens::SUFFIX } else { 0 };
    entry.flags = entry.flags & !(0xff << shift) | flags << shift;
    if pattern.is_below() {
        entry.suffix = number;
    } else {
        entry.exact = number;
    }
    let done = if entry.exact == 0 && entry.suffix == 0 {
        map.remove(&hash)
    } else {
        map.insert(hash, entry, 0)
    };
    done.map_err(|error| DatapathError::map(FQDNS, "a name", &error))
}
