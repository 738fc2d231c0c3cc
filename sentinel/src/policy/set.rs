//! Compiled policies, and the numbers they have in the kernel.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use sentinel_common::address::Address;
use sentinel_common::flow::Direction;
use sentinel_common::limits::MAX_POLICIES;
use sentinel_common::policy::{Match, PolicyHead, PrefixRules, Request};
use sentinel_common::verdict::Mode;
use time::OffsetDateTime;

use super::fqdn::Pattern;
use super::selector::{Index, Selector, Subject};
use super::trie::Trie;
use super::workloads::Meant;

/// A thing for each [`Direction`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways<T> {
    /// Of what goes out.
    pub egress: T,
    /// Of what comes in.
    pub ingress: T,
}

impl<T> Ways<T> {
    /// The one for this direction.
    #[must_use]
    pub const fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

/// What is known of an address besides itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named<'a> {
    /// The name that is asked about: its patterns are taken to lead there.
    pub asked: Option<&'a str>,
    /// The patterns that the kernel has learned to lead there.
    pub learned: &'a [Pattern],
}

impl Named<'_> {
    fn is_meant_by(self, pattern: &Pattern) -> bool {
        self.asked.is_some_and(|name| pattern.matches(name)) || self.learned.contains(pattern)
    }
}

/// A policy's name: unique within its namespace, as in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyName {
    /// `None` is for the whole node.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(out, "{namespace}/{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// The file's name as given.
    pub file: String,
    /// Line of the rule's first entry, from 1.
    pub line: u32,
    /// `egress`, `egressDeny`, `ingress` or `ingressDeny`.
    pub list: &'static str,
    /// Place in that list, from 0.
    pub index: usize,
}

impl fmt::Display for RuleSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}[{}] ({}:{})", self.list, self.index, self.file, self.line)
    }
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// The file it stands in, as given.
    pub file: String,
    /// Line of its name, from 1.
    pub line: u32,
    /// Whom it is about.
    pub selector: Selector,
    /// `Off` where it is about nothing but mining.
    pub mode: Mode,
    /// What a mining-pool message leads to, if it says.
    pub stratum: Option<Mode>,
    /// Whether a cgroup in its reach that nobody has named yet may reach nothing.
    pub closed: bool,
    /// When it ends.
    pub expires: Option<OffsetDateTime>,
    /// Whether what no rule allows is denied.
    pub isolates: Ways<bool>,
    /// Rules on prefixes.
    pub prefixes: Ways<Trie>,
    /// Rules on names of destinations.
    pub names: BTreeMap<Pattern, PrefixRules>,
    /// Patterns whose answers may lie in private ranges.
    pub private: Vec<Pattern>,
    /// Whom its rules on workloads mean.
    pub workloads: Meant,
    /// Its rules; number 1 comes first.
    pub rules: Vec<RuleSource>,
}

impl Policy {
    /// What the kernel knows of it before it asks for rules; nothing is above `cap`.
    #[must_use]
    pub fn head(&self, cap: Mode) -> PolicyHead {
        let bits = |way: Ways<bool>| u8::from(way.egress) | u8::from(way.ingress) << 1;
        let Ways { egress, ingress } = &self.prefixes;
        PolicyHead {
            mode: self.mode.min(cap) as u8,
            isolates: bits(self.isolates),
            prefixes: bits(Ways { egress: !egress.is_empty(), ingress: !ingress.is_empty() }),
            names: u8::from(!self.names.is_empty()),
        }
    }

    /// What it says of a request; `name` is what the address was resolved from, where that is known. Rules
    /// that demand a server's name in the handshake say so in the [`Match`].
    #[must_use]
    pub fn find(&self, request: &Request, direction: Direction, named: Option<Named<'_>>) -> Match {
        let trie = self.prefixes.of(direction);
        let found = trie.lookup(&request.remote).map_or(Match::NONE, |rules| rules.find(request));
        let (Some(by), Direction::Egress) = (named, direction) else { return found };
        let named = self.names.iter().filter(|(pattern, _)| by.is_meant_by(pattern));
        named.fold(found, |found, (_, rules)| found.or(rules.find(request)))
    }

    /// What an event names where none of its rules speaks.
    #[must_use]
    pub fn no_rule(&self) -> String {
        format!("no rule ({}:{})", self.file, self.line)
    }

    /// The rule with this number.
    #[must_use]
    pub fn rule(&self, number: u16) -> Option<&RuleSource> {
        self.rules.get(usize::from(number).checked_sub(1)?)
    }
}

/// All policies in force, in the order in which they are named where several say the same: those for
/// the node first, then by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// The policies; one that is as it was in the set before is the very same.
    pub policies: Vec<Arc<Policy>>,
    /// When the first of them ends.
    pub next_expiry: Option<OffsetDateTime>,
    /// Policies that have ended already.
    pub expired: Vec<PolicyName>,
    index: Index,
}

impl PolicySet {
    /// These policies, in their order; `expired` have ended already.
    #[must_use]
    pub(super) fn new(policies: Vec<Arc<Policy>>, expired: Vec<PolicyName>) -> Self {
        let next_expiry = policies.iter().filter_map(|policy| policy.expires).min();
        let index = Index::new(policies.iter().map(|policy| &policy.selector));
        Self { policies, next_expiry, expired, index }
    }

    /// Places of the policies that select this very cgroup, in no order.
    pub(super) fn selecting(&self, subject: Subject<'_>) -> impl Iterator<Item = usize> {
        let candidates = self.index.candidates(subject).into_iter();
        candidates.filter(move |place| {
            self.policies.get(*place).is_some_and(|policy| policy.selector.selects(subject))
        })
    }

    /// The strictest of what becomes of traffic in a direction; `Off` when no policy is about it.
    #[must_use]
    pub fn mode(&self, direction: Direction) -> Mode {
        let about = self.policies.iter().filter(|policy| {
            *policy.isolates.of(direction)
                || !policy.prefixes.of(direction).is_empty()
                || (direction == Direction::Egress && (!policy.names.is_empty() || policy.closed))
        });
        about.map(|policy| policy.mode).max().unwrap_or(Mode::Off)
    }

    /// What a mining-pool message leads to where no policy on its workload says: the strictest of what
    /// the policies for the node say, or `Enforce`.
    #[must_use]
    pub fn node_stratum(&self) -> Mode {
        let said = self.policies.iter().filter(|policy| policy.selector.is_node());
        said.filter_map(|policy| policy.stratum).max().unwrap_or(Mode::Enforce)
    }

    /// The most that any policy makes of a mining-pool message.
    #[must_use]
    pub fn stratum(&self) -> Mode {
        let said = self.policies.iter().filter_map(|policy| policy.stratum).max();
        said.unwrap_or(Mode::Off).max(self.node_stratum())
    }

    /// Whether it matters which workload a packet is of: some policy is not about the whole node, or
    /// tells known workloads from others.
    #[must_use]
    pub fn asks_for_workloads(&self) -> bool {
        self.policies.iter().any(|policy| policy.closed || !policy.selector.is_node())
    }

    /// Whether other addresses are meant when pods come and go.
    #[must_use]
    pub fn asks_for_peers(&self) -> bool {
        self.policies.iter().any(|policy| policy.workloads.is_anybody())
    }

    /// Policies with rules on workloads.
    pub fn on_workloads(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().map(AsRef::as_ref).filter(|policy| policy.workloads.is_anybody())
    }

    /// Whether rules on workloads mean the same in both, whoever is there.
    #[must_use]
    pub fn means_the_same(&self, other: &Self) -> bool {
        let said = |policy: &'_ Policy| (policy.name.namespace.clone(), policy.workloads.clone());
        self.on_workloads().map(said).eq(other.on_workloads().map(said))
    }

    /// Addresses that policies allow alone, by a `/32` or a `/128`.
    #[must_use]
    pub fn allowed_addresses(&self) -> Vec<Address> {
        let tries = self.policies.iter().map(|policy| &policy.prefixes.egress);
        tries.flat_map(Trie::addresses).collect()
    }

    /// Prefixes in all policies together.
    #[must_use]
    pub fn prefixes(&self) -> usize {
        let prefixes = self.policies.iter().map(|policy| &policy.prefixes);
        prefixes.map(|Ways { egress, ingress }| egress.len() + ingress.len()).sum()
    }
}

/// The numbers of policies, which events carry. A policy keeps its number while it stands in some set,
/// and a number that is free is given again as late as possible, since events may still name it.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    by_name: HashMap<PolicyName, u16>,
    last: u16,
}

impl Numbers {
    /// Numbers for the policies of a set, in its order. A set has fewer than there are numbers.
    pub fn assign(&mut self, set: &PolicySet) -> Vec<u16> {
        let names: Vec<&PolicyName> = set.policies.iter().map(|policy| &policy.name).collect();
        let kept: HashMap<PolicyName, u16> = names
            .iter()
            .filter_map(|name| self.by_name.get(*name).map(|number| ((*name).clone(), *number)))
            .collect();
        self.by_name = kept;
        let mut taken = vec![false; MAX_POLICIES];
        for number in self.by_name.values() {
            if let Some(slot) = taken.get_mut(usize::from(*number)) {
                *slot = true;
            }
        }
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let number = match self.by_name.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.next_free(&taken);
                    if let Some(slot) = taken.get_mut(usize::from(number)) {
                        *slot = true;
                    }
                    self.by_name.insert(name.clone(), number);
                    number
                }
            };
            numbers.push(number);
        }
        numbers
    }

    fn next_free(&mut self, taken: &[bool]) -> u16 {
        for _ in 1..MAX_POLICIES {
            self.last = if usize::from(self.last) + 1 >= MAX_POLICIES { 1 } else { self.last + 1 };
            if !taken.get(usize::from(self.last)).copied().unwrap_or(true) {
                break;
            }
        }
        self.last
    }
}
