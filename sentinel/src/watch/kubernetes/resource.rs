//! What is asked for: no more than the chart's ClusterRole allows.

use std::time::Duration;

use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};

/// How long a watch lasts before the server ends it and it is opened again, seconds.
pub(super) const WATCH: u32 = 240;
/// How long a server that fails is left alone, at first and at most.
pub(super) const FIRST: Duration = Duration::from_secs(1);
pub(super) const LAST: Duration = Duration::from_secs(30);

/// The group of the policies.
const POLICIES: &str = "sentinel.dev";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// This node's pods.
    Pods,
    /// Namespaces, for their labels.
    Namespaces,
    /// Services.
    Services,
    /// The ends behind services.
    EndpointSlices,
    /// Policies of namespaces.
    EgressPolicies,
    /// Policies of none.
    ClusterEgressPolicies,
    /// This node's own object, which is not watched.
    Nodes,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pods,
        Self::Namespaces,
        Self::Services,
        Self::EndpointSlices,
        Self::EgressPolicies,
        Self::ClusterEgressPolicies,
        Self::Nodes,
    ];

    /// As the API calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Namespaces => "namespaces",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::EgressPolicies => "egresspolicies",
            Self::ClusterEgressPolicies => "clusteregresspolicies",
            Self::Nodes => "nodes",
        }
    }

    /// Whether it is followed, and not only asked for.
    #[must_use]
    pub const fn is_watched(self) -> bool {
        !matches!(self, Self::Nodes)
    }

    pub(super) const fn is_about_services(self) -> bool {
        matches!(self, Self::Services | Self::EndpointSlices)
    }

    /// Group, kind, and versions that say the same, the newest first.
    const fn about(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Pods => ("", "Pod", &["v1"]),
            Self::Namespaces => ("", "Namespace", &["v1"]),
            Self::Services => ("", "Service", &["v1"]),
            Self::Nodes => ("", "Node", &["v1"]),
            Self::EndpointSlices => ("discovery.k8s.io", "EndpointSlice", &["v1", "v1beta1"]),
            Self::EgressPolicies => (POLICIES, "EgressPolicy", &["v1alpha1"]),
            Self::ClusterEgressPolicies => (POLICIES, "ClusterEgressPolicy", &["v1alpha1"]),
        }
    }
}

/// The ways to ask for it, one for each version.
pub(super) fn api(client: &Client, resource: Resource) -> Vec<Api<DynamicObject>> {
    let (group, kind, versions) = resource.about();
    let api = |version: &&str| {
        let api_version =
            if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
        let about = ApiResource {
            group: group.to_owned(),
            version: (*version).to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: resource.name().to_owned(),
        };
        Api::all_with(client.clone(), &about)
    };
    versions.iter().map(api).collect()
}
