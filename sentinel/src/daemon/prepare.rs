//! Policies, feeds and signatures from disk to what the kernel takes, with the names that go with the
//! numbers.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sentinel_common::address::{self, Address};
use sentinel_common::config::Modes;
use sentinel_common::flow::Direction;
use sentinel_common::verdict::Mode;
use time::OffsetDateTime;

use super::objects::remembered;
use crate::attribution::peers::Kinds;
use crate::attribution::pods::Pods;
use crate::config::Config;
use crate::datapath::{OpenError, platform};
use crate::doctor::UNBOUND;
use crate::engine::{PolicyRules, SignatureRule, SignatureSet};
use crate::event::line::SignatureFigures;
use crate::feed::{self, FeedError, FeedSet};
use crate::policy::{self, Among, Diagnostic, Library, PolicySet, Source, Work};
use crate::remembered::Remembered;
use crate::signature::{self, Compiled, SignatureError};
use crate::watch::cri::SOCKETS;
use crate::watch::kubernetes::Settings;
use crate::watch::procfs;

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
    /// They are right, and this host cannot keep what they promise.
    #[error(transparent)]
    Host(#[from] OpenError),
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
#[derive(Clone, Debug)]
pub struct PreparedPolicy {
    /// What each kind of finding leads to.
    pub modes: Modes,
    /// The policies.
    pub set: Arc<PolicySet>,
    /// The feeds, less what a policy allows by its one address.
    pub feeds: Arc<FeedSet>,
    /// What a user should know, in sentences.
    pub warnings: Vec<String>,
    /// What they were read from.
    library: Arc<Library>,
}

impl PreparedPolicy {
    /// Whether both come to the same, whatever they were read from.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.modes, &self.set, &self.feeds, &self.warnings)
            == (other.modes, &other.set, &other.feeds, &other.warnings)
    }

    /// The same texts among others; `None` where these make no difference. No file is read, so that one that
    /// is wrong by now does not hold up what pods do.
    ///
    /// # Errors
    /// When there is no room for what they come to.
    pub(super) fn among(
        &self,
        config: &Config,
        among: Among<'_>,
    ) -> Result<Option<Self>, PrepareError> {
        let Some(library) = self.library.among(among) else { return Ok(None) };
        let set = library.set(now()).map_err(PrepareError::Invalid)?;
        tracing::debug!("rules on workloads mean others: {:?}", library.work());
        let modes = modes(config, &set);
        Ok(Some(Self { modes, set: Arc::new(set), library: Arc::new(library), ..self.clone() }))
    }

    /// What it took.
    pub(super) fn work(&self) -> Work {
        self.library.work()
    }

    /// What they were read from, for the next reading.
    pub(super) fn library(&self) -> Arc<Library> {
        Arc::clone(&self.library)
    }
}

fn modes(config: &Config, set: &PolicySet) -> Modes {
    Modes {
        egress: config.capped(set.mode(Direction::Egress)),
        stratum: config.capped(config.stratum.unwrap_or(set.stratum())),
        names: config.capped(config.names),
        peer_to_peer: config.capped(config.peer_to_peer),
    }
}

/// Reads and compiles what the settings name.
///
/// # Errors
/// What is wrong with it.
pub fn prepare(config: &Config) -> Result<Prepared, PrepareError> {
    Ok(Prepared {
        policy: {
            let peers = Remembered::peers(&config.state_dir).read();
            let pods = Pods::remembered(Remembered::pods(&config.state_dir).read());
            let among = Among { peers: &peers, here: Some(&Kinds::of(&pods)) };
            prepare_policy(config, remembered(config), among, &Library::default())?.0
        },
        signatures: prepare_signatures(config)?,
    })
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

/// Findings on objects beside others, after which all of them are refused.
const REFUSED: usize = 64;

/// Reads and compiles the policies and feeds that the settings name, and the policies that are objects,
/// within what the settings allow; what is known from `before` is not read again. Also what is wrong with
/// objects that are left out.
///
/// # Errors
/// Everything that is wrong with them.
pub fn prepare_policy(
    config: &Config,
    objects: Vec<Source>,
    among: Among<'_>,
    before: &Library,
) -> Result<(PreparedPolicy, Vec<Diagnostic>), PrepareError> {
    let tags = platform::displacing_tags().join(" and ");
    if !tags.is_empty() && config.mode == Mode::Enforce && !config.accept_root_fallback {
        return Err(OpenError::RootFallback { tags }.into());
    }
    let files = policy::load(&config.policies)?;
    let (set, library, refused) = compile_with(files, objects, among, before)?;
    tracing::debug!("policies: {:?}", library.work());
    // Pods come and go, and feeds are not gathered anew for that.
    let of_peers = among.peers.peers.iter().flat_map(|peer| &peer.addresses);
    let of_peers: HashSet<Address> = of_peers.map(|one| address::of(*one)).collect();
    let mut allowed = set.allowed_addresses();
    allowed.retain(|address| !of_peers.contains(address));
    let feeds = feed::gather(config.builtin_feed, &config.feeds, &allowed)?;
    let prepared = PreparedPolicy {
        modes: modes(config, &set),
        warnings: fallback(&tags).into_iter().chain(warnings(config, &set)).collect(),
        set: Arc::new(set),
        feeds: Arc::new(feeds),
        library: Arc::new(library),
    };
    Ok((prepared, refused))
}

/// Files and objects together. An object that is wrong beside the others is left out, and told of; files
/// come first. Also the texts that count.
fn compile_with(
    files: Vec<Source>,
    mut objects: Vec<Source>,
    among: Among<'_>,
    before: &Library,
) -> Result<(PolicySet, Library, Vec<Diagnostic>), PrepareError> {
    let mut refused = Vec::new();
    loop {
        let library = before.read(files.iter().chain(&objects), among);
        let findings = match library.set(now()) {
            Ok(set) => return Ok((set, library, refused)),
            Err(findings) => findings,
        };
        let wrong = |source: &Source| findings.iter().any(|finding| finding.file == source.name);
        if files.iter().any(wrong) || !objects.iter().any(wrong) || refused.len() >= REFUSED {
            return Err(PrepareError::Invalid(findings));
        }
        objects.retain(|source| !wrong(source));
        refused.extend(findings);
    }
}

/// The time by which policies end.
fn now() -> OffsetDateTime {
    OffsetDateTime::from(SystemTime::now())
}

/// What is said where a kernel may take sockets for the root cgroup's.
fn fallback(tags: &str) -> Option<String> {
    (!tags.is_empty()).then(|| {
        format!("with {tags} mounted this kernel takes sockets for the root cgroup's as soon as a group is tagged: traffic may be told of, and judged, as nobody's")
    })
}

fn warnings(config: &Config, set: &PolicySet) -> Vec<String> {
    let mut warnings = Vec::new();
    let asks = set.policies.iter().any(|policy| policy.mode == Mode::Enforce);
    if asks && config.mode != Mode::Enforce {
        let text = "a policy asks for enforcement, but the agent only audits: add --mode enforce";
        warnings.push(text.to_owned());
    }
    let blind = set.policies.iter().filter(|policy| policy.selector.needs_pods());
    let blind = blind.filter(|_| !asks_runtimes(config));
    let blind: Vec<String> = blind.map(|policy| policy.name.to_string()).collect();
    if !blind.is_empty() {
        warnings.push(format!(
            "neither a container runtime nor Kubernetes tells which pods there are, so these policies are about nothing yet (name its socket with cri): {}",
            blind.join(", ")
        ));
    }
    // Of how many would have policies put in force anew with each that comes.
    if set.policies.iter().any(|policy| policy.selector.needs_pods())
        && procfs::containers_of_v1() > 0
    {
        warnings.push(format!("containers are in v1 hierarchies alone: {UNBOUND}"));
    }
    let ended: Vec<String> = set.expired.iter().map(ToString::to_string).collect();
    if !ended.is_empty() {
        warnings.push(format!("these policies have ended: {}", ended.join(", ")));
    }
    warnings
}

/// Whether some container runtime, or Kubernetes, can tell which pods there are.
fn asks_runtimes(config: &Config) -> bool {
    let asked = Settings::find(&config.kubernetes, |name| std::env::var(name).ok());
    let found = || asked.is_some() || SOCKETS.iter().any(|socket| Path::new(socket).exists());
    config.cri.as_ref().map_or_else(found, |sockets| asked.is_some() || !sockets.is_empty())
}

/// What the numbers of policies stand for.
pub(super) fn policy_rules(set: &PolicySet, numbers: &[u16]) -> BTreeMap<u16, PolicyRules> {
    let named = set.policies.iter().zip(numbers).map(|(policy, number)| {
        let default = policy.no_rule();
        let rules = policy.rules.iter().map(ToString::to_string).collect();
        (*number, PolicyRules { policy: policy.name.to_string(), default, rules })
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
