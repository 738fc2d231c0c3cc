//! What one policy says of prefixes in one direction, looked up as the kernel does.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_common::address::Address;
use sentinel_common::policy::{DENY, PrefixRules};

use super::prefix::Prefix;

/// Rules by prefix: each carries what all prefixes around it say, since the kernel's trie returns the
/// longest one only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trie {
    /// In order. There are thousands of tries of few entries each, and a tree's nodes have room for many.
    entries: Box<[(Prefix, PrefixRules)]>,
    /// Lengths in use, the shortest first, so that a lookup tries no other.
    lens: Box<[u8]>,
}

impl Trie {
    pub(super) fn new(entries: BTreeMap<Prefix, PrefixRules>) -> Self {
        let lens: BTreeSet<u8> = entries.keys().map(|prefix| prefix.len()).collect();
        Self { entries: entries.into_iter().collect(), lens: lens.into_iter().collect() }
    }

    /// What the longest prefix around this address carries, or `None`: the kernel's answer.
    #[must_use]
    pub fn lookup(&self, address: &Address) -> Option<&PrefixRules> {
        let find = |prefix| {
            let place = self.entries.binary_search_by_key(&prefix, |(prefix, _)| *prefix).ok()?;
            self.entries.get(place).map(|(_, rules)| rules)
        };
        self.lens.iter().rev().find_map(|&len| find(Prefix::of(address, len)))
    }

    /// Every prefix: its address, v4-mapped, its length of 128, and what is said of it.
    pub fn entries(&self) -> impl Iterator<Item = (Address, u8, &PrefixRules)> {
        self.entries.iter().map(|(prefix, rules)| (prefix.address(), prefix.len(), rules))
    }

    /// Addresses that rules allow alone, by a `/32` or a `/128`.
    pub fn addresses(&self) -> impl Iterator<Item = Address> {
        let named = self.entries.iter().filter(|(prefix, rules)| {
            let mut ranges = rules.ranges.iter().take(rules.count as usize);
            // An exception of one address is an entry too, and allows nothing of its own.
            prefix.len() == 128 && ranges.any(|range| range.flags & DENY == 0)
        });
        named.map(|(prefix, _)| prefix.address())
    }

    /// How many prefixes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
