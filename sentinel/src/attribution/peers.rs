//! Whom a rule on workloads can mean: pods, and the services before them, by their labels.
//!
//! Of this node's pods all is known. Of another node's pod it is known that it has the labels by which its
//! service selects it, and its address from the service's ends: watching every pod of a cluster from every
//! one of its nodes is what nobody's API server bears.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::cluster::Labels;
use super::pods::Pods;
use super::services::{Service, Slice};

/// Pods, or what stands for some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer {
    /// Their namespace.
    pub namespace: String,
    /// Labels that its namespace has.
    pub namespace_labels: Labels,
    /// Labels that all of them have.
    pub labels: Labels,
    /// Where they are.
    pub addresses: Vec<IpAddr>,
    /// Which of a service's ports lead to which of theirs; `None` where the addresses are the pods' own.
    pub front: Option<Vec<FrontPort>>,
}

/// A port of a service, and of the pods behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrontPort {
    /// Protocol number.
    pub protocol: u8,
    /// The service's.
    pub port: u16,
    /// The pods'.
    pub target: u16,
}

/// All of them, in an order of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Nobody twice.
    pub peers: Vec<Peer>,
}

impl Peers {
    /// Puts them in order.
    #[must_use]
    pub fn new(mut peers: Vec<Peer>) -> Self {
        peers.retain(|peer| !peer.addresses.is_empty());
        for peer in &mut peers {
            peer.addresses.sort_unstable();
            peer.addresses.dedup();
        }
        peers.sort_unstable();
        peers.dedup();
        Self { peers }
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self::new(self.peers.iter().chain(&others.peers).cloned().collect())
    }
}

/// This node's pods.
pub fn of_pods(pods: &Pods) -> impl Iterator<Item = Peer> {
    pods.live().map(|pod| Peer {
        namespace: pod.namespace.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        addresses: pod.addresses.clone(),
        front: None,
    })
}

/// What is before and behind services that select by labels. A service that does not, leads to whoever was
/// written down, and stands for no pods.
pub fn of_services(
    namespaces: &BTreeMap<String, Labels>,
    services: &BTreeMap<String, Service>,
    slices: &BTreeMap<String, Slice>,
) -> Vec<Peer> {
    let mut behind: HashMap<&str, Vec<&Slice>> = HashMap::new();
    for slice in slices.values() {
        behind.entry(&slice.service).or_default().push(slice);
    }
    let mut peers = Vec::new();
    for (name, service) in services.iter().filter(|(_, service)| !service.selector.is_empty()) {
        let peer = of_service(namespaces, name, service);
        let slices = behind.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let addresses = slices.iter().flat_map(|slice| &slice.addresses).copied().collect();
        peers.push(Peer { addresses, ..peer.clone() });
        let front = Some(front(service, slices));
        peers.push(Peer { addresses: service.addresses.clone(), front, ..peer });
    }
    peers
}

/// Whom a service stands for, wherever they are.
fn of_service(namespaces: &BTreeMap<String, Labels>, name: &str, service: &Service) -> Peer {
    let namespace = name.split_once('/').map_or("", |(namespace, _)| namespace);
    Peer {
        namespace: namespace.to_owned(),
        namespace_labels: namespaces.get(namespace).cloned().unwrap_or_default(),
        labels: service.selector.clone(),
        ..Peer::default()
    }
}

/// Services that stand for somebody who is meant, by name alone.
pub fn meant(
    namespaces: &BTreeMap<String, Labels>,
    services: &BTreeMap<String, Service>,
    is: impl Fn(&Peer) -> bool,
) -> BTreeSet<String> {
    let selecting = services.iter().filter(|(_, service)| !service.selector.is_empty());
    let meant = selecting.filter(|(name, service)| is(&of_service(namespaces, name, service)));
    meant.filter_map(|(name, _)| Some(name.split_once('/')?.1.to_owned())).collect()
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
    use crate::attribution::services::ServicePort;

    fn labels(key: &str, value: &str) -> Labels {
        [(key.to_owned(), value.to_owned())].into()
    }

    fn port(name: &str, number: u16) -> ServicePort {
        ServicePort { name: name.into(), protocol: 6, number }
    }

    #[test]
    fn a_service_stands_for_the_pods_that_it_selects() {
        let service = Service {
            addresses: vec!["10.96.0.9".parse().unwrap()],
            selector: labels("tier", "db"),
            ports: vec![port("sql", 15_432), port("metrics", 9187)],
        };
        let by_hand = Service { selector: Labels::new(), ..service.clone() };
        let slice = Slice {
            service: "shop/db".into(),
            addresses: vec!["10.0.0.5".parse().unwrap(), "10.0.1.5".parse().unwrap()],
            ports: vec![port("sql", 5432), port("other", 1)],
        };
        let services = [("shop/db".to_owned(), service), ("shop/else".to_owned(), by_hand)].into();
        let slices = [("shop/db-1".to_owned(), slice)].into();
        let namespaces = [("shop".to_owned(), labels("team", "a"))].into();
        let peers = Peers::new(of_services(&namespaces, &services, &slices)).peers;
        let [ends, front] = peers.as_slice() else { panic!("{peers:?}") };
        assert_eq!((&*ends.namespace, ends.addresses.len(), &ends.front), ("shop", 2, &None));
        assert_eq!(
            (&ends.labels, &ends.namespace_labels),
            (&labels("tier", "db"), &labels("team", "a"))
        );
        let leads = FrontPort { protocol: 6, port: 15_432, target: 5432 };
        assert_eq!(front.front, Some(vec![leads]), "metrics leads to nobody");
        assert_eq!(front.addresses.len(), 1);
    }

    #[test]
    fn nobody_is_there_twice_or_nowhere() {
        let peer = Peer { addresses: vec!["10.0.0.5".parse().unwrap(); 2], ..Peer::default() };
        let peers = Peers::new(vec![peer.clone(), Peer::default(), peer]);
        assert_eq!(peers.peers.len(), 1);
        assert_eq!(peers.with(&peers), peers);
    }
}
