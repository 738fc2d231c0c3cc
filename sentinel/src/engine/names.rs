//! The names behind the numbers in an event.

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

/// A rule of the allowlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressRule {
    /// The policy it stands in.
    pub policy: String,
    /// Its name or place there.
    pub name: String,
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

/// What the numbers of the signature sets and of the allowlist in force stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The set in force and those before it, the newest last: a verdict keeps the rule of the set
    /// that it was passed by.
    pub signatures: Vec<SignatureSet>,
    /// Allowlist rules; number 1 comes first, 0 being "none".
    pub egress: Vec<EgressRule>,
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

    pub(super) fn egress(&self, rule: u32) -> Option<&EgressRule> {
        self.egress.get(usize::try_from(rule.checked_sub(1)?).ok()?)
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
