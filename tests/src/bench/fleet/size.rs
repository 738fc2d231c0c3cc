//! How large the fleet is, and how fast it changes.

/// A fleet. One node of it is run; the others are what the API server tells of them.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes.
    pub nodes: u32,
    /// Pods on each of them.
    pub pods: u32,
    /// Namespaces.
    pub namespaces: u32,
    /// Services; all pods are behind them.
    pub services: u32,
    /// `EgressPolicy` objects.
    pub policies: u32,
    /// EndpointSlices that change in a second, in the whole cluster.
    pub slice_changes: u32,
    /// Seconds of fleet time that are measured, which are seconds of real time.
    pub seconds: u32,
}

/// Ends in a slice: what the EndpointSlice controller fills one with.
pub(super) const ENDS: u32 = 100;
/// Every so many policies one has a rule on workloads.
const RULES_ON_WORKLOADS: u32 = 20;
/// Seconds in which one of the node's pods is replaced, with the changes that its life has.
pub(super) const REPLACED_EVERY: u32 = 10;

impl Size {
    /// Pods of the cluster.
    pub(super) const fn all_pods(&self) -> u32 {
        self.nodes * self.pods
    }

    /// Slices of each service.
    pub(super) const fn slices_each(&self) -> u32 {
        self.all_pods().div_ceil(self.services).div_ceil(ENDS)
    }

    /// Slices of the cluster.
    pub(super) const fn slices(&self) -> u32 {
        self.slices_each() * self.services
    }

    /// Whether this policy has a rule on workloads.
    pub(super) const fn is_on_workloads(number: u32) -> bool {
        number.is_multiple_of(RULES_ON_WORKLOADS)
    }

    /// The namespace that an object of this number is in.
    pub(super) fn namespace(&self, number: u32) -> String {
        format!("team-{}", number % self.namespaces)
    }
}
