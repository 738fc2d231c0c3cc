//! Policies and feeds from disk to what the kernel takes, with the names that go with the numbers.

use std::sync::Arc;

use sentinel_common::config::Modes;
use sentinel_common::verdict::Mode;

use crate::config::Config;
use crate::datapath::PolicySet;
use crate::engine::{EgressRule, Names, SignatureRule};
use crate::feed::{self, FeedError, FeedSet};
use crate::policy::{self, Allowlist, Diagnostic};
use crate::signature::Catalogue;

/// Why policies were not taken.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// They cannot be read.
    #[error(transparent)]
    Load(#[from] policy::LoadError),
    /// They are wrong.
    #[error("{}", list(.0))]
    Invalid(Vec<Diagnostic>),
    /// A feed cannot be read or is wrong.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

fn list(findings: &[Diagnostic]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Policies, ready to be put in force.
#[derive(Debug)]
pub struct Prepared {
    /// What the kernel takes.
    pub set: PolicySet,
    /// The feeds, less what the allowlist names by its one address.
    pub feeds: Arc<FeedSet>,
    /// Names of the allowlist's rules.
    pub egress: Vec<EgressRule>,
    /// What a user should know, in a sentence.
    pub warning: Option<String>,
}

/// Reads and compiles the policies and feeds that the settings name, within what the settings allow.
///
/// # Errors
/// Everything that is wrong with them.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    let sources = policy::load(&config.policies)?;
    let policy = policy::compile(&sources).map_err(PrepareError::Invalid)?;
    let modes = Modes {
        egress: config.capped(policy.egress),
        stratum: config.capped(config.stratum.unwrap_or(policy.stratum)),
        names: config.capped(config.names),
        peer_to_peer: config.capped(config.peer_to_peer),
    };
    let sources = feed::load(config.builtin_feed, &config.feeds).map_err(FeedError::Load)?;
    let mut feeds = feed::compile(&sources)?;
    drop(sources);
    feeds.exempt(&policy.allowlist.addresses())?;
    let set = PolicySet { modes, prefixes: policy.allowlist.entries() };
    let held_back = policy.egress == Mode::Enforce && config.mode != Mode::Enforce;
    let warning = held_back.then(|| {
        "a policy asks for enforcement, but the agent only audits: add --mode enforce".to_owned()
    });
    let egress = rules(&policy.allowlist);
    Ok(Prepared { set, feeds: Arc::new(feeds), egress, warning })
}

fn rules(allowlist: &Allowlist) -> Vec<EgressRule> {
    let sources = (1..=u16::MAX).map_while(|number| allowlist.rule(number));
    let named = sources.map(|source| EgressRule {
        policy: source.policy.clone(),
        name: format!("egress[{}] ({}:{})", source.index, source.file, source.line),
    });
    named.collect()
}

/// The names behind the numbers of events.
pub(super) fn names(catalogue: &Catalogue, egress: Vec<EgressRule>, feeds: Arc<FeedSet>) -> Names {
    let signatures = catalogue
        .rules()
        .iter()
        .map(|rule| SignatureRule { dialect: rule.dialect.clone(), name: rule.name.clone() });
    let tokens = (0..u64::BITS).map(|bit| catalogue.token_names(1 << bit).concat());
    Names { signatures: signatures.collect(), tokens: tokens.collect(), egress, feeds }
}
