//! Whom services stand for: the pods behind each, and its own addresses before them. In a large cluster
//! some end changes in every second: only the services that it is behind are looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::cluster::Labels;
use super::peers::{FrontPort, Peer};
use super::services::{Service, Slice};

/// Services by whom they stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The peers of each service that selects by labels. One that does not, leads to whoever was written
    /// down, and stands for no pods.
    peers: BTreeMap<String, [Arc<Peer>; 2]>,
    /// The slices of each service.
    slices: BTreeMap<String, BTreeSet<String>>,
    /// Services to be looked at again.
    stale: BTreeSet<String>,
    /// How often one was looked at.
    looks: usize,
}

/// What is known.
pub(super) struct Known<'a> {
    pub(super) namespaces: &'a BTreeMap<String, Labels>,
    pub(super) services: &'a BTreeMap<String, Service>,
    pub(super) slices: &'a BTreeMap<String, Slice>,
}

impl Standing {
    /// This service is there, is another now, or is gone.
    pub(super) fn service(&mut self, name: &str) {
        self.stale.insert(name.to_owned());
    }

    /// This slice, by its key, was behind one service and is behind another now, or the same.
    pub(super) fn slice(&mut self, key: &str, before: Option<&str>, now: Option<&str>) {
        if let (Some(before), true) = (before, before != now)
            && let Some(slices) = self.slices.get_mut(before)
        {
            slices.remove(key);
            if slices.is_empty() {
                self.slices.remove(before);
            }
        }
        if let Some(now) = now {
            self.slices.entry(now.to_owned()).or_default().insert(key.to_owned());
        }
        self.stale.extend(before.into_iter().chain(now).map(str::to_owned));
    }

    /// A namespace has other labels: its services stand for others.
    pub(super) fn namespace(&mut self, name: &str) {
        let within = format!("{name}/");
        let from = (Bound::Included(within.as_str()), Bound::Unbounded);
        let services = self.peers.range::<str, _>(from);
        let services = services.take_while(|(service, _)| service.starts_with(&within));
        self.stale.extend(services.map(|(service, _)| service.clone()));
    }

    /// All may be others.
    pub(super) fn all(&mut self, known: &Known<'_>) {
        self.slices.clear();
        for (key, slice) in known.slices {
            self.slices.entry(slice.service.clone()).or_default().insert(key.clone());
        }
        self.stale.extend(self.peers.keys().cloned());
        self.stale.extend(known.services.keys().cloned());
    }

    /// Looks at those again that may be others.
    pub(super) fn settle(&mut self, known: &Known<'_>) {
        // The services of a namespace share its labels.
        let mut namespaces = BTreeMap::<String, Arc<Labels>>::new();
        for name in std::mem::take(&mut self.stale) {
            self.looks += 1;
            let service = known.services.get(&name).filter(|service| !service.selector.is_empty());
            let Some(service) = service else {
                self.peers.remove(&name);
                continue;
            };
            let slices = self.slices.get(&name).into_iter().flatten();
            let slices: Vec<&Slice> = slices.filter_map(|key| known.slices.get(key)).collect();
            let namespace = name.split_once('/').map_or("", |(namespace, _)| namespace);
            let around = namespaces.entry(namespace.to_owned()).or_insert_with(|| {
                Arc::new(known.namespaces.get(namespace).cloned().unwrap_or_default())
            });
            let made = peers_of(namespace, around, service, &slices);
            // What is as it was stays the very same: whoever compares need not read it.
            if self.peers.get(&name).is_none_or(|before| before.iter().ne(made.iter())) {
                self.peers.insert(name, made);
            }
        }
    }

    /// Everyone who is somewhere, in the services' order. Nothing may be stale.
    pub(super) fn peers(&self) -> impl Iterator<Item = Arc<Peer>> {
        self.peers.values().flatten().filter(|peer| !peer.addresses.is_empty()).cloned()
    }

    /// Names of services that stand for somebody who is meant, wherever they are.
    pub(super) fn meant(&self, is: impl Fn(&Peer) -> bool) -> BTreeSet<String> {
        let meant = self.peers.iter().filter(|(_, [ends, _])| is(ends));
        meant.filter_map(|(name, _)| Some(name.split_once('/')?.1.to_owned())).collect()
    }

    /// How often a service was looked at so far.
    #[cfg(test)]
    pub(super) const fn looks(&self) -> usize {
        self.looks
    }
}

/// The pods behind a service, and the service.
fn peers_of(
    namespace: &str,
    around: &Arc<Labels>,
    service: &Service,
    slices: &[&Slice],
) -> [Arc<Peer>; 2] {
    let mut ends = Peer {
        namespace: namespace.to_owned(),
        namespace_labels: Arc::clone(around),
        labels: Arc::clone(&service.selector),
        addresses: slices.iter().flat_map(|slice| &slice.addresses).copied().collect(),
        front: None,
    };
    let front = Some(front(service, slices));
    let mut before = Peer { addresses: service.addresses.clone(), front, ..ends.clone() };
    ends.settle();
    before.settle();
    [Arc::new(ends), Arc::new(before)]
}

fn front(service: &Service, slices: &[&Slice]) -> Vec<FrontPort> {
    let ends = || slices.iter().flat_map(|slice| &slice.ports);
    let leads = service.ports.iter().flat_map(|own| {
        let theirs = ends().filter(|end| end.name == own.name && end.protocol == own.protocol);
        theirs.map(|end| FrontPort { protocol: own.protocol, port: own.number, target: end.number })
    });
    let mut leads: Vec<FrontPort> = leads.collect();
    leads.sort_unstable();
    leads.dedup();
    leads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::cluster::{Change, Cluster, Told};
    use crate::attribution::services::ServicePort;

    fn labels(key: &str, value: &str) -> Labels {
        [(key.to_owned(), value.to_owned())].into()
    }

    fn port(name: &str, number: u16) -> ServicePort {
        ServicePort { name: name.into(), protocol: 6, number }
    }

    fn service(address: &str, tier: &str) -> Service {
        Service {
            addresses: vec![address.parse().unwrap()],
            selector: labels("tier", tier).into(),
            ports: vec![port("sql", 15_432), port("metrics", 9187)],
        }
    }

    fn slice(service: &str, addresses: &[&str]) -> Slice {
        Slice {
            service: service.into(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ports: vec![port("sql", 5432), port("other", 1)],
        }
    }

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        let by_hand = Service { selector: Arc::default(), ..service("10.96.0.8", "db") };
        let services = vec![
            ("shop/db".to_owned(), service("10.96.0.9", "db")),
            ("shop/else".to_owned(), by_hand),
            ("other/db".to_owned(), service("10.96.0.7", "db")),
        ];
        let slices = vec![("shop/db-1".to_owned(), slice("shop/db", &["10.0.1.5", "10.0.0.5"]))];
        cluster.take(Told::Slices(Change::All(slices)));
        cluster.take(Told::Services(Change::All(services)));
        cluster.take(Told::Namespaces(Change::All(vec![("shop".into(), labels("team", "a"))])));
        cluster
    }

    fn of(cluster: &mut Cluster, namespace: &str) -> Vec<Arc<Peer>> {
        cluster.peers().filter(|peer| peer.namespace == namespace).collect()
    }

    #[test]
    fn a_service_stands_for_the_pods_that_it_selects() {
        let peers = of(&mut cluster(), "shop");
        let [ends, front] = peers.as_slice() else { panic!("{peers:?}") };
        assert_eq!((ends.addresses.len(), &ends.front), (2, &None));
        assert_eq!(
            (&*ends.labels, &*ends.namespace_labels),
            (&labels("tier", "db"), &labels("team", "a"))
        );
        let leads = FrontPort { protocol: 6, port: 15_432, target: 5432 };
        assert_eq!(front.front, Some(vec![leads]), "metrics leads to nobody");
        assert_eq!(front.addresses.len(), 1);
    }

    /// Whatever came one by one, it is as if all had been told at once.
    #[test]
    fn a_change_has_its_own_services_looked_at_and_no_other() {
        let mut cluster = cluster();
        let before: Vec<_> = cluster.peers().collect();
        let looks = |cluster: &Cluster| cluster.standing().looks();
        let (first, other) = (looks(&cluster), of(&mut cluster, "other"));
        let more = slice("shop/db", &["10.0.0.7"]);
        cluster.take(Told::Slices(Change::Is("shop/db-2".into(), more)));
        assert_eq!(of(&mut cluster, "shop")[0].addresses.len(), 3);
        assert_eq!(looks(&cluster) - first, 1);
        assert!(Arc::ptr_eq(&other[0], &of(&mut cluster, "other")[0]), "nobody touched it");
        let moved = slice("other/db", &["10.0.0.7"]);
        cluster.take(Told::Slices(Change::Is("shop/db-2".into(), moved)));
        assert_eq!(of(&mut cluster, "shop")[0].addresses.len(), 2);
        assert_eq!(of(&mut cluster, "other").len(), 2, "it has an end now");
        assert_eq!(looks(&cluster) - first, 3);
        cluster.take(Told::Slices(Change::Gone("shop/db-2".into())));
        assert!(cluster.peers().eq(before.iter().cloned()));
        let same = labels("team", "a");
        let seen = looks(&cluster);
        cluster.take(Told::Namespaces(Change::Is("shop".into(), same)));
        assert!(cluster.peers().eq(before) && looks(&cluster) == seen, "its labels are the same");
        cluster.take(Told::Namespaces(Change::Is("shop".into(), labels("team", "b"))));
        assert_eq!(*of(&mut cluster, "shop")[0].namespace_labels, labels("team", "b"));
        cluster.take(Told::Services(Change::Gone("shop/db".into())));
        assert!(of(&mut cluster, "shop").is_empty());
        let meant = cluster.services_of(|peer| peer.labels.get("tier").is_some());
        assert_eq!(meant, BTreeSet::from(["db".to_owned()]), "the other namespace's");
    }
}
