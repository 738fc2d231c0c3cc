//! The Kubernetes API server, asked which pods this node has, what namespaces are labelled, and which
//! addresses services have: a full list at once, changes as they come. While it does not answer, what it
//! told last counts; it is asked again ever more seldom, and no two nodes at one moment.

mod client;
mod error;
mod node;
mod read;
mod resource;
mod stream;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use client::{Settings, connect, node_name};
pub use error::KubernetesError;
pub use resource::Resource;

use super::backoff::Backoff;
use crate::attribution::cluster::{self, Change};
use crate::attribution::node::NodeObject;
use crate::policy::{Object, ObjectKind};
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

/// Asks until nobody wants the reports.
pub async fn follow(settings: Settings, reports: mpsc::Sender<Report>) {
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
    let mut tasks = JoinSet::new();
    for resource in Resource::ALL {
        if resource.is_about_services() && !settings.services {
            continue;
        }
        let (client, node, reports) = (client.clone(), settings.node.clone(), reports.clone());
        tasks.spawn(follow_one(resource, client, node, reports));
    }
    while tasks.join_next().await.is_some() {}
}

async fn follow_one(
    resource: Resource,
    client: Client,
    node: String,
    reports: mpsc::Sender<Report>,
) {
    let stream = Stream { resource, reports };
    let apis = resource::api(&client, resource);
    match resource {
        Resource::Pods => {
            let selector = format!("spec.nodeName={node}");
            stream.follow(apis, Some(selector), read::pod()).await;
        }
        Resource::Namespaces => stream.follow(apis, None, read::namespace()).await,
        Resource::Services => stream.follow(apis, None, read::service()).await,
        Resource::EndpointSlices => stream.follow(apis, None, read::slice()).await,
        Resource::EgressPolicies => stream.follow(apis, None, read::policy()).await,
        Resource::ClusterEgressPolicies => stream.follow(apis, None, read::cluster_policy()).await,
        Resource::Nodes => node::ask(client, node, stream.reports).await,
    }
}
