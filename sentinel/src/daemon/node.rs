//! Which machine this is: what the settings, the firmware and the kernel say at once, and what the cloud's
//! metadata service says later. Kubernetes tells by itself.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::api::{Shared, Whereabouts};
use crate::attribution::node::{Cloud, Source};
use crate::config::{Config, MetadataService, NodeFile};
use crate::event::node::Node;
use crate::watch::metadata::{self, MetadataError};
use crate::watch::{dmi, host, kubernetes};

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
    let mut said = None;
    let missed = |cloud: Cloud, why: MetadataError| {
        let why = why.to_string();
        // Once is enough for one reason: status has it all the time.
        if said.as_ref() != Some(&why) {
            warn(cloud, &why);
        }
        said = Some(why.clone());
        shared.node().missed(Source::Metadata, why);
    };
    if let Some(node) = ask(shared.node(), metadata::ADDRESS, missed).await {
        shared.learn_node(Source::Metadata, node);
    }
}

/// Asks while it is known that this machine is of a cloud; nothing where the agent ends before an answer.
async fn ask(
    known: &Whereabouts,
    address: SocketAddr,
    mut missed: impl FnMut(Cloud, MetadataError),
) -> Option<Node> {
    loop {
        let cloud = known.follow().wait_for(Cloud::of).await?;
        let mut now = known.follow();
        tokio::select! {
            node = metadata::ask_on(cloud, address, |why| missed(cloud, why)) => return Some(node),
            // Somebody who is trusted more says of another, or of none.
            _ = now.wait_for(|node| (Cloud::of(node) != Some(cloud)).then_some(())) => {}
        }
    }
}

fn warn(cloud: Cloud, why: &str) {
    let (provider, address) = (cloud.word(), metadata::ADDRESS);
    tracing::warn!(
        "the metadata service of {provider} does not tell which instance this is, and is asked ever more seldom: {why}; let the agent reach {address} (on AWS: raise the hop limit), say it under `node` in the settings, or set node.metadataService: off"
    );
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn of(provider: &str) -> Node {
        Node { provider: Some(provider.into()), ..Node::default() }
    }

    /// Somewhere on this machine where nobody answers.
    fn nowhere() -> SocketAddr {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_machine_of_no_cloud_nobody_is_asked() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let known = Whereabouts::default();
        for provider in [None, Some("kind")] {
            if let Some(provider) = provider {
                known.learn(Source::Firmware, of(provider), |_| {});
            }
            let asking = ask(&known, address, |_, why| panic!("it was asked: {why}"));
            assert!(timeout(48 * HOUR, asking).await.is_err());
            assert!(listener.accept().is_err(), "it was called");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_while_this_is_a_cloud_and_no_longer() {
        let known = Whereabouts::default();
        known.learn(Source::Firmware, of("aws"), |_| {});
        let begun = Instant::now();
        let mut rows = Vec::new();
        let asking = ask(&known, nowhere(), |_, _| rows.push(begun.elapsed()));
        let corrected = async {
            sleep(6 * HOUR).await;
            known.learn(Source::Kubernetes, of("kind"), |_| {});
            sleep(48 * HOUR).await;
        };
        tokio::select! {
            _ = asking => panic!("nobody is there to answer"),
            () = corrected => {}
        }
        assert!((7..=12).contains(&rows.len()), "{rows:?}");
        assert!(rows.iter().all(|at| *at <= 6 * HOUR), "{rows:?}");
    }
}
