//! The fleet's objects as an API server writes them: as large as those of a real cluster, made from their
//! number and how often they have changed.

use serde_json::{Value, json};

use super::size::{ENDS, Size};

/// The kinds that are served, by the name in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Pods,
    Namespaces,
    Services,
    Slices,
    Policies,
    ClusterPolicies,
}

pub(super) const KINDS: [(Kind, &str, &str); 6] = [
    (Kind::Pods, "pods", "v1"),
    (Kind::Namespaces, "namespaces", "v1"),
    (Kind::Services, "services", "v1"),
    (Kind::Slices, "endpointslices", "discovery.k8s.io/v1"),
    (Kind::Policies, "egresspolicies", "sentinel.dev/v1alpha1"),
    (Kind::ClusterPolicies, "clusteregresspolicies", "sentinel.dev/v1alpha1"),
];

/// When all of it was made.
const MADE: &str = "2026-11-01T08:00:00Z";

impl Kind {
    pub(super) const fn count(self, size: &Size) -> u32 {
        match self {
            Self::Pods => size.pods,
            Self::Namespaces => size.namespaces,
            Self::Services => size.services,
            Self::Slices => size.slices(),
            Self::Policies => size.policies,
            Self::ClusterPolicies => 0,
        }
    }

    /// The object of this number, changed this often.
    pub(super) fn object(self, size: &Size, number: u32, changes: u32, version: u64) -> Value {
        let (spec, mut metadata) = match self {
            Self::Pods => pod(size, number, changes),
            Self::Namespaces => (
                json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
                json!({"name": size.namespace(number), "labels": {"team": format!("t{}", number % 50),
                    "kubernetes.io/metadata.name": size.namespace(number), "revision": changes.to_string()}}),
            ),
            Self::Services => service(size, number),
            Self::Slices => slice(size, number, changes),
            Self::Policies | Self::ClusterPolicies => policy(size, number, changes),
        };
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("uid".into(), json!(uid(self as u32, number, 0)));
            metadata.insert("resourceVersion".into(), json!(version.to_string()));
            metadata.insert("creationTimestamp".into(), json!(MADE));
            metadata.insert("generation".into(), json!(changes + 1));
        }
        let mut object = spec;
        if let Some(object) = object.as_object_mut() {
            object.insert("metadata".into(), metadata);
        }
        object
    }

    /// The service whose ends a slice has; nothing for other kinds.
    pub(super) fn service_of(self, size: &Size, number: u32) -> Option<String> {
        (self == Self::Slices).then(|| format!("svc-{}", number / size.slices_each()))
    }
}

fn uid(kind: u32, number: u32, life: u32) -> String {
    format!("{kind:08x}-{:04x}-4{:03x}-8000-{number:012x}", life >> 12 & 0xffff, life & 0xfff)
}

/// An address of the pods' network: a node has a /24 of 10.0.0.0/8 or what is beside it.
fn address(pod: u32) -> String {
    let [_, high, middle, low] = pod.to_be_bytes();
    format!("10.{}.{middle}.{low}", high + 128)
}

/// A pod of this node in its `changes`th state: four states make a life, and the next life is another pod.
fn pod(size: &Size, number: u32, changes: u32) -> (Value, Value) {
    let (life, state) = (changes / 4, changes % 4);
    let app = number % 40;
    let id = format!("{:032x}{:032x}", u64::from(number) + 1, life);
    let running = state > 0;
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example/{name}:1.{life}"),
        "imageID": format!("registry.example/{name}@sha256:{id}"), "ready": state > 1, "restartCount": 0,
        "started": running, "containerID": if running { format!("containerd://{id}") } else { String::new() },
        "state": {"running": {"startedAt": MADE}}})
    };
    let spec = |name: &str| {
        json!({"name": name, "image": format!("registry.example/{name}:1.{life}"),
        "args": ["--listen=:8080", "--log-level=info", "--feature-gates=A=true,B=false"],
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DATABASE_URL", "value": "postgres://db.shop.svc.cluster.local:5432/shop"}],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "token",
            "readOnly": true}], "terminationMessagePath": "/dev/termination-log"})
    };
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": MADE});
    let kinds = ["Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let conditions: Vec<Value> = kinds.iter().map(|kind| condition(kind)).collect();
    let body = json!({
        "spec": {"nodeName": "node-0", "serviceAccountName": "default", "restartPolicy": "Always",
            "containers": [spec("app"), spec("proxy")], "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                "effect": "NoExecute", "tolerationSeconds": 300}]},
        "status": {"phase": if running { "Running" } else { "Pending" }, "conditions": conditions,
            "hostIP": "192.0.2.1", "podIP": address(number), "podIPs": [{"ip": address(number)}],
            "containerStatuses": [container("app"), container("proxy")]}
    });
    let metadata = json!({"name": format!("app-{app}-6d4c5f7b9-{number:03}x{life}"), "namespace": size.namespace(app),
        "labels": {"app": format!("app-{app}"), "pod-template-hash": "6d4c5f7b9", "tier": "web"},
        "annotations": {"prometheus.io/scrape": "true", "checksum/config": id},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
            "name": format!("app-{app}-6d4c5f7b9"), "uid": uid(99, app, life), "blockOwnerDeletion": true}],
        "managedFields": managed()});
    (body, metadata)
}

/// Who wrote which field: a part of every object that nobody here reads.
fn managed() -> Value {
    let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:tier": {}}}, "f:spec":
        {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:name": {}, "f:ports": {}}}}});
    json!([{"manager": "kube-controller-manager", "operation": "Update", "time": MADE,
        "fieldsType": "FieldsV1", "fieldsV1": fields}])
}

fn service(size: &Size, number: u32) -> (Value, Value) {
    let [_, _, high, low] = number.to_be_bytes();
    let ip = format!("10.96.{high}.{low}");
    let body = json!({"spec": {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP",
        "selector": {"app": format!("app-{number}")}, "sessionAffinity": "None",
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]},
        "status": {"loadBalancer": {}}});
    let metadata = json!({"name": format!("svc-{number}"), "namespace": size.namespace(number),
        "labels": {"app": format!("app-{number}")}, "managedFields": managed()});
    (body, metadata)
}

fn slice(size: &Size, number: u32, changes: u32) -> (Value, Value) {
    let service = number / size.slices_each();
    let namespace = size.namespace(service);
    let first = number * ENDS;
    let end = |index: u32| {
        // One of them is another pod after each change.
        let pod =
            if index == changes % ENDS { changes % 1000 + size.all_pods() } else { first + index };
        json!({"addresses": [address(pod)], "nodeName": format!("node-{}", pod % size.nodes),
            "conditions": {"ready": true, "serving": true, "terminating": false}, "zone": "zone-a",
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": format!("app-{service}-6d4c5f7b9-{index:05}"),
                "uid": uid(7, pod, changes)}})
    };
    let ends: Vec<Value> = (0..ENDS).map(end).collect();
    let body = json!({"addressType": "IPv4", "endpoints": ends,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]});
    let metadata = json!({"name": format!("svc-{service}-{number:05}"), "namespace": namespace,
        "labels": {"kubernetes.io/service-name": format!("svc-{service}"), "app": format!("app-{service}"),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": format!("svc-{service}"),
            "uid": uid(2, service, 0), "controller": true, "blockOwnerDeletion": true}]});
    (body, metadata)
}

/// Ten prefixes and a name each; some have a rule on workloads, of their namespace's app of the same number.
fn policy(size: &Size, number: u32, changes: u32) -> (Value, Value) {
    let [_, _, high, low] = number.to_be_bytes();
    let prefix = |index: u32| format!("172.{}.{low}.{}/32", 16 + (high & 7), index + changes % 100);
    let prefixes: Vec<String> = (0..10).map(prefix).collect();
    let mut egress = vec![
        json!({"toCIDRs": prefixes, "ports": [{"port": 443}]}),
        json!({"toFQDNs": [format!("api-{number}.example.com")], "ports": [{"port": 443}]}),
    ];
    if Size::is_on_workloads(number) {
        let selector = json!({"matchLabels": {"app": format!("app-{number}")}});
        egress.push(json!({"toWorkloads": {"podSelector": selector}, "ports": [{"port": 8080}]}));
    }
    let body = json!({"spec": {"workload": {"podSelector": {"matchLabels": {"app": format!("app-{number}")}}},
        "mode": "audit", "egress": egress}});
    let metadata = json!({"name": format!("policy-{number}"), "namespace": size.namespace(number),
        "managedFields": managed()});
    (body, metadata)
}
