//! What Kubernetes tells of this node: its pods with their owners, the labels of namespaces, and which
//! service an address is of. Joined with what the container runtimes list; either does without the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::peers::Peer;
use super::pods::{Container, Listing, Pod};
use super::services::{Service, Services, Slice};
use super::standing::{Known, Standing};

/// Objects of a kind that are known at a time.
pub const CAPACITY: usize = 65_536;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What has become of the objects of a kind; keys are `namespace/name`, or the name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// These are all.
    All(Vec<(String, T)>),
    /// This one is there, or is another now.
    Is(String, T),
    /// This one is gone.
    Gone(String),
}

impl<T> Change<T> {
    /// The object that it is about; nothing where it is about all.
    fn key(&self) -> Option<&str> {
        match self {
            Self::All(_) => None,
            Self::Is(key, _) | Self::Gone(key) => Some(key),
        }
    }
}

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPod {
    /// The pod; `namespace_labels` is not filled.
    pub pod: Pod,
    /// Its containers: id, name, image, and whether they run.
    pub containers: Vec<(String, String, String, bool)>,
    /// Whether it still has something to run.
    pub live: bool,
}

/// What Kubernetes told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Of this node's pods.
    Pods(Change<ClusterPod>),
    /// Of namespaces' labels.
    Namespaces(Change<Labels>),
    /// Of services.
    Services(Change<Service>),
    /// Of the ends behind services.
    Slices(Change<Slice>),
}

/// All that it told.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: BTreeMap<String, ClusterPod>,
    namespaces: BTreeMap<String, Labels>,
    services: BTreeMap<String, Service>,
    slices: BTreeMap<String, Slice>,
    standing: Standing,
    /// The pods of this node have been told of; and services, and the ends behind them.
    knows_pods: bool,
    knows_services: bool,
    knows_slices: bool,
}

impl Cluster {
    /// Takes what was told; how many objects found no room.
    pub fn take(&mut self, told: Told) -> usize {
        match told {
            Told::Pods(change) => {
                self.knows_pods |= matches!(change, Change::All(_));
                apply(&mut self.pods, change)
            }
            Told::Namespaces(change) => self.take_namespaces(change),
            Told::Services(change) => self.take_services(change),
            Told::Slices(change) => self.take_slices(change),
        }
    }

    fn take_namespaces(&mut self, change: Change<Labels>) -> usize {
        let name = change.key().map(str::to_owned);
        // Its annotations change far more often than its labels do.
        let is_same =
            matches!(&change, Change::Is(key, labels) if self.namespaces.get(key) == Some(labels));
        let left_out = apply(&mut self.namespaces, change);
        match name {
            Some(_) if is_same => {}
            Some(name) => self.standing.namespace(&name),
            None => self.stand_anew(),
        }
        left_out
    }

    fn take_services(&mut self, change: Change<Service>) -> usize {
        let name = change.key().map(str::to_owned);
        self.knows_services |= name.is_none();
        let left_out = apply(&mut self.services, change);
        match name {
            Some(name) => self.standing.service(&name),
            None => self.stand_anew(),
        }
        left_out
    }

    fn take_slices(&mut self, change: Change<Slice>) -> usize {
        let key = change.key().map(str::to_owned);
        self.knows_slices |= key.is_none();
        let service =
            |slices: &BTreeMap<String, Slice>| Some(slices.get(key.as_deref()?)?.service.clone());
        let before = service(&self.slices);
        let left_out = apply(&mut self.slices, change);
        let now = service(&self.slices);
        match key {
            Some(key) => self.standing.slice(&key, before.as_deref(), now.as_deref()),
            None => self.stand_anew(),
        }
        left_out
    }

    fn stand_anew(&mut self) {
        let Self { namespaces, services, slices, standing, .. } = self;
        standing.all(&Known { namespaces, services, slices });
    }

    /// The pods of this node, and the namespaces, that are known.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.pods.values().filter(|pod| pod.live).count(), self.namespaces.len())
    }

    /// What the runtimes list, with what Kubernetes knows of the same pods, and what it knows besides.
    #[must_use]
    pub fn join(&self, listings: &[Listing]) -> Vec<Listing> {
        let own = self.pods.values().map(|known| (known, Arc::new(self.full(known, None))));
        let own: Vec<_> = own.collect();
        let by_uid: HashMap<&str, &ClusterPod> =
            own.iter().map(|(known, _)| (known.pod.uid.as_str(), *known)).collect();
        let mut listed = BTreeMap::new();
        for (known, pod) in &own {
            let live = known.live;
            // There is no id for what the containers share: the uid names no container.
            let sandbox = Container { name: None, image: None, pod: Arc::clone(pod), live };
            listed.insert(known.pod.uid.clone(), sandbox);
            for (id, name, image, live) in &known.containers {
                let (name, image) = (Some(name.clone()), Some(image.clone()));
                let container = Container { name, image, pod: Arc::clone(pod), live: *live };
                listed.insert(id.clone(), container);
            }
        }
        let mut seen = HashSet::new();
        let others = listings.iter().map(|listing| {
            let joined = listing.iter().map(|(id, container)| {
                let pod = &container.pod;
                if container.name.is_none() && container.live {
                    seen.insert(pod.uid.clone());
                }
                let pod = match by_uid.get(pod.uid.as_str()) {
                    Some(known) => Arc::new(self.full(known, Some(pod))),
                    None => self.in_namespace(pod),
                };
                (id.clone(), Container { pod, ..container.clone() })
            });
            Arc::new(joined.collect::<BTreeMap<_, _>>())
        });
        let others: Vec<Listing> = others.collect();
        // A pod whose sandbox a runtime lists is there once.
        listed.retain(|id, container| container.name.is_some() || !seen.contains(id));
        let own = self.knows_pods.then(|| Arc::new(listed));
        own.into_iter().chain(others).collect()
    }

    /// Which service an address is of, and how many addresses found no room.
    #[must_use]
    pub fn services(&self) -> (Services, usize) {
        Services::of(&self.services, &self.slices)
    }

    /// Whether all was told of once: this node's pods, and where they are asked for services.
    #[must_use]
    pub const fn is_complete(&self, services: bool) -> bool {
        self.knows_pods && (!services || (self.knows_services && self.knows_slices))
    }

    /// The pods before and behind services; those that are as they were are the same [`Arc`].
    pub fn peers(&mut self) -> impl Iterator<Item = Arc<Peer>> {
        self.settled().peers()
    }

    /// Names of services that lead to somebody who is meant.
    #[must_use]
    pub fn services_of(&mut self, is_meant: impl Fn(&Peer) -> bool) -> BTreeSet<String> {
        self.settled().meant(is_meant)
    }

    #[cfg(test)]
    pub(super) const fn standing(&self) -> &Standing {
        &self.standing
    }

    fn settled(&mut self) -> &Standing {
        let Self { namespaces, services, slices, standing, .. } = self;
        standing.settle(&Known { namespaces, services, slices });
        standing
    }

    /// A pod with all that is known of it.
    fn full(&self, known: &ClusterPod, listed: Option<&Pod>) -> Pod {
        let mut pod = known.pod.clone();
        let listed_labels = || listed.map(|pod| pod.namespace_labels.clone());
        let labels = self.namespaces.get(&pod.namespace).cloned().or_else(listed_labels);
        pod.namespace_labels = labels.unwrap_or_default();
        if let (true, Some(listed)) = (pod.addresses.is_empty(), listed) {
            pod.addresses.clone_from(&listed.addresses);
        }
        pod
    }

    /// A pod that only a runtime knows.
    fn in_namespace(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        match self.namespaces.get(&pod.namespace) {
            Some(labels) if *labels != pod.namespace_labels => {
                Arc::new(Pod { namespace_labels: labels.clone(), ..Pod::clone(pod) })
            }
            _ => Arc::clone(pod),
        }
    }
}

fn apply<T>(known: &mut BTreeMap<String, T>, change: Change<T>) -> usize {
    match change {
        Change::All(all) => {
            let left_out = all.len().saturating_sub(CAPACITY);
            *known = all.into_iter().take(CAPACITY).collect();
            left_out
        }
        Change::Is(key, object) => {
            if known.len() >= CAPACITY && !known.contains_key(&key) {
                return 1;
            }
            known.insert(key, object);
            0
        }
        Change::Gone(key) => {
            known.remove(&key);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::pods::Pods;

    const UID: &str = "12345678-1234-1234-1234-123456789abc";

    fn labels(key: &str, value: &str) -> Labels {
        [(key.to_owned(), value.to_owned())].into()
    }

    fn web() -> ClusterPod {
        let pod = Pod {
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: UID.into(),
            labels: labels("app", "web"),
            ..Pod::default()
        };
        let container = ("b".repeat(64), "app".to_owned(), "web:1".to_owned(), true);
        ClusterPod { pod, containers: vec![container], live: true }
    }

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.take(Told::Pods(Change::All(vec![("shop/web-1".into(), web())])));
        cluster.take(Told::Namespaces(Change::Is("shop".into(), labels("team", "a"))));
        cluster
    }

    fn runtime() -> Listing {
        let pod = Arc::new(Pod {
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: UID.into(),
            labels: labels("app", "before"),
            addresses: vec!["10.0.0.5".parse().unwrap()],
            ..Pod::default()
        });
        let sandbox = Container { name: None, image: None, pod, live: true };
        Arc::new([("a".repeat(64), sandbox)].into())
    }

    #[test]
    fn kubernetes_alone_names_pods_and_containers() {
        let (pods, _) = Pods::listed(&cluster().join(&[]), &Pods::default(), 1);
        assert_eq!(pods.counts(), (1, 1));
        let path = format!("/kubepods/burstable/pod{UID}/{}", "b".repeat(64));
        let found = pods.of_path(&path).unwrap();
        assert_eq!(found.container.unwrap().name.as_deref(), Some("app"));
        assert_eq!(found.pod.namespace_labels, labels("team", "a"));
        let other = format!("/kubepods/burstable/pod{UID}/{}", "c".repeat(64));
        assert_eq!(pods.of_path(&other).unwrap().pod.name, "web-1", "its container comes later");
    }

    #[test]
    fn what_both_know_is_one_pod() {
        let (pods, _) = Pods::listed(&cluster().join(&[runtime()]), &Pods::default(), 1);
        assert_eq!(pods.counts(), (1, 1));
        let pod = pods.of_path(&format!("/kubepods/pod{UID}")).unwrap().pod;
        assert_eq!(pod.labels, labels("app", "web"), "labels change while a pod runs");
        assert_eq!(pod.addresses.len(), 1);
        assert_eq!(pod.namespace_labels, labels("team", "a"));
    }

    #[test]
    fn what_a_runtime_alone_knows_is_in_its_namespace() {
        let mut cluster = cluster();
        cluster.take(Told::Pods(Change::Gone("shop/web-1".into())));
        let (pods, _) = Pods::listed(&cluster.join(&[runtime()]), &Pods::default(), 1);
        let pod = pods.of_path(&format!("/kubepods/pod{UID}")).unwrap().pod;
        assert_eq!(
            (&pod.labels, &pod.namespace_labels),
            (&labels("app", "before"), &labels("team", "a"))
        );
        assert!(Cluster::default().join(&[]).is_empty(), "nobody has told of anything");
    }

    #[test]
    fn it_never_outgrows_its_bound() {
        let mut cluster = Cluster::default();
        let many = (0..CAPACITY + 3).map(|number| (number.to_string(), Labels::new()));
        assert_eq!(cluster.take(Told::Namespaces(Change::All(many.collect()))), 3);
        assert_eq!(cluster.take(Told::Namespaces(Change::Is("new".into(), Labels::new()))), 1);
        assert_eq!(cluster.counts().1, CAPACITY);
    }
}
