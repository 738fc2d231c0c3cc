//! What the node's object in Kubernetes says of the machine.

use std::collections::BTreeMap;

use super::{clean, provider_id};
use crate::event::node::Node;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
/// The number of an instance of Google's, whose provider id has its name.
const GOOGLE_INSTANCE: &str = "container.googleapis.com/instance_id";

/// What is needed of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeObject {
    /// Its name.
    pub name: String,
    /// `spec.providerID`.
    pub provider_id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Reads it.
#[must_use]
pub fn of_object(object: &NodeObject) -> Node {
    let mut node = provider_id::read(object.provider_id.trim()).unwrap_or_default();
    let label = |key: &str| object.labels.get(key).and_then(|value| clean(value));
    node.name = clean(&object.name);
    node.region = label(REGION);
    node.zone = label(ZONE).or(node.zone);
    if node.provider.as_deref() == Some("gcp") {
        let number = object.annotations.get(GOOGLE_INSTANCE).and_then(|number| clean(number));
        node.instance = number.or(node.instance);
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(provider_id: &str) -> NodeObject {
        let labels = [(REGION, "europe-west1"), (ZONE, "europe-west1-b")];
        NodeObject {
            name: "node-1".into(),
            provider_id: provider_id.into(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            annotations: [(GOOGLE_INSTANCE.to_owned(), "77".to_owned())].into(),
        }
    }

    #[test]
    fn labels_say_where_and_the_id_what() {
        let node = of_object(&labelled("gce://shop/europe-west1-c/n-1"));
        assert_eq!(node.instance.as_deref(), Some("77"), "the metadata service's word for it");
        assert_eq!(node.account.as_deref(), Some("shop"));
        assert_eq!(node.zone.as_deref(), Some("europe-west1-b"));
        assert_eq!(node.region.as_deref(), Some("europe-west1"));
        let node = of_object(&labelled("aws:///eu-central-1a/i-0abc"));
        assert_eq!(node.instance.as_deref(), Some("i-0abc"));
        let bare = of_object(&NodeObject { name: "node-1".into(), ..NodeObject::default() });
        assert_eq!(bare, Node { name: Some("node-1".into()), ..Node::default() });
    }
}
