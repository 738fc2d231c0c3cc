//! Which policies are on which cgroup.

use std::collections::HashMap;
use std::sync::Arc;

use sentinel_common::flow::Direction;
use sentinel_common::limits::MAX_POLICIES_PER_WORKLOAD;
use sentinel_common::policy::{Binding, Request, Tally};
use sentinel_common::verdict::Mode;

use super::judge::Judged;
use super::selector::{Selector, Subject};
use super::set::{Named, PolicySet};
use crate::attribution::pods::Pods;
use crate::attribution::workload;

/// Chooses policies for cgroups.
#[derive(Clone, Debug)]
pub struct Binder {
    /// The policies' numbers, in the order of the set.
    numbers: Vec<u16>,
    cap: Mode,
    stratum: Option<Mode>,
}

/// The policies on a cgroup, by their place in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Places in [`PolicySet::policies`], in their order.
    pub places: Vec<usize>,
}

impl Binder {
    /// `numbers` are those of the set's policies; nothing is above `cap`, and where `stratum` is set it
    /// is what becomes of mining everywhere.
    #[must_use]
    pub const fn new(numbers: Vec<u16>, cap: Mode, stratum: Option<Mode>) -> Self {
        Self { numbers, cap, stratum }
    }

    /// The numbers of the set's policies, in its order.
    #[must_use]
    pub fn numbers(&self) -> &[u16] {
        &self.numbers
    }

    /// As the kernel takes it, and how many of the policies found no room: those under audit go first.
    #[must_use]
    pub fn binding(&self, set: &PolicySet, bound: &Bound, path: &str) -> (Binding, usize) {
        let (places, left_out) = bound.kept(set);
        let mut binding = Binding::NONE;
        let on_it = || places.iter().filter_map(|place| set.policies.get(*place));
        let said = on_it().filter(|policy| !policy.selector.is_node());
        let said = said.filter_map(|policy| policy.stratum).max();
        let stratum = self.stratum.or(said).unwrap_or_else(|| set.node_stratum());
        binding.stratum = stratum.min(self.cap) as u8;
        // Beneath a unit or a container everything is of that unit or container.
        let holds_others = !is_workload(path);
        let is_closed =
            on_it().any(|policy| policy.closed && policy.mode.min(self.cap) == Mode::Enforce);
        if is_closed && holds_others {
            binding.flags |= Binding::CLOSED_BELOW;
        }
        binding.count = places.len() as u8;
        let numbers = places.iter().filter_map(|place| self.numbers.get(*place));
        for (slot, number) in binding.policies.iter_mut().zip(numbers) {
            *slot = *number;
        }
        (binding, left_out)
    }
}

/// Chooses the policies on cgroups, and remembers them while policies change in anything but whom they
/// are about.
#[derive(Clone, Debug, Default)]
pub struct Chooser {
    selectors: Vec<Selector>,
    pods: Arc<Pods>,
    chosen: HashMap<String, Bound>,
}

impl Chooser {
    /// Chooses from this set from now on.
    pub fn follow(&mut self, set: &PolicySet) {
        let selectors = || set.policies.iter().map(|policy| &policy.selector);
        if !self.selectors.iter().eq(selectors()) {
            self.selectors = selectors().cloned().collect();
            self.chosen.clear();
        }
    }

    /// These are the pods from now on.
    pub fn know(&mut self, pods: &Arc<Pods>) {
        if Arc::ptr_eq(&self.pods, pods) {
            return;
        }
        self.pods = Arc::clone(pods);
        if self.asks_for_pods() {
            self.chosen.clear();
        }
    }

    /// Whether any policy is about pods.
    #[must_use]
    pub fn asks_for_pods(&self) -> bool {
        self.selectors.iter().any(Selector::needs_pods)
    }

    /// What was chosen for a path, if anything was yet.
    #[must_use]
    pub fn chosen(&self, path: &str) -> Option<&Bound> {
        self.chosen.get(path)
    }

    /// The policies on the cgroup at this path, in the set that is followed.
    pub fn choose(&mut self, set: &PolicySet, path: &str) -> &Bound {
        if !self.chosen.contains_key(path) {
            let around = match path.rsplit_once('/') {
                Some((around, name)) if !name.is_empty() => {
                    self.choose(set, if around.is_empty() { "/" } else { around }).clone()
                }
                _ => Bound::node(set),
            };
            let pod = self.pods.of_path(path).map(|known| &**known.pod);
            let bound = around.below(set, Subject { path, pod });
            self.chosen.insert(path.to_owned(), bound);
        }
        self.chosen.entry(path.to_owned()).or_default()
    }

    /// The cgroup is gone.
    pub fn forget(&mut self, path: &str) {
        self.chosen.remove(path);
    }
}

/// Whether a cgroup is a unit or a container, and not a folder of such.
fn is_workload(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let shape = workload::of_path(last);
    shape.unit.is_some() || shape.container.is_some()
}

impl Bound {
    /// The policies on what no selector names: those for the whole node.
    #[must_use]
    pub fn node(set: &PolicySet) -> Self {
        let places = set.policies.iter().enumerate();
        let places = places.filter(|(_, policy)| policy.selector.is_node());
        Self { places: places.map(|(place, _)| place).collect() }
    }

    /// The policies on a cgroup within one that has these: what is on a cgroup is on all beneath it.
    #[must_use]
    pub fn below(&self, set: &PolicySet, subject: Subject<'_>) -> Self {
        let mut places = self.places.clone();
        places.extend(set.selecting(subject));
        places.sort_unstable();
        places.dedup();
        Self { places }
    }

    /// The policies on a path, by what its folders are called; whoever asks of many keeps a [`Chooser`].
    #[must_use]
    pub fn of_path(set: &PolicySet, path: &str) -> Self {
        Chooser::default().choose(set, path).clone()
    }

    /// Those that there is room for, and how many found none: those under audit go first.
    #[must_use]
    pub fn kept(&self, set: &PolicySet) -> (Vec<usize>, usize) {
        let left_out = self.places.len().saturating_sub(MAX_POLICIES_PER_WORKLOAD);
        if left_out == 0 {
            return (self.places.clone(), 0);
        }
        let is_enforced = |place: &usize| {
            set.policies.get(*place).map(|policy| policy.mode) == Some(Mode::Enforce)
        };
        let (mut kept, audited): (Vec<_>, Vec<_>) =
            self.places.iter().copied().partition(is_enforced);
        kept.extend(audited);
        kept.truncate(MAX_POLICIES_PER_WORKLOAD);
        kept.sort_unstable();
        (kept, left_out)
    }

    /// What they make of a request: the kernel's answer, where `named` is what is known of the address.
    #[must_use]
    pub fn judge(
        &self,
        set: &PolicySet,
        cap: Mode,
        direction: Direction,
        request: &Request,
        named: Option<Named<'_>>,
    ) -> Judged {
        let mut tally = Tally::default();
        let (places, _) = self.kept(set);
        let policies = places.iter().filter_map(|place| set.policies.get(*place));
        for (place, policy) in (0..).zip(policies) {
            tally.add(place, policy.head(cap), direction, policy.find(request, direction, named));
        }
        let decision = tally.decide(request);
        let policy = places.get(usize::from(decision.place)).copied();
        let found = policy.and_then(|place| set.policies.get(place));
        let rule = found.map(|policy| decision.rule(policy.find(request, direction, named)));
        Judged { decision, policy, rule: rule.unwrap_or_default() }
    }
}
