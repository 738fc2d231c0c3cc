//! A set of policies as the kernel takes it.

use std::collections::BTreeMap;

use sentinel_common::address::Address;
use sentinel_common::config::Modes;
use sentinel_common::flow::Direction;
use sentinel_common::limits::MAX_POLICIES;
use sentinel_common::policy::{Binding, PolicyHead, PolicyTable, PrefixRules};
use sentinel_common::verdict::Mode;

use crate::names::Opens;
use crate::policy::{Binder, Bound, Numbers, Pattern, PolicySet};

/// Whose rules on which prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixEntry {
    /// Of what goes out, or of what comes in: a [`Direction`].
    pub direction: u8,
    /// The policy's number.
    pub policy: u16,
    /// The prefix, v4-mapped, in network byte order.
    pub address: Address,
    /// Its length, of 128 bits.
    pub len: u8,
}

/// A set of policies as the kernel takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyImage {
    /// What each kind of finding leads to.
    pub modes: Modes,
    /// Some policies are about workloads: a packet's cgroup is asked for.
    pub by_workload: bool,
    /// Some policies are about what comes in.
    pub on_ingress: bool,
    /// The policies, by number, and those for the node.
    pub table: Box<PolicyTable>,
    /// Rules on prefixes, sorted.
    pub prefixes: Vec<(PrefixEntry, PrefixRules)>,
    /// Rules on names of destinations: the policy's number, the pattern, and what is said of it.
    pub names: Vec<(u16, Pattern, PrefixRules)>,
    /// What each pattern may open; one of several policies is one.
    pub patterns: BTreeMap<Pattern, Opens>,
    /// The policies on each known cgroup, by id.
    pub workloads: BTreeMap<u64, Binding>,
}

impl PolicyImage {
    /// No policy: only what `modes` say.
    #[must_use]
    pub fn empty(modes: Modes) -> Self {
        let heads = [PolicyHead::default(); MAX_POLICIES];
        Self {
            modes,
            by_workload: false,
            on_ingress: false,
            table: Box::new(PolicyTable { node: Binding::NONE, heads }),
            prefixes: Vec::new(),
            names: Vec::new(),
            patterns: BTreeMap::new(),
            workloads: BTreeMap::new(),
        }
    }

    /// The image of a set on a node whose cgroups nobody knows.
    #[must_use]
    pub fn of_node(modes: Modes, set: &PolicySet) -> Self {
        let binder = Binder::new(Numbers::default().assign(set), Mode::Enforce, None);
        Self::new(modes, set, &binder, Mode::Enforce, BTreeMap::new())
    }

    /// The image of a set; `workloads` are the policies on each cgroup.
    #[must_use]
    pub fn new(
        modes: Modes,
        set: &PolicySet,
        binder: &Binder,
        cap: Mode,
        workloads: BTreeMap<u64, Binding>,
    ) -> Self {
        let mut image = Self::empty(modes);
        image.by_workload = set.asks_for_workloads();
        image.on_ingress = set.mode(Direction::Ingress) != Mode::Off;
        (image.table.node, _) = binder.binding(set, &Bound::node(set), "/");
        for (policy, number) in set.policies.iter().zip(binder.numbers()) {
            if let Some(head) = image.table.heads.get_mut(usize::from(*number)) {
                *head = policy.head(cap);
            }
            for (pattern, rules) in &policy.names {
                image.names.push((*number, pattern.clone(), *rules));
                let may = image.patterns.entry(pattern.clone()).or_default();
                may.private |= policy.private.contains(pattern);
            }
            for direction in [Direction::Egress, Direction::Ingress] {
                let entries = policy.prefixes.of(direction).entries();
                image.prefixes.extend(entries.map(|(address, len, rules)| {
                    let direction = direction as u8;
                    (PrefixEntry { direction, policy: *number, address, len }, *rules)
                }));
            }
        }
        image.prefixes.sort_unstable_by_key(|(entry, _)| *entry);
        image.workloads = workloads;
        image
    }
}
