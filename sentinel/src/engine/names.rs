//! The names behind the numbers in an event.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::feed::{FeedSet, Hit};

/// A rule of the signature set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureRule {
    /// The dialect it belongs to.
    pub dialect: String,
    /// Its name.
    pub name: String,
}

/// What the numbers of one policy stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// Its name.
    pub policy: String,
    /// What speaks where no rule does.
    pub default: String,
    /// Its rules; number 1 comes first.
    pub rules: Vec<String>,
}

/// A signature set by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureSet {
    /// The number that events carry.
    pub number: u32,
    /// Rules by their number.
    pub rules: Vec<SignatureRule>,
    /// Tokens by their bit.
    pub tokens: Vec<String>,
}

/// What the numbers of the signature sets and of the policies stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The set in force and those before it, the newest last: a verdict keeps the rule of the set
    /// that it was passed by.
    pub signatures: Vec<SignatureSet>,
    /// Policies by their number, those that were in force not long ago among them.
    pub policies: Arc<BTreeMap<u16, PolicyRules>>,
    /// The first generation whose events are about these policies: those before are of an agent that is
    /// gone, whose numbers stood for others.
    pub since: u32,
    /// The feeds.
    pub feeds: Arc<FeedSet>,
}

impl Names {
    pub(super) fn signature(&self, set: u32, rule: u32) -> Option<&SignatureRule> {
        self.set(set)?.rules.get(usize::try_from(rule).ok()?)
    }

    fn set(&self, number: u32) -> Option<&SignatureSet> {
        self.signatures.iter().find(|set| set.number == number)
    }

    /// The policy of an event, and its rule.
    pub(super) fn policy(&self, source: u32) -> Option<(&str, &str)> {
        let policy = self.policies.get(&u16::try_from(source >> 16).ok()?)?;
        let rule = match usize::try_from(source & 0xffff).ok()? {
            0 => &policy.default,
            number => policy.rules.get(number - 1)?,
        };
        Some((&policy.policy, rule))
    }

    pub(super) fn domain(&self, name: &str) -> Option<Hit<'_>> {
        self.feeds.domain(name)
    }

    pub(super) fn address(&self, address: IpAddr) -> Option<Hit<'_>> {
        self.feeds.address(address)
    }

    pub(super) fn tokens(&self, set: u32, mask: u64) -> Vec<String> {
        let said = |bit: usize| {
            u32::try_from(bit).is_ok_and(|bit| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
        };
        let tokens = self.set(set).map(|set| set.tokens.as_slice()).unwrap_or_default();
        let tokens = tokens.iter().enumerate();
        tokens.filter(|(bit, _)| said(*bit)).map(|(_, name)| name.clone()).collect()
    }
}
