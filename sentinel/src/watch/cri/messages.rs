//! The few messages and fields of the Container Runtime Interface that are read, with the numbers of
//! `runtime.v1` in k8s.io/cri-api, `pkg/apis/runtime/v1/api.proto`. Fields that are not named here are
//! skipped by the decoder, as protobuf asks.

use std::collections::HashMap;

use prost::Message;

/// A request that may stay empty: `Version`, and lists without a filter.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

/// `VersionResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Version {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
}

/// `ListPodSandboxResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<Sandbox>,
}

/// `PodSandbox`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Sandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<SandboxMetadata>,
    /// [`SANDBOX_READY`], or 1.
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: HashMap<String, String>,
}

/// `SANDBOX_READY`.
pub(super) const SANDBOX_READY: i32 = 0;

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

/// `PodSandboxStatusRequest` and `ContainerStatusRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

/// `PodSandboxStatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<SandboxStatus>,
}

/// `PodSandboxStatus`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxStatus {
    #[prost(message, optional, tag = "5")]
    pub(super) network: Option<Network>,
}

/// `PodSandboxNetworkStatus`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Network {
    /// Empty where the pod has the node's.
    #[prost(string, tag = "1")]
    pub(super) ip: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) additional_ips: Vec<Ip>,
}

/// `PodIP`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Ip {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
}

/// `ListContainersResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Containers {
    #[prost(message, repeated, tag = "1")]
    pub(super) containers: Vec<Container>,
}

/// `Container`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    pub(super) image: Option<Image>,
    #[prost(int32, tag = "6")]
    pub(super) state: i32,
}

/// `CONTAINER_EXITED`.
pub(super) const CONTAINER_EXITED: i32 = 2;

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    /// A name, or the image's digest: the kubelet has resolved it by then.
    #[prost(string, tag = "1")]
    pub(super) image: String,
    /// What the pod says; since Kubernetes 1.29.
    #[prost(string, tag = "18")]
    pub(super) user_specified_image: String,
}

/// `ContainerStatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<ContainerStatus>,
}

/// `ContainerStatus`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatus {
    #[prost(message, optional, tag = "8")]
    pub(super) image: Option<Image>,
}

/// `ContainerEventResponse`: that there was one is all that is asked.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(string, tag = "1")]
    pub(super) container_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `PodSandbox` as containerd 1.6 writes it, with fields that are not read here.
    #[test]
    fn what_is_not_asked_for_is_skipped() {
        let mut bytes = b"\x0a\x02id\x12\x0c\x0a\x01n\x12\x01u\x1a\x02ns\x20\x01".to_vec();
        // created_at, a label, an annotation, the runtime handler.
        bytes.extend(b"\x20\x05\x2a\x06\x0a\x01a\x12\x01b\x32\x06\x0a\x01x\x12\x01y\x3a\x01r");
        let sandbox = Sandbox::decode(bytes.as_slice()).unwrap();
        let metadata = sandbox.metadata.unwrap();
        assert_eq!((metadata.name.as_str(), metadata.uid.as_str()), ("n", "u"));
        assert_eq!((metadata.namespace.as_str(), sandbox.state), ("ns", SANDBOX_READY));
        assert_eq!(sandbox.labels.get("a").map(String::as_str), Some("b"));
    }
}
