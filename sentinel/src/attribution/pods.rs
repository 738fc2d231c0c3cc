//! Which containers and pods there are, and which of them a cgroup is of: one table, made anew from
//! what the runtimes list. What is gone is remembered a little longer: events of it may be on their way.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::workload::{self, Workload};

/// Containers and sandboxes that are known at a time. A node of Kubernetes has some hundreds.
pub const CAPACITY: usize = 16_384;
/// How long what is gone is remembered, nanoseconds.
const REMEMBERED: u64 = 60_000_000_000;

/// A pod, as its runtime or Kubernetes tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Kubernetes' number for it.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its namespace's labels.
    pub namespace_labels: BTreeMap<String, String>,
    /// Its own addresses; none where it has the node's.
    pub addresses: Vec<IpAddr>,
    /// What it comes from, where Kubernetes tells.
    pub owner: Option<Owner>,
}

/// A container of a pod, or the sandbox that all of them share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name within the pod; `None` for the sandbox.
    pub name: Option<String>,
    /// What it was made from.
    pub image: Option<String>,
    /// The pod.
    pub pod: Arc<Pod>,
    /// Whether it is there to run; what has ended keeps its name for events only.
    pub live: bool,
}

/// What one runtime lists: containers and sandboxes by their ids.
pub type Listing = Arc<BTreeMap<String, Container>>;

/// The pods that are there, for the next agent: until somebody has told it of them, policies on pods would be
/// on nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPods(Vec<KnownPod>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownPod {
    pod: Pod,
    containers: Vec<KnownContainer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownContainer {
    id: String,
    name: Option<String>,
    image: Option<String>,
}

/// What is known of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The pod.
    pub pod: &'a Arc<Pod>,
    /// The container, where it is one.
    pub container: Option<&'a Container>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    containers: HashMap<String, Container>,
    /// Pods by uid.
    pods: HashMap<String, Arc<Pod>>,
    /// Since when what is not listed any more is gone.
    gone: HashMap<String, u64>,
    /// Some runtime answers.
    watched: bool,
}

impl Pods {
    /// What these listings say, which are all that there are; `before` is the last table. Also how many
    /// containers found no room.
    #[must_use]
    pub fn listed(listings: &[Listing], before: &Self, now: u64) -> (Self, usize) {
        let mut table = Self { watched: !listings.is_empty(), ..Self::default() };
        let mut left_out = 0;
        for (id, container) in listings.iter().flat_map(|listing| listing.iter()) {
            if table.containers.len() >= CAPACITY {
                left_out += 1;
                continue;
            }
            table.name(container);
            table.containers.insert(id.clone(), container.clone());
        }
        for (id, container) in &before.containers {
            if table.containers.contains_key(id) {
                continue;
            }
            let since = before.gone.get(id).copied().unwrap_or(now);
            if now.saturating_sub(since) < REMEMBERED && table.containers.len() < CAPACITY {
                let container = Container { live: false, ..container.clone() };
                table.name(&container);
                table.containers.insert(id.clone(), container);
                table.gone.insert(id.clone(), since);
            }
        }
        (table, left_out)
    }

    /// Those that the agent before has left. Nobody waits for what they do not name: no runtime has answered.
    #[must_use]
    pub fn remembered(known: KnownPods) -> Self {
        let mut listing = BTreeMap::new();
        for KnownPod { pod, containers } in known.0 {
            let pod = Arc::new(pod);
            for KnownContainer { id, name, image } in containers {
                let pod = Arc::clone(&pod);
                listing.insert(id, Container { name, image, pod, live: true });
            }
        }
        let (pods, _) = Self::listed(&[Arc::new(listing)], &Self::default(), 0);
        Self { watched: false, ..pods }
    }

    /// What the next agent is to begin with.
    #[must_use]
    pub fn known(&self) -> KnownPods {
        let mut known = BTreeMap::<&str, KnownPod>::new();
        for (id, container) in self.containers.iter().filter(|(_, container)| container.live) {
            let Container { name, image, pod, .. } = container.clone();
            let uid = container.pod.uid.as_str();
            let new = || KnownPod { pod: Pod::clone(&pod), containers: Vec::new() };
            let containers = &mut known.entry(uid).or_insert_with(new).containers;
            containers.push(KnownContainer { id: id.clone(), name, image });
        }
        for pod in known.values_mut() {
            pod.containers.sort_by(|one, other| one.id.cmp(&other.id));
        }
        KnownPods(known.into_values().collect())
    }

    /// A pod has a sandbox for each attempt to start it: what is known of a live one counts.
    fn name(&mut self, container: &Container) {
        let pod = &container.pod;
        if container.live || !self.pods.contains_key(&pod.uid) {
            self.pods.insert(pod.uid.clone(), Arc::clone(pod));
        }
    }

    /// Whom a cgroup path is of.
    #[must_use]
    pub fn of_path(&self, path: &str) -> Option<Identity<'_>> {
        // Most paths on most hosts need not be read.
        if self.containers.is_empty() { None } else { self.of(&workload::of_path(path)) }
    }

    /// Whom a cgroup is of, by what its path says.
    #[must_use]
    pub fn of(&self, shape: &Workload) -> Option<Identity<'_>> {
        let container = shape.container.as_ref().and_then(|id| self.containers.get(id));
        if let Some(container) = container {
            let named = container.name.is_some().then_some(container);
            return Some(Identity { pod: &container.pod, container: named });
        }
        let pod = self.pods.get(shape.pod_uid.as_ref()?)?;
        Some(Identity { pod, container: None })
    }

    /// Whether a runtime is still to tell of this cgroup: it is a pod's, and its container is not known.
    #[must_use]
    pub fn awaits(&self, path: &str) -> bool {
        if !self.watched {
            return false;
        }
        let shape = workload::of_path(path);
        match (&shape.pod_uid, &shape.container) {
            (None, _) => false,
            (Some(uid), None) => !self.pods.contains_key(uid),
            (Some(_), Some(id)) => !self.containers.contains_key(id),
        }
    }

    /// The pods that are there, each once.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let sandboxes = self.containers.values();
        sandboxes.filter(|one| one.live && one.name.is_none()).map(|one| &one.pod)
    }

    /// The pods that a cgroup may be named by: those that are gone are, for a while.
    pub fn named(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// How many pods and containers are there.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let live = self.containers.values().filter(|one| one.live);
        let containers = live.filter(|one| one.name.is_some()).count();
        (self.live().count(), containers)
    }

    /// Whether both say the same of every cgroup and every pod that is there.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.watched == other.watched && self.containers == other.containers
    }
}

/// The table in force; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<Mutex<Arc<Pods>>>);

impl Directory {
    /// The table as it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Pods> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another table in force.
    pub fn set(&self, pods: Arc<Pods>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pods;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "12345678-1234-1234-1234-123456789abc";

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn listing(address: &str, live: bool) -> Listing {
        let pod = Arc::new(Pod {
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: UID.into(),
            addresses: vec![address.parse().unwrap()],
            ..Pod::default()
        });
        let sandbox = Container { name: None, image: None, pod: Arc::clone(&pod), live };
        let image = Some("registry/web:1".to_owned());
        let container = Container { name: Some("app".into()), image, pod, live };
        Arc::new([(id('a'), sandbox), (id('b'), container)].into())
    }

    #[test]
    fn a_path_leads_to_container_and_pod() {
        let (pods, left_out) = Pods::listed(&[listing("10.0.0.5", true)], &Pods::default(), 1);
        assert_eq!((left_out, pods.counts()), (0, (1, 1)));
        let of = |path: &str| {
            pods.of_path(path).map(|it| {
                let name = it.container.and_then(|container| container.name.clone());
                (it.pod.name.clone(), name)
            })
        };
        let pod = format!("/kubepods/burstable/pod{UID}");
        let (web, app) = ("web-1".to_owned(), Some("app".to_owned()));
        assert_eq!(of(&pod), Some((web.clone(), None)));
        assert_eq!(of(&format!("{pod}/{}", id('b'))), Some((web.clone(), app.clone())));
        assert_eq!(of(&format!("{pod}/{}/inner", id('b'))), Some((web.clone(), app)));
        assert_eq!(of(&format!("{pod}/{}", id('a'))), Some((web.clone(), None)), "the sandbox");
        assert_eq!(of(&format!("/k8s.io/{}", id('a'))), Some((web, None)));
        assert_eq!(of(&format!("/docker/{}", id('c'))), None);
        assert_eq!(of("/system.slice/x.service"), None);
        assert!(!pods.awaits(&pod) && !pods.awaits(&format!("{pod}/{}", id('b'))));
        assert!(pods.awaits(&format!("{pod}/{}", id('c'))), "its container may be told of yet");
        assert!(!pods.awaits(&format!("/docker/{}", id('c'))), "no runtime tells of it");
        assert!(!Pods::default().awaits(&pod), "nobody to wait for");
    }

    #[test]
    fn what_is_gone_is_named_a_little_longer_and_is_not_there() {
        let (pods, _) = Pods::listed(&[listing("10.0.0.5", true)], &Pods::default(), 1);
        let (after, _) = Pods::listed(&[Listing::default()], &pods, 2);
        assert_eq!(after.counts(), (0, 0));
        assert!(
            after.live().next().is_none() && after.of_path(&format!("/x/{}", id('b'))).is_some()
        );
        let (later, _) = Pods::listed(&[Listing::default()], &after, 1 + REMEMBERED);
        assert!(later.of_path(&format!("/x/{}", id('b'))).is_some(), "gone since 2");
        let (later, _) = Pods::listed(&[Listing::default()], &later, 2 + REMEMBERED);
        assert!(later.of_path(&format!("/x/{}", id('b'))).is_none());
        assert!(later.pods.is_empty() && later.gone.is_empty());
    }

    #[test]
    fn the_next_agent_begins_with_the_pods_that_are_there() {
        let (pods, _) = Pods::listed(&[listing("10.0.0.5", true)], &Pods::default(), 1);
        let text = serde_json::to_string(&pods.known()).unwrap();
        let next = Pods::remembered(serde_json::from_str(&text).unwrap());
        assert_eq!((next.counts(), next.containers), (pods.counts(), pods.containers.clone()));
        assert!(!next.watched);
        let (over, _) = Pods::listed(&[listing("10.0.0.5", false)], &pods, 2);
        assert_eq!(over.known(), KnownPods::default());
    }

    #[test]
    fn a_pods_live_sandbox_counts() {
        let mut both = BTreeMap::clone(&listing("10.0.0.5", true));
        let old = listing("10.0.0.4", false).get(&id('a')).cloned().unwrap();
        both.insert(id('9'), old.clone());
        both.insert(id('f'), old);
        let (pods, _) = Pods::listed(&[Arc::new(both)], &Pods::default(), 1);
        let pod = pods.of_path(&format!("/kubepods/pod{UID}")).unwrap().pod;
        assert_eq!(pod.addresses, ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(pods.counts().0, 1);
    }

    #[test]
    fn it_never_outgrows_its_bound() {
        let one = listing("10.0.0.5", true).get(&id('a')).cloned().unwrap();
        let many = (0..CAPACITY + 7).map(|number| (format!("{number:064}"), one.clone()));
        let (pods, left_out) = Pods::listed(&[Arc::new(many.collect())], &Pods::default(), 1);
        assert_eq!((left_out, pods.containers.len()), (7, CAPACITY));
        let (pods, _) = Pods::listed(&[listing("10.0.0.6", true)], &pods, 2);
        assert_eq!(pods.containers.len(), CAPACITY, "what is gone makes room");
    }
}
