//! A policy document as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// A prefix of addresses, so far as a pattern can tell: an IPv4 address whole, of an IPv6 address its letters.
#[cfg(test)]
pub(super) const PREFIX: &str = "^(((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])/(3[0-2]|[12]?[0-9])\
    |[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$";

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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Spec {
    /// Whom it is about; absent: every pod of the namespace, or everything on the node.
    #[cfg_attr(test, schemars(with = "Option<Workload>"))]
    pub(super) workload: Option<Spanned<Workload>>,
    /// Told only, or dropped.
    #[cfg_attr(test, schemars(with = "Option<PolicyMode>"))]
    pub(super) mode: Option<Spanned<PolicyMode>>,
    /// What a mining-pool message leads to.
    #[cfg_attr(test, schemars(with = "Option<Stratum>"))]
    pub(super) stratum: Option<Spanned<Stratum>>,
    /// Whether a cgroup that has just appeared may speak before its policies are known.
    #[cfg_attr(test, schemars(with = "Option<Unknown>"))]
    pub(super) unknown_workloads: Option<Spanned<Unknown>>,
    /// Whether questions that nobody can read may be asked of the known resolvers.
    #[cfg_attr(test, schemars(with = "Option<EncryptedDns>"))]
    #[serde(rename = "encryptedDNS")]
    pub(super) encrypted_dns: Option<Spanned<EncryptedDns>>,
    /// What may be reached; an empty list is nothing, an absent one says nothing.
    #[cfg_attr(test, schemars(length(max = 256)))]
    pub(super) egress: Option<Vec<EgressRule>>,
    /// What may not be reached, whatever else is said.
    #[cfg_attr(test, schemars(length(max = 256)))]
    pub(super) egress_deny: Option<Vec<EgressRule>>,
    /// Who may call; an empty list is nobody, an absent one says nothing.
    #[cfg_attr(test, schemars(length(max = 256)))]
    pub(super) ingress: Option<Vec<IngressRule>>,
    /// Who may not call, whatever else is said.
    #[cfg_attr(test, schemars(length(max = 256)))]
    pub(super) ingress_deny: Option<Vec<IngressRule>>,
    /// When the policy ends by itself, RFC 3339.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub(super) expires: Option<Spanned<String>>,
}

/// Whom a policy is about: all that is said must hold.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Workload {
    /// Labels of pods.
    pub(super) pod_selector: Option<LabelSelector>,
    /// Labels of pods' namespaces; for policies of no namespace.
    pub(super) namespace_selector: Option<LabelSelector>,
    /// Pattern for the name of a systemd unit.
    #[cfg_attr(test, schemars(with = "Option<String>", length(max = 256)))]
    pub(super) systemd_unit: Option<Spanned<String>>,
    /// Pattern for the path of a cgroup.
    #[cfg_attr(test, schemars(with = "Option<String>", length(max = 4096), regex(pattern = "^/")))]
    pub(super) cgroup: Option<Spanned<String>>,
}

/// As in Kubernetes (`NetworkPolicyPeer`), without addresses.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PeerSelector {
    /// Labels of pods; absent: every pod of the namespaces.
    pub(super) pod_selector: Option<LabelSelector>,
    /// Labels of pods' namespaces; absent: the policy's own, and every one where it has none.
    pub(super) namespace_selector: Option<LabelSelector>,
}

/// As in Kubernetes (`LabelSelector`); an empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LabelSelector {
    /// Labels, all of which must be there.
    #[serde(default)]
    pub(super) match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum PolicyMode {
    Audit,
    Enforce,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum Stratum {
    Block,
    Alert,
    Off,
}

/// What a cgroup within the policy's reach may do before policies are chosen for it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum Unknown {
    Open,
    Closed,
}

/// Whether questions that nobody can read may be asked of the known resolvers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum EncryptedDns {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct EgressRule {
    /// Prefixes of addresses.
    #[cfg_attr(
        test,
        schemars(
            with = "Vec<String>",
            length(max = 4096),
            inner(length(max = 49), regex(pattern = PREFIX))
        )
    )]
    #[serde(default, rename = "toCIDRs")]
    pub(super) to_cidrs: Vec<Spanned<String>>,
    /// Prefixes within those, which are not meant.
    #[cfg_attr(
        test,
        schemars(
            with = "Vec<String>",
            length(max = 4096),
            inner(length(max = 49), regex(pattern = PREFIX))
        )
    )]
    #[serde(default)]
    pub(super) except: Vec<Spanned<String>>,
    /// Names, or `*.` and a name for everything below it.
    #[cfg_attr(
        test,
        schemars(
            with = "Vec<String>",
            length(max = 256),
            inner(
                length(max = 256),
                regex(pattern = r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$")
            )
        )
    )]
    #[serde(default, rename = "toFQDNs")]
    pub(super) to_fqdns: Vec<Spanned<String>>,
    /// Pods, by their labels; of a policy's own namespace where no other is selected.
    #[cfg_attr(test, schemars(with = "Option<PeerSelector>"))]
    #[serde(default, rename = "toWorkloads")]
    pub(super) to_workloads: Option<Spanned<PeerSelector>>,
    /// Answers for these names may lie in private ranges.
    #[serde(default, rename = "allowPrivateAddresses")]
    pub(super) allow_private_addresses: bool,
    /// The TLS handshake must name one of these names too (RFC 6066 section 3).
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    #[serde(default, rename = "requireServerName")]
    pub(super) require_server_name: Option<Spanned<bool>>,
    /// Absent: every port of every protocol.
    #[cfg_attr(test, schemars(length(max = 64)))]
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct IngressRule {
    /// Prefixes of addresses.
    #[cfg_attr(
        test,
        schemars(
            with = "Vec<String>",
            length(max = 4096),
            inner(length(max = 49), regex(pattern = PREFIX))
        )
    )]
    #[serde(default, rename = "fromCIDRs")]
    pub(super) from_cidrs: Vec<Spanned<String>>,
    /// Prefixes within those, which are not meant.
    #[cfg_attr(
        test,
        schemars(
            with = "Vec<String>",
            length(max = 4096),
            inner(length(max = 49), regex(pattern = PREFIX))
        )
    )]
    #[serde(default)]
    pub(super) except: Vec<Spanned<String>>,
    /// Absent: every port of every protocol.
    #[cfg_attr(test, schemars(length(max = 64)))]
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Port {
    /// Absent: every port.
    #[cfg_attr(test, schemars(with = "Option<u16>", range(min = 1, max = 65535)))]
    pub(super) port: Option<Spanned<u16>>,
    /// The last port of a range.
    #[cfg_attr(test, schemars(with = "Option<u16>", range(min = 1, max = 65535)))]
    #[serde(rename = "endPort")]
    pub(super) end_port: Option<Spanned<u16>>,
    /// Absent: TCP, as in a Kubernetes NetworkPolicy.
    #[cfg_attr(test, schemars(with = "Option<Protocol>"))]
    pub(super) protocol: Option<Spanned<Protocol>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
    UdpLite,
    Icmp,
    Any,
}
