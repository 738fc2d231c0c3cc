//! One look at all that a runtime has, made into facts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::client::{
    CONTAINER_STATUS, Client, CriError, LIST_CONTAINERS, LIST_SANDBOXES, SANDBOX_STATUS,
};
use super::messages::{
    CONTAINER_EXITED, ContainerStatusResponse, Containers, Image, Network, SANDBOX_READY, Sandbox,
    SandboxStatusResponse, Sandboxes,
};
use super::{Calls, messages};
use crate::attribution::pods::{CAPACITY, Container, Listing, Pod};

/// What the kubelet puts among a pod's labels: its name, namespace and uid, which are told anyway.
const KUBELETS_OWN: &str = "io.kubernetes.pod.";
/// The label that every namespace has, its name.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Asks, and remembers what does not change while a pod or a container is there.
#[derive(Debug, Default)]
pub(super) struct Look {
    addresses: HashMap<String, Vec<IpAddr>>,
    images: HashMap<String, String>,
}

impl Look {
    pub(super) async fn list(
        &mut self,
        client: &mut Client,
        calls: &mut Calls,
    ) -> Result<Listing, CriError> {
        let sandboxes: Sandboxes = calls.count(client.ask(&LIST_SANDBOXES).await)?;
        let containers: Containers = calls.count(client.ask(&LIST_CONTAINERS).await)?;
        let (sandboxes, containers) = (sandboxes.items, containers.containers);
        self.forget(&sandboxes, &containers);
        let mut found = BTreeMap::new();
        let mut pods = HashMap::new();
        for sandbox in sandboxes.into_iter().take(CAPACITY) {
            let live = sandbox.state == SANDBOX_READY;
            let addresses =
                if live { self.addresses(client, calls, &sandbox.id).await? } else { Vec::new() };
            let id = sandbox.id.clone();
            let Some(pod) = pod(sandbox, addresses).map(Arc::new) else { continue };
            let one = Container { name: None, image: None, pod: Arc::clone(&pod), live };
            found.insert(id.clone(), one);
            pods.insert(id, pod);
        }
        for container in containers.into_iter().take(CAPACITY) {
            let Some(pod) = pods.get(&container.pod_sandbox_id).map(Arc::clone) else { continue };
            let image = self.image(client, calls, &container).await?;
            let live = container.state != CONTAINER_EXITED;
            let name = Some(container.metadata.unwrap_or_default().name);
            found.insert(container.id, Container { name, image, pod, live });
        }
        Ok(Arc::new(found))
    }

    fn forget(&mut self, sandboxes: &[Sandbox], containers: &[messages::Container]) {
        let there: HashSet<&str> = sandboxes.iter().map(|sandbox| sandbox.id.as_str()).collect();
        self.addresses.retain(|id, _| there.contains(id.as_str()));
        let there: HashSet<&str> = containers.iter().map(|one| one.id.as_str()).collect();
        self.images.retain(|id, _| there.contains(id.as_str()));
    }

    async fn addresses(
        &mut self,
        client: &mut Client,
        calls: &mut Calls,
        id: &str,
    ) -> Result<Vec<IpAddr>, CriError> {
        if let Some(known) = self.addresses.get(id) {
            return Ok(known.clone());
        }
        let answer = calls.count(client.ask_about(&SANDBOX_STATUS, id).await);
        let answer: SandboxStatusResponse = match answer {
            Err(CriError::Gone(_)) => return Ok(Vec::new()),
            other => other?,
        };
        let found = addresses(answer.status.and_then(|status| status.network).unwrap_or_default());
        self.addresses.insert(id.to_owned(), found.clone());
        Ok(found)
    }

    async fn image(
        &mut self,
        client: &mut Client,
        calls: &mut Calls,
        container: &messages::Container,
    ) -> Result<Option<String>, CriError> {
        let listed = name_of(container.image.as_ref());
        // The name is asked for where the list has a digest only.
        let Some(listed) = listed.filter(|name| is_digest(name)) else {
            return Ok(name_of(container.image.as_ref()));
        };
        if let Some(known) = self.images.get(&container.id) {
            return Ok(Some(known.clone()));
        }
        let answer = calls.count(client.ask_about(&CONTAINER_STATUS, &container.id).await);
        let answer: ContainerStatusResponse = match answer {
            Err(CriError::Gone(_)) => return Ok(Some(listed)),
            other => other?,
        };
        let image = answer.status.and_then(|status| name_of(status.image.as_ref()));
        let image = image.unwrap_or(listed);
        self.images.insert(container.id.clone(), image.clone());
        Ok(Some(image))
    }
}

fn pod(sandbox: Sandbox, addresses: Vec<IpAddr>) -> Option<Pod> {
    let metadata = sandbox.metadata?;
    let labels = sandbox.labels.into_iter().filter(|(key, _)| !key.starts_with(KUBELETS_OWN));
    Some(Pod {
        labels: labels.collect(),
        namespace_labels: [(NAMESPACE.to_owned(), metadata.namespace.clone())].into(),
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        addresses,
        owner: None,
    })
}

fn addresses(network: Network) -> Vec<IpAddr> {
    let others = network.additional_ips.into_iter().map(|more| more.ip);
    let all = std::iter::once(network.ip).chain(others);
    all.filter_map(|text| text.parse().ok()).collect()
}

fn name_of(image: Option<&Image>) -> Option<String> {
    let image = image?;
    let names = [&image.user_specified_image, &image.image];
    names.into_iter().find(|name| !name.is_empty()).cloned()
}

fn is_digest(name: &str) -> bool {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_what_its_sandbox_says() {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let labels = [label("app", "web"), label("io.kubernetes.pod.uid", "u")].into();
        let metadata = messages::SandboxMetadata {
            name: "web-1".into(),
            uid: "u".into(),
            namespace: "shop".into(),
        };
        let sandbox = Sandbox { labels, metadata: Some(metadata), ..Sandbox::default() };
        let pod = pod(sandbox, Vec::new()).unwrap();
        assert_eq!(pod.labels, [label("app", "web")].into());
        assert_eq!(pod.namespace_labels, [label("kubernetes.io/metadata.name", "shop")].into());
        assert!(super::pod(Sandbox::default(), Vec::new()).is_none());
    }

    #[test]
    fn addresses_that_make_no_sense_are_none() {
        let more = vec![messages::Ip { ip: "fd00::5".into() }, messages::Ip { ip: "x".into() }];
        let network = Network { ip: "10.0.0.5".into(), additional_ips: more };
        assert_eq!(addresses(network).len(), 2);
        assert!(addresses(Network::default()).is_empty());
    }

    #[test]
    fn an_image_is_called_what_the_pod_calls_it() {
        let image = |image: &str, said: &str| Image {
            image: image.to_owned(),
            user_specified_image: said.to_owned(),
        };
        assert_eq!(name_of(Some(&image("sha256:1", "web:1"))).as_deref(), Some("web:1"));
        assert_eq!(name_of(Some(&image("web:2", ""))).as_deref(), Some("web:2"));
        assert_eq!(name_of(Some(&image("", ""))), None);
        assert!(is_digest(&format!("sha256:{}", "0".repeat(64))) && !is_digest("web:1"));
    }
}
