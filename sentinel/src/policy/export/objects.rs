//! The objects, as far as they are written: fields of their own documentation, in its order.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<S> {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    pub(super) spec: S,
}

#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Labels {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) match_labels: BTreeMap<String, String>,
}

/// `networking.k8s.io/v1`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkSpec {
    pub(super) pod_selector: Labels,
    pub(super) policy_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) egress: Option<Vec<NetworkEgress>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress: Option<Vec<NetworkIngress>>,
}

#[derive(Debug, Serialize)]
pub(super) struct NetworkEgress {
    pub(super) to: Vec<Peer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<NetworkPort>,
}

#[derive(Debug, Serialize)]
pub(super) struct NetworkIngress {
    pub(super) from: Vec<Peer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<NetworkPort>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_block: Option<Block>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod_selector: Option<Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace_selector: Option<Labels>,
}

#[derive(Debug, Serialize)]
pub(super) struct Block {
    pub(super) cidr: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) except: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkPort {
    pub(super) protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_port: Option<u16>,
}

/// `cilium.io/v2`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CiliumSpec {
    pub(super) endpoint_selector: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enable_default_deny: Option<DefaultDeny>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) egress: Option<Vec<CiliumRule>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) egress_deny: Option<Vec<CiliumRule>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress: Option<Vec<CiliumRule>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress_deny: Option<Vec<CiliumRule>>,
}

#[derive(Debug, Serialize)]
pub(super) struct DefaultDeny {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) egress: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ingress: Option<bool>,
}

/// One that names nothing allows nothing and denies by default.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CiliumRule {
    #[serde(rename = "toCIDRSet", skip_serializing_if = "Vec::is_empty")]
    pub(super) to_cidr_set: Vec<Block>,
    #[serde(rename = "fromCIDRSet", skip_serializing_if = "Vec::is_empty")]
    pub(super) from_cidr_set: Vec<Block>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) to_endpoints: Vec<Labels>,
    #[serde(rename = "toFQDNs", skip_serializing_if = "Vec::is_empty")]
    pub(super) to_fqdns: Vec<Fqdn>,
    #[serde(rename = "toPorts", skip_serializing_if = "Vec::is_empty")]
    pub(super) to_ports: Vec<CiliumPorts>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CiliumPorts {
    pub(super) ports: Vec<CiliumPort>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CiliumPort {
    /// In digits; `0` is every port.
    pub(super) port: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_port: Option<u16>,
    pub(super) protocol: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fqdn {
    MatchName(String),
    MatchPattern(String),
}
