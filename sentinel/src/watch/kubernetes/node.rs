//! This node's own object: asked for once, for it says which machine of which cloud this is, and that does
//! not change while the node runs.

use std::time::Duration;

use kube::Client;
use kube::api::DynamicObject;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::error::KubernetesError;
use super::read::data;
use super::resource::{self, FIRST};
use super::{Report, Resource, Told};
use crate::attribution::node::NodeObject;
use crate::watch::backoff::Backoff;

/// How long a server that has no answer is left alone at most: there is no hurry, and there are many nodes.
const LAST: Duration = Duration::from_secs(300);
/// On a node whose cloud has not said yet which machine it is.
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Asks until the object says all that it will, or nobody wants it.
pub(super) async fn ask(client: Client, name: String, reports: mpsc::Sender<Report>) {
    let apis = resource::api(&client, Resource::Nodes);
    let Some(api) = apis.first() else { return };
    let mut backoff = Backoff::new(FIRST, LAST);
    loop {
        let answer = api.get(&name).await;
        let answer = answer.map_err(|error| KubernetesError::of(Resource::Nodes.name(), &error));
        let (told, is_whole) = match answer.map(|object| read(&name, &object)) {
            Ok((object, is_whole)) => (Ok(Some(Told::Node(object))), is_whole),
            Err(why) => (Err(why), false),
        };
        let wanted = reports.send(Report { resource: Resource::Nodes, told }).await.is_ok();
        if is_whole || !wanted {
            return;
        }
        sleep(backoff.next(false)).await;
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeData {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: String,
    taints: Vec<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
}

/// What is needed of it, and whether more is to come.
fn read(name: &str, object: &DynamicObject) -> (NodeObject, bool) {
    let NodeData { spec } = data(object).unwrap_or_default();
    let is_whole = spec.taints.iter().all(|taint| taint.key != UNINITIALIZED);
    let node = NodeObject {
        name: name.to_owned(),
        provider_id: spec.provider_id,
        labels: object.metadata.labels.clone().unwrap_or_default(),
        annotations: object.metadata.annotations.clone().unwrap_or_default(),
    };
    (node, is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(spec: serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"a": "b"}}, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn a_node_whose_cloud_has_not_spoken_is_asked_for_again() {
        let taint = json!({"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"});
        let (node, is_whole) = read("node-1", &object(json!({"taints": [taint]})));
        assert_eq!((node.provider_id.as_str(), is_whole), ("", false));
        let other = json!({"key": "gpu", "effect": "NoSchedule"});
        let id = "aws:///eu-central-1a/i-0abc";
        let spec = json!({"providerID": id, "taints": [other]});
        let (node, is_whole) = read("node-1", &object(spec));
        assert_eq!((node.provider_id.as_str(), is_whole), (id, true));
        assert_eq!(node.labels.get("a").map(String::as_str), Some("b"));
        let (node, is_whole) = read("node-1", &object(json!({"providerID": 7})));
        assert_eq!((node.provider_id.as_str(), is_whole), ("", true));
    }
}
