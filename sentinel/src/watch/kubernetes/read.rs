//! Objects of the API made into facts: what is needed of them, and nothing else is kept.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use sentinel_common::policy::{SCTP, TCP, UDP};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Told;
use super::ends::SERVICE;
use super::stream::Reader;
use crate::attribution::cluster::{self, ClusterPod, Labels};
use crate::attribution::owner::Owner;
use crate::attribution::pods::Pod;
use crate::attribution::services::{Service, ServicePort, Slice};
use crate::policy::{Object, ObjectKind};

/// What an object comes to, with its key; nothing where it is not understood.
pub(super) type Read<T> = fn(&DynamicObject) -> Option<(String, T)>;

/// A pod that the kubelet has from a file has another uid in its cgroups: this annotation's.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn pod() -> Reader<ClusterPod> {
    (read_pod, |change| Told::Cluster(cluster::Told::Pods(change)))
}

pub(super) fn namespace() -> Reader<Labels> {
    let read = |object: &DynamicObject| {
        Some((key(object), object.metadata.labels.clone().unwrap_or_default()))
    };
    (read, |change| Told::Cluster(cluster::Told::Namespaces(change)))
}

pub(super) fn service() -> Reader<Service> {
    (read_service, |change| Told::Cluster(cluster::Told::Services(change)))
}

pub(super) fn slice() -> Reader<Slice> {
    (read_slice, |change| Told::Cluster(cluster::Told::Slices(change)))
}

pub(super) fn policy() -> Reader<Object> {
    let read = |object: &DynamicObject| read_policy(object, ObjectKind::Namespaced);
    (read, |change| Told::Policies(ObjectKind::Namespaced, change))
}

pub(super) fn cluster_policy() -> Reader<Object> {
    let read = |object: &DynamicObject| read_policy(object, ObjectKind::Cluster);
    (read, |change| Told::Policies(ObjectKind::Cluster, change))
}

/// `namespace/name`, or the name alone.
pub(super) fn key(object: &DynamicObject) -> String {
    let ObjectMeta { name, namespace, .. } = &object.metadata;
    let name = name.as_deref().unwrap_or_default();
    namespace.as_ref().map_or_else(|| name.to_owned(), |around| format!("{around}/{name}"))
}

pub(super) fn data<T: DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    T::deserialize(&object.data).ok()
}

fn read_policy(object: &DynamicObject, kind: ObjectKind) -> Option<(String, Object)> {
    let ObjectMeta { name, namespace, generation, .. } = object.metadata.clone();
    let policy = Object {
        kind,
        namespace,
        name: name?,
        generation: generation.unwrap_or_default(),
        spec: object.data.get("spec").cloned().unwrap_or_default(),
    };
    Some((key(object), policy))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodData {
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    host_network: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    image: String,
    #[serde(rename = "containerID")]
    container_id: String,
    state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    terminated: Option<serde::de::IgnoredAny>,
}

fn read_pod(object: &DynamicObject) -> Option<(String, ClusterPod)> {
    let PodData { spec, status } = data(object)?;
    let metadata = &object.metadata;
    let labels = metadata.labels.clone().unwrap_or_default();
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    let references = metadata.owner_references.iter().flatten();
    let owner = { references }.find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| Owner::behind(&owner.kind, &owner.name, &labels, created));
    let mirror = metadata.annotations.as_ref().and_then(|all| all.get(MIRROR)).cloned();
    let addresses: Vec<IpAddr> = match spec.host_network {
        true => Vec::new(),
        false => status.pod_ips.iter().filter_map(|one| one.ip.parse().ok()).collect(),
    };
    let pod = Pod {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: mirror.or_else(|| metadata.uid.clone())?,
        labels,
        addresses,
        owner,
        ..Pod::default()
    };
    let PodStatus {
        phase,
        init_container_statuses,
        container_statuses,
        ephemeral_container_statuses,
        ..
    } = status;
    let all = init_container_statuses.into_iter().chain(container_statuses);
    let containers = all.chain(ephemeral_container_statuses).filter_map(|one| {
        let (_, id) = one.container_id.split_once("://")?;
        Some((id.to_owned(), one.name, one.image, one.state.terminated.is_none()))
    });
    let live = !matches!(phase.as_str(), "Succeeded" | "Failed");
    Some((key(object), ClusterPod { pod, containers: containers.collect(), live }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceData {
    spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    selector: Option<Labels>,
    ports: Option<Vec<Port>>,
}

/// Of a service, or of an end behind it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

fn ports(written: Option<Vec<Port>>) -> Vec<ServicePort> {
    let read = |port: Port| {
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => UDP,
            Some("SCTP") => SCTP,
            _ => TCP,
        };
        Some(ServicePort { name: port.name.unwrap_or_default(), protocol, number: port.port? })
    };
    written.into_iter().flatten().filter_map(read).collect()
}

fn read_service(object: &DynamicObject) -> Option<(String, Service)> {
    let ServiceData { spec } = data(object)?;
    // A headless one says "None"; servers before 1.20 say one address only.
    let mut addresses: Vec<IpAddr> = spec
        .cluster_ips
        .iter()
        .chain([&spec.cluster_ip])
        .filter_map(|ip| ip.parse().ok())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let (selector, ports) = (spec.selector.unwrap_or_default().into(), ports(spec.ports));
    Some((key(object), Service { addresses, selector, ports }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SliceData {
    /// Both are null where there is none.
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    addresses: Vec<String>,
}

fn read_slice(object: &DynamicObject) -> Option<(String, Slice)> {
    let SliceData { endpoints, ports: written } = data(object)?;
    let service = object.metadata.labels.as_ref()?.get(SERVICE)?;
    let namespace = object.metadata.namespace.as_deref()?;
    let texts = endpoints.iter().flatten().flat_map(|end| &end.addresses);
    let addresses = texts.filter_map(|text| text.parse().ok()).collect();
    let service = format!("{namespace}/{service}");
    Some((key(object), Slice { service, addresses, ports: ports(written) }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pod_is_what_its_object_says() {
        let (key, pod) = read_pod(&object(json!({
            "metadata": {"namespace": "shop", "name": "web-6d4c-x", "uid": "u", "labels":
                {"app": "web", "pod-template-hash": "6d4c"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4c",
                    "uid": "r", "controller": true}]},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}],
                "containerStatuses": [
                    {"name": "app", "image": "web:1", "containerID": "containerd://abc",
                     "state": {"running": {"startedAt": "2026-11-23T00:00:00Z"}}},
                    {"name": "late", "image": "web:1"},
                    {"name": "old", "image": "web:1", "containerID": "cri-o://def",
                     "state": {"terminated": {"exitCode": 0}}}]}
        })))
        .unwrap();
        assert_eq!(key, "shop/web-6d4c-x");
        assert!(pod.live);
        assert_eq!(pod.pod.addresses.len(), 2);
        assert_eq!(pod.pod.owner, Some(Owner { kind: "Deployment".into(), name: "web".into() }));
        let containers = pod.containers.iter().map(|(id, name, _, live)| (&**id, &**name, *live));
        assert_eq!(containers.collect::<Vec<_>>(), [("abc", "app", true), ("def", "old", false)]);
    }

    #[test]
    fn a_pod_from_a_file_has_the_uid_of_its_cgroups() {
        let (_, pod) = read_pod(&object(json!({
            "metadata": {"namespace": "kube-system", "name": "etcd", "uid": "u",
                "annotations": {"kubernetes.io/config.mirror": "0123"}},
            "spec": {"hostNetwork": true}, "status": {"podIPs": [{"ip": "192.0.2.1"}]}
        })))
        .unwrap();
        assert_eq!(pod.pod.uid, "0123");
        assert!(pod.pod.addresses.is_empty(), "they are the node's");
    }

    fn port(number: u16) -> ServicePort {
        ServicePort { name: String::new(), protocol: TCP, number }
    }

    #[test]
    fn services_and_their_ends_have_addresses() {
        let metadata = json!({"namespace": "shop", "name": "web",
            "labels": {"kubernetes.io/service-name": "web"}});
        let (key, service) = read_service(&object(json!({"metadata": metadata,
            "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"],
                "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}})))
        .unwrap();
        assert_eq!((&*key, service.addresses.len()), ("shop/web", 2));
        assert_eq!((service.selector.len(), service.ports), (1, vec![port(80)]));
        let headless = object(json!({"metadata": metadata, "spec": {"clusterIP": "None"}}));
        assert!(read_service(&headless).unwrap().1.addresses.is_empty());
        let ends = json!({"metadata": metadata, "addressType": "IPv4", "ports": [{"port": 8080}, {}],
            "endpoints": [{"addresses": ["10.0.0.5"]}]});
        let (_, ends) = read_slice(&object(ends)).unwrap();
        let expected = Slice {
            service: "shop/web".into(),
            addresses: vec!["10.0.0.5".parse().unwrap()],
            ports: vec![port(8080)],
        };
        assert_eq!(ends, expected);
        let none = json!({"metadata": metadata, "endpoints": null, "ports": null});
        assert!(read_slice(&object(none)).unwrap().1.addresses.is_empty());
    }

    #[test]
    fn nonsense_is_nothing() {
        let odd = object(json!({"metadata": {"name": "x"}, "status": {"podIPs": 7}}));
        assert!(read_pod(&odd).is_none() && read_slice(&odd).is_none());
    }
}
