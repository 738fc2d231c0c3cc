//! What the kernel learns of names, as the agent steers it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;

use rustix::rand::GetRandomFlags;
use sentinel_common::config::Learning;
use sentinel_common::flow::Direction;
use sentinel_common::learn::NameRuleKey;
use sentinel_common::names::NameKey;
use sentinel_common::policy::{PrefixRules, Scope};

use super::{DatapathError, Kernel, OpenError, PolicyImage, learned, names};
use crate::names::{Holding, Opens, Swept};
use crate::policy::Pattern;
use crate::watch::clock;

impl Kernel {
    /// How long what is learned from now on holds.
    ///
    /// # Errors
    /// When the kernel refuses the configuration.
    pub fn set_holding(&mut self, holding: Holding) -> Result<(), DatapathError> {
        let Holding { floor, ceiling, grace } = holding;
        self.config.learning = Learning { floor, ceiling, grace, ..self.config.learning };
        let now = self.switch();
        self.switch_to(now)
    }

    /// Tells the programs whether there is anything to learn, and to judge by.
    fn tell_learning(&mut self) -> Result<(), DatapathError> {
        let judges = u32::from(self.names.has_patterns()) * Learning::JUDGES;
        let teaches = (u32::from(self.names.has_patterns()) * Learning::TEACHES) | Learning::TELLS;
        let teaches = if self.names.has_resolvers() { teaches } else { 0 };
        self.config.learning.on = judges | teaches;
        let now = self.switch();
        self.switch_to(now)
    }

    pub(super) fn trust(&mut self, servers: &BTreeSet<IpAddr>) -> Result<(), DatapathError> {
        let done = self.names.set_resolvers(&mut self.ebpf, servers);
        self.tell_learning()?;
        done
    }

    /// What a set says of names, into its slot, which nobody looks at yet. Its patterns are looked for
    /// from now on.
    pub(super) fn write_names(
        &mut self,
        slot: u8,
        image: &PolicyImage,
    ) -> Result<(), DatapathError> {
        let added = self.names.add(&mut self.ebpf, self.config.name_key, &image.patterns);
        self.tell_learning()?;
        added?;
        let rules = image.names.iter().map(|(policy, pattern, rules)| {
            let scope = Scope::new(slot, Direction::Egress, *policy).0;
            (NameRuleKey { scope, pattern: self.names.number(pattern) }, *rules)
        });
        let rules: BTreeMap<NameRuleKey, PrefixRules> = rules.collect();
        names::write_rules(&mut self.ebpf, slot, &rules)
    }

    pub(super) fn look_only_for(
        &mut self,
        patterns: &BTreeMap<Pattern, Opens>,
    ) -> Result<(), DatapathError> {
        let done = self.names.retain(&mut self.ebpf, self.config.name_key, patterns);
        self.tell_learning()?;
        done
    }

    /// By both sides and at every place, as the programs look.
    pub(super) fn patterns_of(&mut self, address: IpAddr) -> Result<Vec<Pattern>, DatapathError> {
        let numbers = learned::patterns(&self.map("LEARNED")?, address)?;
        Ok(numbers.into_iter().filter_map(|number| self.names.pattern(number).cloned()).collect())
    }

    pub(super) fn sweep_learned(
        &mut self,
        alive: &HashSet<IpAddr>,
    ) -> Result<Swept, DatapathError> {
        let left = self.config.learning.side;
        self.config.learning.side = left ^ 1;
        let now = self.switch();
        self.switch_to(now)?;
        // From here on nobody writes to the side left behind, and everyone looks at it first.
        self.wait_for_programs()?;
        let patterns = self.names.numbers();
        let now = clock::now().now;
        let holds = learned::Holds { now, patterns: &patterns, alive };
        learned::sweep(self.map("LEARNED")?, left, &holds)
    }
}

/// How long answers hold, and where this host's own resolver may be.
pub(super) fn at_start() -> Learning {
    let Holding { floor, ceiling, grace } = Holding::default();
    let netns = std::fs::metadata("/proc/self/ns/net").map_or(0, |namespace| namespace.ino());
    let netns = u32::try_from(netns).unwrap_or(0);
    Learning { on: 0, side: 0, netns, floor, ceiling, grace }
}

/// A secret for this run.
pub(super) fn name_key() -> Result<NameKey, OpenError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| OpenError::refused("randomness", &error))?;
    let (words, _) = bytes.as_chunks::<8>();
    let [seed, multiplier] = [words.first(), words.last()]
        .map(|word| u64::from_ne_bytes(word.copied().unwrap_or_default()));
    Ok(NameKey::new(seed, multiplier))
}
