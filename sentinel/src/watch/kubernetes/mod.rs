//! The Kubernetes API server, asked which pods this node has, what namespaces are labelled, and which
//! addresses services have: a full list at once, changes as they come. While it does not answer, what it
//! told last counts; it is asked again ever more seldom, and no two nodes at one moment.

mod client;
mod ends;
mod error;
mod node;
mod read;
mod resource;
mod stream;
#[cfg(test)]
mod tests;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use client::{Settings, connect, node_name};
pub use ends::Asked;
pub use error::KubernetesError;
pub use resource::Resource;

use super::backoff::Backoff;
use crate::attribution::cluster::{self, Change};
use crate::attribution::node::NodeObject;
use crate::policy::{Object, ObjectKind};
use ends::Ends;
use resource::{FIRST, LAST};
use stream::Stream;

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Of the cluster.
    Cluster(cluster::Told),
    /// Of this node's machine.
    Node(NodeObject),
    /// Of policies of this kind.
    Policies(ObjectKind, Change<Object>),
}

/// What is known of the objects of one kind.
#[derive(Debug)]
pub struct Report {
    /// The kind.
    pub resource: Resource,
    /// What has changed, if anything has; or why nobody can say.
    pub told: Result<Option<Told>, KubernetesError>,
}

/// Asks until nobody wants the reports. In a large cluster the ends of those services are followed that are
/// `asked` about.
pub async fn follow(
    settings: Settings,
    asked: watch::Receiver<Asked>,
    reports: mpsc::Sender<Report>,
) {
    let mut backoff = Backoff::new(FIRST, LAST);
    let client = loop {
        match connect(&settings).await {
            Ok(client) => break client,
            Err(why) => {
                let report = Report { resource: Resource::Pods, told: Err(why) };
                if reports.send(report).await.is_err() {
                    return;
                }
            }
        }
        sleep(backoff.next(true)).await;
    };
    follow_at(&client, &settings, &asked, &reports).await;
}

/// Asks there until nobody wants the reports.
async fn follow_at(
    client: &Client,
    settings: &Settings,
    asked: &watch::Receiver<Asked>,
    reports: &mpsc::Sender<Report>,
) {
    let mut tasks = JoinSet::new();
    for resource in Resource::ALL {
        if resource.is_about_services() && !settings.services {
            continue;
        }
        let fields =
            (resource == Resource::Pods).then(|| format!("spec.nodeName={}", settings.node));
        let ends = (resource == Resource::EndpointSlices).then(|| Ends::new(asked.clone()));
        let stream = Stream { resource, reports: reports.clone(), fields, ends };
        tasks.spawn(follow_one(stream, client.clone(), settings.node.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn follow_one(stream: Stream, client: Client, node: String) {
    let apis = resource::api(&client, stream.resource);
    match stream.resource {
        Resource::Pods => stream.follow(apis, read::pod()).await,
        Resource::Namespaces => stream.follow(apis, read::namespace()).await,
        Resource::Services => stream.follow(apis, read::service()).await,
        Resource::EndpointSlices => stream.follow(apis, read::slice()).await,
        Resource::EgressPolicies => stream.follow(apis, read::policy()).await,
        Resource::ClusterEgressPolicies => stream.follow(apis, read::cluster_policy()).await,
        Resource::Nodes => node::ask(client, node, stream.reports).await,
    }
}
