//! Which machine this is: what the settings, the firmware and the kernel say at once, and what the cloud's
//! metadata service says later. Kubernetes tells by itself.

use std::path::Path;
use std::sync::Arc;

use crate::api::Shared;
use crate::attribution::node::{Cloud, Source};
use crate::config::{Config, MetadataService, NodeFile};
use crate::event::node::Node;
use crate::watch::{dmi, host, kubernetes, metadata};

/// Takes what is known at once, before the first event is written.
pub(super) fn learn(shared: &Shared, config: &Config) {
    let named = |name| Node { name, ..Node::default() };
    shared.learn_node(Source::Kernel, named(host::name()));
    if let Some(node) = dmi::read(Path::new(dmi::FOLDER)) {
        shared.learn_node(Source::Firmware, node);
    }
    let environment = |name: &str| std::env::var(name).ok();
    let name = kubernetes::node_name(&config.kubernetes, environment);
    shared.learn_node(Source::Kubernetes, named(name));
    shared.learn_node(Source::Configuration, config.node.said());
}

/// Asks the metadata service once it is known which cloud this is, and never where it is none or `node` says so.
pub(super) async fn ask_metadata(shared: Arc<Shared>, node: NodeFile) {
    if node.metadata_service.unwrap_or_default() == MetadataService::Off {
        return;
    }
    let mut now = shared.node().follow();
    let Some(cloud) = now.wait_for(Cloud::of).await else { return };
    match metadata::ask(cloud, metadata::ADDRESS).await {
        Ok(node) => shared.learn_node(Source::Metadata, node),
        Err(why) => {
            let provider = cloud.word();
            let address = metadata::ADDRESS;
            shared.node().missed(Source::Metadata, why.to_string());
            tracing::warn!(
                "the metadata service of {provider} does not tell which instance this is: {why}; let the agent reach {address} (on AWS: raise the hop limit), say it under `node` in the settings, or set node.metadataService: off"
            );
        }
    }
}
