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

/// What the numbers of the signature set and the allowlist in force stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Signature rules by their number.
    pub signatures: Vec<SignatureRule>,
    /// Tokens by their bit.
    pub tokens: Vec<String>,
    /// Allowlist rules; number 1 comes first, 0 being "none".
    pub egress: Vec<EgressRule>,
    /// The feeds.
    pub feeds: Arc<FeedSet>,
}

impl Names {
    pub(super) fn signature(&self, rule: u32) -> Option<&SignatureRule> {
        self.signatures.get(usize::try_from(rule).ok()?)
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

    pub(super) fn tokens(&self, mask: u64) -> Vec<String> {
        let said = |bit: usize| {
            u32::try_from(bit).is_ok_and(|bit| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
        };
        let tokens = self.tokens.iter().enumerate();
        tokens.filter(|(bit, _)| said(*bit)).map(|(_, name)| name.clone()).collect()
    }
}
