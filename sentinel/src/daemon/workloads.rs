//! Which policies are on which cgroup: chosen for all of them with every new set, and for each that
//! comes later as it comes.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sentinel_common::policy::Binding;

use tokio::sync::watch::Sender;

use super::prepare::PreparedPolicy;
use crate::api::Shared;
use crate::attribution::pods::Pods;
use crate::attribution::workload::of_path;
use crate::config::Config;
use crate::datapath::{DatapathError, PolicyImage};
use crate::policy::{Binder, Chooser, Numbers, PolicySet};
use crate::watch::cgroup_events::{CgroupEvents, Change};
use crate::watch::cgroupfs::Tree;

/// How long the watch may sleep before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(200);

/// The cgroups that are known, and the policies that are chosen from.
#[derive(Debug)]
pub struct Workloads {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Ids by path.
    cgroups: BTreeMap<String, u64>,
    set: Arc<PolicySet>,
    binder: Option<Binder>,
    chooser: Chooser,
    numbers: Numbers,
    events: Option<CgroupEvents>,
}

/// A set with the policies on every known cgroup; as long as it lives, no other cgroup is bound.
#[derive(Debug)]
pub struct Plan<'a> {
    state: MutexGuard<'a, State>,
    set: Arc<PolicySet>,
    binder: Binder,
    /// What the kernel is to be given.
    pub image: Arc<PolicyImage>,
}

impl Plan<'_> {
    /// The numbers of the set's policies.
    #[must_use]
    pub fn numbers(&self) -> &[u16] {
        self.binder.numbers()
    }
}

impl Workloads {
    /// Knows the cgroups of the tree that `folder` lies in, and begins with these pods.
    #[must_use]
    pub fn of(folder: &Path, pods: &Arc<Pods>) -> Self {
        let mut state = State::default();
        state.chooser.know(pods);
        // Without a tree there is only the node.
        if let Some(root) = Tree::mounted().map(|tree| tree.folder("/")).filter(|_| folder.exists())
        {
            match CgroupEvents::start(&root) {
                Ok((events, found)) => {
                    state.events = Some(events);
                    for change in found {
                        state.take(change);
                    }
                }
                Err(error) => tracing::warn!(
                    "cgroups cannot be watched ({error}): policies on workloads count for nothing; \
                     raise fs.inotify.max_user_watches"
                ),
            }
        }
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a prepared set comes to on this node.
    pub fn plan(&self, prepared: &PreparedPolicy, config: &Config) -> Plan<'_> {
        let mut state = self.state();
        let set = Arc::clone(&prepared.set);
        let numbers = state.numbers.assign(&set);
        let binder = Binder::new(numbers, config.mode, config.stratum);
        let workloads =
            if set.asks_for_workloads() { state.bindings(&set, &binder) } else { BTreeMap::new() };
        let image =
            Arc::new(PolicyImage::new(prepared.modes, &set, &binder, config.mode, workloads));
        Plan { state, set, binder, image }
    }

    /// These are the pods from now on: the policies on their cgroups may be others. How many are.
    pub fn know(&self, shared: &Shared, pods: &Arc<Pods>) -> usize {
        let mut state = self.state();
        let bindings = state.know(pods);
        for (id, binding) in &bindings {
            // Under the lock, as in `bind`.
            told(shared.with_datapath(|datapath| datapath.bind(*id, Some(binding))));
        }
        bindings.len()
    }

    /// The plan is in force: cgroups that come are bound by it.
    pub fn applied(&self, plan: Plan<'_>) {
        let Plan { mut state, set, binder, .. } = plan;
        state.set = set;
        state.binder = Some(binder);
    }
}

impl State {
    /// The policies on every known cgroup.
    fn bindings(&mut self, set: &PolicySet, binder: &Binder) -> BTreeMap<u64, Binding> {
        self.chooser.follow(set);
        let mut overfull = 0;
        let bindings = self.cgroups.iter().map(|(path, id)| {
            let (binding, left_out) = binder.binding(set, self.chooser.choose(set, path), path);
            overfull += usize::from(left_out > 0);
            (*id, binding)
        });
        let bindings = bindings.collect();
        if overfull > 0 {
            tracing::warn!("{overfull} cgroups have more policies than there is room for");
        }
        bindings
    }

    /// The cgroups of containers whose policies are others now that these are the pods.
    fn know(&mut self, pods: &Arc<Pods>) -> Vec<(u64, Binding)> {
        let (binder, set) = (self.binder.clone(), Arc::clone(&self.set));
        let Some(binder) = binder.filter(|_| self.chooser.asks_for_pods()) else {
            self.chooser.know(pods);
            return Vec::new();
        };
        let contained = self.cgroups.iter().filter(|(path, _)| of_path(path).is_contained());
        let before: Vec<_> = contained
            .map(|(path, id)| (path.clone(), *id, self.chooser.chosen(path).cloned()))
            .collect();
        self.chooser.know(pods);
        let changed = before.into_iter().filter_map(|(path, id, before)| {
            let bound = self.chooser.choose(&set, &path);
            let is_other = before.as_ref() != Some(bound);
            is_other.then(|| (id, binder.binding(&set, bound, &path).0))
        });
        changed.collect()
    }

    /// The policies on a cgroup, by the folders that it lies in.
    fn binding(&mut self, path: &str) -> Option<Binding> {
        let (binder, set) = (self.binder.as_ref()?, Arc::clone(&self.set));
        self.chooser.follow(&set);
        Some(binder.binding(&set, self.chooser.choose(&set, path), path).0)
    }

    /// Notes a change; returns the cgroup's id, and its policies if it is there.
    fn take(&mut self, change: Change) -> Option<(u64, Option<Binding>)> {
        match change {
            Change::Appeared(path, id) => {
                let binding = self.binding(&path);
                self.cgroups.insert(path, id);
                binding.map(|binding| (id, Some(binding)))
            }
            Change::Vanished(path) => {
                self.chooser.forget(&path);
                self.cgroups.remove(&path).map(|id| (id, None))
            }
            Change::Lost => None,
        }
    }
}

/// Has the kernel made ready for the next set, in a thread of its own.
pub fn prepare_next(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let work = move || {
        if let Some(Err(error)) = shared.with_datapath(|datapath| datapath.prepare_next()) {
            tracing::warn!("the next policy will take longer to write: {error}");
        }
    };
    if let Err(error) = thread::Builder::new().name("policies".to_owned()).spawn(work) {
        tracing::warn!("the next policy will take longer to write: {error}");
    }
}

/// The watch over cgroups: ends when it is dropped.
#[derive(Debug)]
pub struct Watcher(Arc<AtomicBool>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Starts the watch.
///
/// # Errors
/// When the system has no room for a thread.
pub fn watch(
    shared: &Arc<Shared>,
    workloads: &Arc<Workloads>,
    containers: Sender<()>,
) -> io::Result<Watcher> {
    let ended = Arc::new(AtomicBool::new(false));
    let watcher = Watcher(Arc::clone(&ended));
    let Some(mut events) = workloads.state().events.take() else { return Ok(watcher) };
    let (shared, workloads) = (Arc::clone(shared), Arc::clone(workloads));
    let work = move || {
        while !ended.load(Ordering::Acquire) {
            let changes = events.next(PATIENCE).unwrap_or_else(|error| {
                tracing::warn!("cgroups cannot be watched: {error}");
                thread::sleep(PATIENCE);
                vec![Change::Lost]
            });
            let mut changes = VecDeque::from(changes);
            while let Some(change) = changes.pop_front() {
                if change == Change::Lost {
                    changes.clear();
                    changes.extend(look_again(&mut events, &workloads));
                    continue;
                }
                if is_of_container(&change) {
                    containers.send_replace(());
                }
                bind(&shared, &workloads, change);
            }
        }
    };
    thread::Builder::new().name("cgroups".to_owned()).spawn(work)?;
    Ok(watcher)
}

/// Whether a container's cgroup came or went: its runtime has something to tell.
fn is_of_container(change: &Change) -> bool {
    match change {
        Change::Appeared(path, _) | Change::Vanished(path) => of_path(path).is_contained(),
        Change::Lost => false,
    }
}

/// What is to be done after events were lost: all that is there appears, and the rest is gone.
fn look_again(events: &mut CgroupEvents, workloads: &Workloads) -> Vec<Change> {
    let mut found = match events.restart() {
        Ok(found) => found,
        Err(error) => {
            // What is known still holds; nothing says that it is gone.
            tracing::warn!(
                "events of cgroups were lost and the tree cannot be read again: {error}"
            );
            return Vec::new();
        }
    };
    let there: HashSet<&str> = found
        .iter()
        .filter_map(|change| match change {
            Change::Appeared(path, _) => Some(path.as_str()),
            Change::Vanished(_) | Change::Lost => None,
        })
        .collect();
    let known = &workloads.state().cgroups;
    let gone: Vec<String> =
        known.keys().filter(|path| !there.contains(path.as_str())).cloned().collect();
    found.extend(gone.into_iter().map(Change::Vanished));
    found
}

fn bind(shared: &Shared, workloads: &Workloads, change: Change) {
    let mut state = workloads.state();
    let Some((id, binding)) = state.take(change) else { return };
    // Under the lock: a new set must not come between.
    told(shared.with_datapath(|datapath| datapath.bind(id, binding.as_ref())));
}

fn told(bound: Option<Result<(), DatapathError>>) {
    if let Some(Err(error)) = bound {
        tracing::warn!("a cgroup's policies cannot be set, those around it count: {error}");
    }
}
