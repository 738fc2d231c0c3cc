//! Figures under the agent's name, made and registered at once.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("sentinel_{name}"), help)
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(opts(name, help), labels)?)
}

pub(super) fn plain(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    register(registry, IntCounter::with_opts(opts(name, help))?)
}

pub(super) fn kinds(
    registry: &Registry,
    name: &str,
    help: &str,
) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(opts(name, help), &["kind"])?)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    register(registry, IntGauge::with_opts(opts(name, help))?)
}

pub(super) fn register<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> prometheus::Result<M> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
