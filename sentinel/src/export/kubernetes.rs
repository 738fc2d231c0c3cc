//! Figures on the Kubernetes API server that is asked.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::registry::{counters, gauge, kinds};
use crate::watch::kubernetes::Resource;

const FAILURES: &str =
    "Lists and watches that the Kubernetes API server ended with an error or did not answer.";
const ANSWERING: &str = "Kinds of objects that the Kubernetes API server tells of now; of the others what it told last counts.";
const OBJECTS: &str = "What is known of Kubernetes: pods of this node, namespaces, addresses of services, policies and those of them that are refused.";

/// All of them; clones share them.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    failures: IntCounterVec,
    answering: IntGauge,
    objects: IntGaugeVec,
}

impl Kubernetes {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let figures = Self {
            failures: counters(registry, "kubernetes_failures_total", FAILURES, &["resource"])?,
            answering: gauge(registry, "kubernetes_watches_answering", ANSWERING)?,
            objects: kinds(registry, "kubernetes_objects", OBJECTS)?,
        };
        for resource in Resource::ALL {
            figures.failures.with_label_values(&[resource.name()]);
        }
        for kind in ["pod", "namespace", "service_address", "policy", "refused_policy"] {
            figures.known(kind, 0);
        }
        Ok(figures)
    }

    /// Counts a failure.
    pub fn failed(&self, resource: Resource) {
        self.failures.with_label_values(&[resource.name()]).inc();
    }

    /// How many kinds are told of.
    pub fn answering(&self, count: usize) {
        self.answering.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many of a kind are known.
    pub fn known(&self, kind: &str, count: usize) {
        self.objects.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
