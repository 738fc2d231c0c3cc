//! Whom a rule on workloads can mean: pods, and the services before them, by their labels.
//!
//! Of this node's pods all is known. Of another node's pod it is known that it has the labels by which its
//! service selects it, and its address from the service's ends: watching every pod of a cluster from every
//! one of its nodes is what nobody's API server bears.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cluster::Labels;
use super::pods::Pods;

/// Pods, or what stands for some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer {
    /// Their namespace.
    pub namespace: String,
    /// Labels that its namespace has.
    #[serde(with = "shared")]
    pub namespace_labels: Arc<Labels>,
    /// Labels that all of them have.
    #[serde(with = "shared")]
    pub labels: Arc<Labels>,
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

/// All of them, in an order of their own. Clones share each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Nobody twice.
    #[serde(with = "shared_each")]
    pub peers: Vec<Arc<Peer>>,
}

impl Peers {
    /// Puts them in order.
    #[must_use]
    pub fn new(peers: Vec<Peer>) -> Self {
        Self { peers: in_order(peers.into_iter().map(Arc::new).collect()) }
    }

    /// This node's pods, and what services stand for: both in order already, and neither is the other.
    #[must_use]
    pub fn of(pods: &[Arc<Peer>], services: impl Iterator<Item = Arc<Peer>>) -> Self {
        Self { peers: pods.iter().cloned().chain(services).collect() }
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        if others.peers.is_empty() {
            return self.clone();
        }
        Self { peers: in_order(self.peers.iter().chain(&others.peers).cloned().collect()) }
    }
}

fn in_order(mut peers: Vec<Arc<Peer>>) -> Vec<Arc<Peer>> {
    peers.retain(|peer| !peer.addresses.is_empty());
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// This node's pods that have addresses of their own.
#[must_use]
pub fn of_pods(pods: &Pods) -> Vec<Arc<Peer>> {
    let live = pods.live().map(|pod| {
        let mut peer = Peer {
            namespace: pod.namespace.clone(),
            namespace_labels: Arc::new(pod.namespace_labels.clone()),
            labels: Arc::new(pod.labels.clone()),
            addresses: pod.addresses.clone(),
            front: None,
        };
        peer.settle();
        Arc::new(peer)
    });
    in_order(live.collect())
}

impl Peer {
    /// Puts its addresses in order, each once.
    pub(super) fn settle(&mut self) {
        self.addresses.sort_unstable();
        self.addresses.dedup();
    }
}

/// The pods of a node as policies tell them apart: those of one namespace and with the same labels are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(BTreeSet<Kind>);

/// Pods of one namespace that have the same labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: Labels,
    /// Their namespace's labels.
    pub namespace_labels: Labels,
}

impl Kinds {
    /// Of all pods that a cgroup may be named by: those that are gone are, for a while.
    #[must_use]
    pub fn of(pods: &Pods) -> Self {
        let kind = |pod: &super::pods::Pod| Kind {
            namespace: pod.namespace.clone(),
            labels: pod.labels.clone(),
            namespace_labels: pod.namespace_labels.clone(),
        };
        Self(pods.named().map(|pod| kind(pod)).collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }
}

/// What is shared in memory is written out.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        it: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        it.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// The same, of each in a list. Whoever wrote it may have had them in another order.
mod shared_each {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Peer;

    pub(super) fn serialize<S: Serializer>(all: &[Arc<Peer>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(AsRef::<Peer>::as_ref))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Arc<Peer>>, D::Error> {
        Ok(Vec::<Peer>::deserialize(from)?.into_iter().map(Arc::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_there_twice_or_nowhere() {
        let peer = Peer { addresses: vec!["10.0.0.5".parse().unwrap()], ..Peer::default() };
        let peers = Peers::new(vec![peer.clone(), Peer::default(), peer]);
        assert_eq!(peers.peers.len(), 1);
        assert_eq!(peers.with(&peers), peers);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let labels = Arc::new(Labels::from([("tier".to_owned(), "db".to_owned())]));
        let peer = Peer { labels, addresses: vec!["fd00::5".parse().unwrap()], ..Peer::default() };
        let peers = Peers::new(vec![peer]);
        let text = serde_json::to_string(&peers).unwrap();
        assert_eq!(serde_json::from_str::<Peers>(&text).unwrap(), peers);
        assert!(text.contains(r#""labels":{"tier":"db"}"#), "{text}");
    }
}
