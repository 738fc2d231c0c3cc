//! A policy document as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// One document of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "apiVersion")]
    pub(super) api_version: Spanned<String>,
    pub(super) kind: Spanned<String>,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) name: Spanned<String>,
    pub(super) namespace: Option<Spanned<String>>,
    /// Kept by whoever wrote them.
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<String, String>,
    #[serde(default, rename = "annotations")]
    _annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) workload: Option<Spanned<Workload>>,
    pub(super) mode: Option<Spanned<PolicyMode>>,
    pub(super) stratum: Option<Spanned<Stratum>>,
    pub(super) unknown_workloads: Option<Spanned<Unknown>>,
    #[serde(rename = "encryptedDNS")]
    pub(super) encrypted_dns: Option<Spanned<EncryptedDns>>,
    pub(super) egress: Option<Vec<EgressRule>>,
    pub(super) egress_deny: Option<Vec<EgressRule>>,
    pub(super) ingress: Option<Vec<IngressRule>>,
    pub(super) ingress_deny: Option<Vec<IngressRule>>,
    /// RFC 3339.
    pub(super) expires: Option<Spanned<String>>,
}

/// Whom a policy is about: all that is said must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Workload {
    pub(super) pod_selector: Option<LabelSelector>,
    pub(super) namespace_selector: Option<LabelSelector>,
    pub(super) systemd_unit: Option<Spanned<String>>,
    pub(super) cgroup: Option<Spanned<String>>,
}

/// As in Kubernetes (`LabelSelector`); an empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LabelSelector {
    #[serde(default)]
    pub(super) match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum PolicyMode {
    Audit,
    Enforce,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stratum {
    Block,
    Alert,
    Off,
}

/// What a cgroup within the policy's reach may do before policies are chosen for it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unknown {
    Open,
    Closed,
}

/// Whether questions that nobody can read may be asked of the known resolvers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum EncryptedDns {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EgressRule {
    #[serde(default, rename = "toCIDRs")]
    pub(super) to_cidrs: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) except: Vec<Spanned<String>>,
    #[serde(default, rename = "toFQDNs")]
    pub(super) to_fqdns: Vec<Spanned<String>>,
    /// Answers for these names may lie in private ranges.
    #[serde(default, rename = "allowPrivateAddresses")]
    pub(super) allow_private_addresses: bool,
    /// The TLS handshake must name one of these names too (RFC 6066 section 3).
    #[serde(default, rename = "requireServerName")]
    pub(super) require_server_name: Option<Spanned<bool>>,
    /// Absent: every port of every protocol.
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IngressRule {
    #[serde(default, rename = "fromCIDRs")]
    pub(super) from_cidrs: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) except: Vec<Spanned<String>>,
    /// Absent: every port of every protocol.
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Port {
    /// Absent: every port.
    pub(super) port: Option<Spanned<u16>>,
    #[serde(rename = "endPort")]
    pub(super) end_port: Option<Spanned<u16>>,
    /// Absent: TCP, as in a Kubernetes NetworkPolicy.
    pub(super) protocol: Option<Spanned<Protocol>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
    UdpLite,
    Icmp,
    Any,
}
