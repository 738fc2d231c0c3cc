//! Policies by the texts that they were read from. Of thousands one changes at a time, and pods come and go
//! all the time: a text that is as it was is not read again, and a policy is compiled again only where its
//! rules on workloads mean others than before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sentinel_common::limits::{MAX_POLICIES, MAX_PREFIXES};
use serde_saphyr::Location;
use time::OffsetDateTime;

use super::compile::policy;
use super::diagnostic::Diagnostic;
use super::load::Source;
use super::parse::{self, Parsed};
use super::set::{Policy, PolicySet};
use super::workloads::Meant;
use crate::attribution::peers::{Kinds, Peer, Peers};

/// Compiles these files into the policies that are in force at a time.
///
/// # Errors
/// Everything that is wrong, each with its place: at most one finding per file where the file is
/// not even understood, all of them otherwise.
pub fn compile(sources: &[Source], now: OffsetDateTime) -> Result<PolicySet, Vec<Diagnostic>> {
    compile_among(sources, now, &Peers::default())
}

/// The same where these are the pods that rules on workloads may mean.
///
/// # Errors
/// As [`compile`].
pub fn compile_among(
    sources: &[Source],
    now: OffsetDateTime,
    peers: &Peers,
) -> Result<PolicySet, Vec<Diagnostic>> {
    Library::default().read(sources, Among { peers, here: None }).set(now)
}

/// Whom policies are among.
#[derive(Clone, Copy, Debug)]
pub struct Among<'a> {
    /// Whom rules on workloads may mean.
    pub peers: &'a Peers,
    /// The pods of this node. The rules of a policy that is on nobody here mean nobody: no connection asks
    /// it. `None` where any workload may be asked about.
    pub here: Option<&'a Kinds>,
}

impl Among<'_> {
    /// Whom the rules of a policy mean.
    fn meant_by(&self, policy: &Policy) -> Vec<Arc<Peer>> {
        let Policy { selector, workloads, name, .. } = policy;
        if !workloads.is_anybody() || self.here.is_some_and(|here| !selector.may_select(here)) {
            return Vec::new();
        }
        let own = name.namespace.as_deref();
        self.peers.peers.iter().filter(|peer| workloads.is(own, peer)).cloned().collect()
    }
}

/// Texts, and what they come to.
#[derive(Clone, Debug, Default)]
pub struct Library {
    files: Vec<Arc<File>>,
    work: Work,
}

/// What it took to make a library of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Texts that were read.
    pub read: usize,
    /// Policies that were compiled.
    pub compiled: usize,
    /// Those of them whose rules mean somebody.
    pub resolved: usize,
}

#[derive(Debug)]
struct File {
    source: Source,
    /// Its policies, or why it is not understood.
    entries: Result<Vec<Entry>, Diagnostic>,
}

#[derive(Clone, Debug)]
struct Entry {
    policy: Arc<Policy>,
    findings: Vec<Diagnostic>,
    /// Where its name stands.
    place: Location,
    /// What it was made of, where rules on workloads have it made again.
    document: Option<Arc<Parsed>>,
    /// Whom these rules mean.
    meant: Vec<Arc<Peer>>,
}

impl Library {
    /// These texts; of those that are here already nothing is read again.
    #[must_use]
    pub fn read<'a>(
        &self,
        sources: impl IntoIterator<Item = &'a Source>,
        among: Among<'_>,
    ) -> Self {
        let known = self.files.iter().map(|file| (file.source.name.as_str(), file));
        let known: HashMap<&str, &Arc<File>> = known.collect();
        let mut work = Work::default();
        let files = sources.into_iter().map(|source| {
            match known.get(source.name.as_str()).filter(|file| file.source == *source) {
                Some(file) => file.among(among, &mut work).unwrap_or_else(|| Arc::clone(file)),
                None => Arc::new(File::read(source, among, &mut work)),
            }
        });
        Self { files: files.collect(), work }
    }

    /// The same texts among others, or `None` where no rule on workloads means anybody else.
    #[must_use]
    pub fn among(&self, among: Among<'_>) -> Option<Self> {
        let mut work = Work::default();
        let of =
            |file: &Arc<File>| file.among(among, &mut work).unwrap_or_else(|| Arc::clone(file));
        let files = self.files.iter().map(of).collect();
        (work != Work::default()).then_some(Self { files, work })
    }

    /// What it took.
    #[must_use]
    pub const fn work(&self) -> Work {
        self.work
    }

    /// The policies that are in force at a time.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn set(&self, now: OffsetDateTime) -> Result<PolicySet, Vec<Diagnostic>> {
        let mut findings: Vec<Diagnostic> =
            self.files.iter().filter_map(|file| file.entries.as_ref().err()).cloned().collect();
        self.check_names(&mut findings);
        findings.extend(self.entries().flat_map(|entry| &entry.findings).cloned());
        let set = in_force(self.entries().map(|entry| Arc::clone(&entry.policy)).collect(), now);
        self.check_room(&set, &mut findings);
        if findings.is_empty() { Ok(set) } else { Err(findings) }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.files.iter().filter_map(|file| file.entries.as_ref().ok()).flatten()
    }

    fn check_names(&self, findings: &mut Vec<Diagnostic>) {
        let mut seen = BTreeMap::new();
        for entry in self.entries() {
            let Policy { name, file, .. } = entry.policy.as_ref();
            if let Some(first) = seen.insert(name, file) {
                let message = format!("a policy named \"{name}\" stands in {first} already");
                findings.push(entry.finding(message, "give each its own name"));
            }
        }
    }

    fn check_room(&self, set: &PolicySet, findings: &mut Vec<Diagnostic>) {
        let Some(last) = self.entries().last() else { return };
        if set.policies.len() >= MAX_POLICIES {
            let (found, room) = (set.policies.len(), MAX_POLICIES - 1);
            let message = format!("{found} policies are more than the {room} there is room for");
            findings.push(last.finding(message, "join some"));
        }
        let found = set.prefixes();
        if found > MAX_PREFIXES {
            let message =
                format!("{found} prefixes are more than the {MAX_PREFIXES} there is room for");
            findings.push(last.finding(message, "merge neighbours into shorter ones"));
        }
    }
}

/// Takes those out that have ended, and puts the rest in order.
fn in_force(policies: Vec<Arc<Policy>>, now: OffsetDateTime) -> PolicySet {
    let has_ended = |policy: &Arc<Policy>| policy.expires.is_some_and(|end| end <= now);
    let (ended, mut policies): (Vec<_>, Vec<_>) = policies.into_iter().partition(has_ended);
    policies.sort_by(|one, other| {
        let is_for_one = |policy: &Policy| !policy.selector.is_node();
        (is_for_one(one), &one.name).cmp(&(is_for_one(other), &other.name))
    });
    PolicySet::new(policies, ended.into_iter().map(|policy| policy.name.clone()).collect())
}

impl File {
    fn read(source: &Source, among: Among<'_>, work: &mut Work) -> Self {
        work.read += 1;
        let entries = match parse::parse(source) {
            Ok(documents) => {
                Ok(documents.into_iter().map(|parsed| Entry::of(parsed, among, work)).collect())
            }
            Err(finding) => Err(*finding),
        };
        Self { source: source.clone(), entries }
    }

    /// The same among others, or `None` where it says nothing else.
    fn among(&self, among: Among<'_>, work: &mut Work) -> Option<Arc<Self>> {
        let entries = self.entries.as_ref().ok()?;
        let mut is_other = false;
        let of = |entry: &Entry| match entry.among(among, work) {
            Some(other) => {
                is_other = true;
                other
            }
            None => entry.clone(),
        };
        // Few have such rules: of all others nothing is copied.
        if entries.iter().all(|entry| entry.document.is_none()) {
            return None;
        }
        let entries = entries.iter().map(of).collect();
        is_other.then(|| Arc::new(Self { source: self.source.clone(), entries: Ok(entries) }))
    }
}

impl Entry {
    fn of(parsed: Parsed, among: Among<'_>, work: &mut Work) -> Self {
        let place = parsed.document.metadata.name.referenced;
        let alone = Self::compile(&parsed, &[], work);
        if !Meant::of(&parsed.document.spec).is_anybody() {
            let (policy, findings) = alone;
            return Self { policy, findings, place, document: None, meant: Vec::new() };
        }
        let meant = among.meant_by(&alone.0);
        let (policy, findings) =
            if meant.is_empty() { alone } else { Self::compile(&parsed, &meant, work) };
        Self { policy, findings, place, document: Some(Arc::new(parsed)), meant }
    }

    fn among(&self, among: Among<'_>, work: &mut Work) -> Option<Self> {
        let document = self.document.as_ref()?;
        let meant = among.meant_by(&self.policy);
        if meant == self.meant {
            return None;
        }
        let (policy, findings) = Self::compile(document, &meant, work);
        Some(Self { policy, findings, meant, ..self.clone() })
    }

    fn compile(
        parsed: &Parsed,
        meant: &[Arc<Peer>],
        work: &mut Work,
    ) -> (Arc<Policy>, Vec<Diagnostic>) {
        work.compiled += 1;
        work.resolved += usize::from(!meant.is_empty());
        let mut findings = Vec::new();
        (Arc::new(policy(parsed, meant, &mut findings)), findings)
    }

    fn finding(&self, message: String, help: &str) -> Diagnostic {
        parse::at(&self.policy.file, Some(self.place), message, Some(help.to_owned()))
    }
}
