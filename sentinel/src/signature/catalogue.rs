//! What the numbers of a compiled set mean.

use super::error::Place;
use super::rules::Resolved;

/// A rule's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The rule's name in its file; alternatives of one rule share it.
    pub name: String,
    /// The dialect it speaks for.
    pub dialect: String,
    /// Where it is defined.
    pub place: Place,
}

/// How large a compiled set is; bounds in [`sentinel_common::limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// States of the automaton.
    pub states: usize,
    /// Classes of symbols.
    pub classes: usize,
    /// Tokens.
    pub tokens: usize,
    /// Rules, alternatives spread out.
    pub rules: usize,
    /// Dialects.
    pub dialects: usize,
}

/// Names for the numbers that events carry.
#[derive(Clone, Debug)]
pub struct Catalogue {
    tokens: Vec<String>,
    rules: Vec<RuleInfo>,
    stats: Stats,
    fingerprint: u64,
}

impl Catalogue {
    pub(super) fn new(resolved: Resolved, stats: Stats, fingerprint: u64) -> Self {
        let Resolved { tokens, names, .. } = resolved;
        Self { tokens, rules: names, stats, fingerprint }
    }

    /// The rule with this number, as an event or a [`sentinel_common::flow::Flow`] tells it.
    #[must_use]
    pub fn rule(&self, index: u32) -> Option<&RuleInfo> {
        self.rules.get(index as usize)
    }

    /// All rules, in the order of their numbers.
    #[must_use]
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// The names of the tokens, in the order of their bits.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The files' [`super::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
