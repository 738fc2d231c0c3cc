//! Policies, feeds and signatures from disk to what the kernel takes, with the names that go with the
//! numbers.

use std::sync::Arc;

use sentinel_common::config::Modes;
use sentinel_common::verdict::Mode;

use crate::config::Config;
use crate::datapath::PolicySet;
use crate::engine::{EgressRule, SignatureRule, SignatureSet};
use crate::event::line::SignatureFigures;
use crate::feed::{self, FeedError, FeedSet};
use crate::policy::{self, Allowlist, Diagnostic};
use crate::signature::{self, Compiled, SignatureError};

/// Why policies or signatures were not taken.
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
    /// Signature files cannot be read.
    #[error(transparent)]
    LoadSignatures(#[from] signature::LoadError),
    /// They are wrong.
    #[error(transparent)]
    Signatures(#[from] SignatureError),
}

fn list(findings: &[Diagnostic]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Policies and signatures, ready to be put in force.
#[derive(Debug)]
pub struct Prepared {
    /// The policies.
    pub policy: PreparedPolicy,
    /// The signature set.
    pub signatures: PreparedSet,
}

/// A signature set, ready to be put in force.
#[derive(Clone, Debug)]
pub struct PreparedSet {
    /// The set.
    pub compiled: Arc<Compiled>,
    /// The user's own files.
    pub files: Vec<String>,
}

/// Policies, ready to be put in force.
#[derive(Debug, PartialEq, Eq)]
pub struct PreparedPolicy {
    /// What the kernel takes.
    pub set: PolicySet,
    /// The feeds, less what the allowlist names by its one address.
    pub feeds: Arc<FeedSet>,
    /// What the kernel looks addresses up in, for those who ask on the host.
    pub allowlist: Allowlist,
    /// Names of the allowlist's rules.
    pub egress: Vec<EgressRule>,
    /// What a user should know, in a sentence.
    pub warning: Option<String>,
}

/// Reads and compiles what the settings name.
///
/// # Errors
/// What is wrong with it.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    Ok(Prepared { policy: prepare_policy(config)?, signatures: prepare_signatures(config)? })
}

/// Reads and compiles the signatures that the settings name: up to seconds of work.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn prepare_signatures(config: &Config) -> Result<PreparedSet, PrepareError> {
    compile_signatures(signature::load(&config.signatures)?, config.builtin_signatures)
}

/// The same, or `None` where the files say what is in force, by its [`SignatureFigures::fingerprint`].
///
/// # Errors
/// As [`prepare_signatures`].
pub(super) fn prepare_other_signatures(
    config: &Config,
    in_force: &str,
) -> Result<Option<PreparedSet>, PrepareError> {
    let (sources, built_in) = (signature::load(&config.signatures)?, config.builtin_signatures);
    let found = hexadecimal(signature::fingerprint(&signature::files(&sources, built_in)));
    (found != in_force).then(|| compile_signatures(sources, built_in)).transpose()
}

fn compile_signatures(
    sources: Vec<signature::Source>,
    built_in: bool,
) -> Result<PreparedSet, PrepareError> {
    let compiled = Arc::new(signature::assemble(&sources, built_in)?);
    Ok(PreparedSet { compiled, files: sources.into_iter().map(|source| source.name).collect() })
}

fn hexadecimal(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// Reads and compiles the policies and feeds that the settings name, within what the settings allow.
///
/// # Errors
/// Everything that is wrong with them.
pub fn prepare_policy(config: &Config) -> Result<PreparedPolicy, PrepareError> {
    let sources = policy::load(&config.policies)?;
    let policy = policy::compile(&sources).map_err(PrepareError::Invalid)?;
    let modes = Modes {
        egress: config.capped(policy.egress),
        stratum: config.capped(config.stratum.unwrap_or(policy.stratum)),
        names: config.capped(config.names),
        peer_to_peer: config.capped(config.peer_to_peer),
    };
    let exempt = policy.allowlist.addresses();
    let feeds = feed::gather(config.builtin_feed, &config.feeds, &exempt)?;
    let set = PolicySet { modes, prefixes: policy.allowlist.entries() };
    let held_back = policy.egress == Mode::Enforce && config.mode != Mode::Enforce;
    let warning = held_back.then(|| {
        "a policy asks for enforcement, but the agent only audits: add --mode enforce".to_owned()
    });
    let egress = rules(&policy.allowlist);
    Ok(PreparedPolicy { set, feeds: Arc::new(feeds), allowlist: policy.allowlist, egress, warning })
}

fn rules(allowlist: &Allowlist) -> Vec<EgressRule> {
    let sources = (1..=u16::MAX).map_while(|number| allowlist.rule(number));
    let named = sources.map(|source| EgressRule {
        policy: source.policy.clone(),
        name: format!("egress[{}] ({}:{})", source.index, source.file, source.line),
    });
    named.collect()
}

/// The names behind the numbers of a signature set.
pub(super) fn names(number: u32, set: &Compiled) -> SignatureSet {
    let catalogue = &set.catalogue;
    let rules = catalogue
        .rules()
        .iter()
        .map(|rule| SignatureRule { dialect: rule.dialect.clone(), name: rule.name.clone() });
    SignatureSet { number, rules: rules.collect(), tokens: catalogue.tokens().to_vec() }
}

/// A signature set in figures, for journal and status.
pub(super) fn figures(number: u32, set: &PreparedSet) -> SignatureFigures {
    let catalogue = &set.compiled.catalogue;
    let stats = catalogue.stats();
    SignatureFigures {
        set: number,
        fingerprint: hexadecimal(catalogue.fingerprint()),
        files: set.files.clone(),
        dialects: stats.dialects,
        rules: stats.rules,
        tokens: stats.tokens,
        states: stats.states,
        classes: stats.classes,
    }
}
