//! Whom a policy is about.

use std::collections::BTreeMap;
use std::fmt;

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::model::LabelSelector;
use crate::attribution::cluster::Labels;
use crate::attribution::peers::{Kind, Kinds};
pub use crate::attribution::pods::Pod;

/// What a policy can tell workloads apart by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The cgroup's path from the cgroup2 root.
    pub path: &'a str,
    /// The pod that it is of, where that is known.
    pub pod: Option<&'a Pod>,
}

/// All of what is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    pub(super) namespace: Option<String>,
    pub(super) pods: Option<LabelSelector>,
    pub(super) namespaces: Option<LabelSelector>,
    pub(super) unit: Option<Glob>,
    pub(super) cgroup: Option<Glob>,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        let text = |glob: &Option<Glob>| glob.as_ref().map(|glob| glob.text.clone());
        (&self.namespace, &self.pods, &self.namespaces)
            == (&other.namespace, &other.pods, &other.namespaces)
            && text(&self.unit) == text(&other.unit)
            && text(&self.cgroup) == text(&other.cgroup)
    }
}

impl Eq for Selector {}

impl Selector {
    /// Whether it is about everything on the node.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        self.namespace.is_none()
            && self.pods.is_none()
            && self.namespaces.is_none()
            && self.unit.is_none()
            && self.cgroup.is_none()
    }

    /// Whether it can only be answered by someone who knows the pods.
    #[must_use]
    pub const fn needs_pods(&self) -> bool {
        self.namespace.is_some() || self.pods.is_some() || self.namespaces.is_some()
    }

    /// Whether this very cgroup is selected; what lies beneath it then is too.
    #[must_use]
    pub fn selects(&self, subject: Subject<'_>) -> bool {
        let part = subject.path.rsplit('/').next().unwrap_or_default();
        let named = |pod: &Pod| self.names(&pod.namespace, &pod.labels, &pod.namespace_labels);
        (!self.needs_pods() || subject.pod.is_some_and(named))
            && self.unit.as_ref().is_none_or(|glob| glob.matches(part))
            && self.cgroup.as_ref().is_none_or(|glob| glob.matches(subject.path))
    }
}

impl Selector {
    /// Whether pods of this namespace and with these labels are among those that it names.
    fn names(&self, namespace: &str, labels: &Labels, namespace_labels: &Labels) -> bool {
        self.namespace.as_ref().is_none_or(|name| name == namespace)
            && self.pods.as_ref().is_none_or(|pods| holds(pods, labels))
            && self.namespaces.as_ref().is_none_or(|around| holds(around, namespace_labels))
    }

    /// Whether it may select something on a node with these pods.
    pub(super) fn may_select(&self, here: &Kinds) -> bool {
        let named = |kind: &Kind| self.names(&kind.namespace, &kind.labels, &kind.namespace_labels);
        !self.needs_pods() || here.iter().any(named)
    }
}

/// In words, as the keys are written.
impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = |selector: &LabelSelector| {
            let pairs = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
            pairs.collect::<Vec<_>>().join(",")
        };
        let parts = [
            self.namespace.as_ref().map(|name| format!("namespace {name}")),
            self.pods.as_ref().map(|pods| format!("pods {{{}}}", labels(pods))),
            self.namespaces.as_ref().map(|around| format!("namespaces {{{}}}", labels(around))),
            self.unit.as_ref().map(|unit| format!("unit {}", unit.text)),
            self.cgroup.as_ref().map(|cgroup| format!("cgroup {}", cgroup.text)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            out.write_str("the node")
        } else {
            out.write_str(&parts.join(" and "))
        }
    }
}

/// Whether these labels are among those.
pub(super) fn holds(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Selectors by what they need, so that a cgroup is not held against every one of thousands.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Those without a pattern, and all where the patterns are too many to be put together.
    others: Vec<usize>,
    units: Patterns,
    cgroups: Patterns,
}

#[derive(Clone, Debug, Default)]
struct Patterns {
    set: GlobSet,
    /// The selector of each pattern.
    places: Vec<usize>,
}

impl Index {
    pub(super) fn new<'a>(selectors: impl Iterator<Item = &'a Selector> + Clone) -> Self {
        let of = |pattern: fn(&Selector) -> Option<&Glob>| {
            let globs = selectors.clone().enumerate();
            let globs = globs.filter_map(|(place, it)| pattern(it).map(|glob| (place, glob)));
            let mut builder = GlobSetBuilder::new();
            let mut places = Vec::new();
            for (place, glob) in globs {
                builder.add(glob.matcher.glob().clone());
                places.push(place);
            }
            builder.build().map(|set| Patterns { set, places })
        };
        let cgroups = of(|selector| selector.cgroup.as_ref());
        // One with both patterns is found by its cgroup's.
        let units = of(|selector| selector.unit.as_ref().filter(|_| selector.cgroup.is_none()));
        let (Ok(cgroups), Ok(units)) = (cgroups, units) else {
            let others = selectors.enumerate().map(|(place, _)| place).collect();
            return Self { others, ..Self::default() };
        };
        let plain = selectors.enumerate();
        let plain = plain.filter(|(_, it)| it.cgroup.is_none() && it.unit.is_none());
        Self { others: plain.map(|(place, _)| place).collect(), units, cgroups }
    }

    /// Every selector that may select this cgroup, and some that may not.
    pub(super) fn candidates(&self, subject: Subject<'_>) -> Vec<usize> {
        let part = subject.path.rsplit('/').next().unwrap_or_default();
        let mut found = self.others.clone();
        for (patterns, text) in [(&self.units, part), (&self.cgroups, subject.path)] {
            let matches = patterns.set.matches(text);
            found.extend(matches.iter().filter_map(|at| patterns.places.get(*at)));
        }
        found
    }
}

impl PartialEq for Index {
    /// It says nothing that the selectors do not.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

/// A shell pattern: `*` and `?` do not cross a slash, `**` does.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    matcher: GlobMatcher,
}

impl Glob {
    /// Reads a pattern; the error is a message.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build();
        let glob = glob.map_err(|error| format!("\"{text}\" is no pattern: {}", error.kind()))?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}
