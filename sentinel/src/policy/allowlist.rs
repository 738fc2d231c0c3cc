//! The compiled allowlist, looked up as the kernel does.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use sentinel_common::address::Address;
use sentinel_common::policy::PrefixRules;

use super::prefix::Prefix;

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The file's name as given.
    pub file: String,
    /// Line of the rule's first CIDR, from 1.
    pub line: u32,
    /// The policy's `metadata.name`.
    pub policy: String,
    /// Place in its `egress` list, from 0.
    pub index: usize,
}

/// What is allowed, by prefix: each carries what all prefixes around it allow, since the kernel's
/// trie returns the longest one only.
#[derive(Clone, Debug, Default)]
pub struct Allowlist {
    entries: BTreeMap<Prefix, PrefixRules>,
    /// Lengths in use, so that a lookup tries no other.
    lens: BTreeSet<u8>,
    rules: Vec<RuleSource>,
}

impl Allowlist {
    pub(super) fn new(entries: BTreeMap<Prefix, PrefixRules>, rules: Vec<RuleSource>) -> Self {
        let lens = entries.keys().map(|prefix| prefix.len()).collect();
        Self { entries, lens, rules }
    }

    /// What the longest prefix around this address carries, or `None`: the kernel's answer.
    #[must_use]
    pub fn lookup(&self, address: &Address) -> Option<&PrefixRules> {
        self.lens.iter().rev().find_map(|&len| self.entries.get(&Prefix::of(address, len)))
    }

    /// What goes into the kernel's trie: IPv6 prefixes, IPv4 v4-mapped, shorter before longer where
    /// they share their bits.
    #[must_use]
    pub fn entries(&self) -> Vec<(IpNet, PrefixRules)> {
        self.entries.iter().map(|(prefix, rules)| (prefix.to_net(), *rules)).collect()
    }

    /// Addresses that rules name alone, by a `/32` or a `/128`.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        let named = self.entries.iter().filter(|(prefix, rules)| {
            // An exception of one address is an entry too, and allows nothing of its own.
            prefix.len() == 128 && rules.count > 0
        });
        named.map(|(prefix, _)| prefix.address()).collect()
    }

    /// How many prefixes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the rule with this number, as a [`sentinel_common::policy::Decision`] tells it, stands.
    #[must_use]
    pub fn rule(&self, number: u16) -> Option<&RuleSource> {
        self.rules.get(usize::from(number).checked_sub(1)?)
    }
}
