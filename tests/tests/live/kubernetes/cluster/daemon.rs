//! The DaemonSet's pod on the node, and what it tells.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::containerd::IMAGE;
use sentinel_tests::kubernetes::{Client, Operator};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::scene::{NAMESPACE, within};
use super::SOON;
use crate::allowlist::says;

/// A scheduler tries again after a minute where the port was not free yet.
const RESTART: Duration = Duration::from_secs(150);
/// Lines of an agent's log that are shown where something fails.
const LAST: usize = 12;
const PODS: &str = "/api/v1/namespaces/kube-system/pods";

/// Waits for the agent's pod to be ready by its own probes.
pub fn ready(admin: &Client) -> Result<()> {
    let took = within(SOON, "the DaemonSet's pod is ready", || Ok(name(admin, None)?.is_some()))?;
    println!("the DaemonSet's pod is ready after {took:?}");
    Ok(())
}

/// Waits until there is none.
pub fn gone(admin: &Client) -> Result<()> {
    within(SOON, "the DaemonSet's pod is gone", || Ok(pods(admin)?.is_empty())).map(drop)
}

/// The image that its container was started from.
pub fn image(admin: &Client) -> Result<String> {
    let pods = pods(admin)?;
    let image = pods.first().and_then(|pod| pod.pointer("/status/containerStatuses/0/image"));
    Ok(image.and_then(Value::as_str).context("the pod has no image")?.to_owned())
}

/// The first event of the agent's log with these fields that names the Deployment's pod and whose it is.
pub fn told(admin: &Client, fields: &[(&str, &str)]) -> Result<Value> {
    let (mut found, mut last) = (None, String::new());
    let told = within(SOON, &format!("an event of the Deployment's pod with {fields:?}"), || {
        let Some(pod) = name(admin, None)? else { return Ok(false) };
        let log = admin.get(&format!("{PODS}/{pod}/log?container=sentinel"))?;
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let named = |record: &Value| record.pointer("/workload/owner/name").is_some();
        let is_it = |record: &Value| fields.iter().all(|(key, value)| says(record, key, value));
        found = { records }.find(|record| is_it(record) && named(record));
        last = log.lines().rev().take(LAST).collect::<Vec<_>>().join("\n");
        Ok(found.is_some())
    });
    told.with_context(|| format!("the agent's last lines, the newest first:\n{last}"))?;
    let record = found.context("no record")?;
    let workload = record.get("workload").context("no workload")?;
    let pod = workload.get("pod").and_then(Value::as_str).unwrap_or_default();
    ensure!(pod.starts_with("web-"), "{record}");
    for (key, value) in [("namespace", NAMESPACE), ("container_name", "app"), ("image", IMAGE)] {
        ensure!(says(workload, key, value), "{key} is not {value}: {record}");
    }
    let owner = workload.get("owner").context("no owner")?;
    ensure!(says(owner, "kind", "Deployment") && says(owner, "name", "web"), "{record}");
    Ok(record)
}

/// Restarts it; from when on the new agent ran, until it was ready.
pub fn restart(admin: &Client, operator: &Operator) -> Result<Range<Duration>> {
    let took = replaced(admin, || {
        operator.types("kubectl rollout restart daemonset sentinel -n kube-system").map(drop)
    })?;
    let ready = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    println!("the DaemonSet was restarted within {took:?}");
    let pods = pods(admin)?;
    let started = pods.first().and_then(|pod| {
        pod.pointer("/status/containerStatuses/0/state/running/startedAt")?.as_str()
    });
    let started =
        OffsetDateTime::parse(started.context("it says not since when it runs")?, &Rfc3339)?;
    Ok(Duration::from_secs(started.unix_timestamp().try_into()?)..ready)
}

/// Has something done that replaces the pod; how long it took until the next one was ready.
pub fn replaced(admin: &Client, by: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let before = name(admin, None)?.context("the agent's pod is not ready")?;
    by()?;
    within(RESTART, "another pod of the DaemonSet is ready", || {
        Ok(name(admin, Some(&before))?.is_some())
    })
}

fn pods(admin: &Client) -> Result<Vec<Value>> {
    let path = format!("{PODS}?labelSelector=app.kubernetes.io/name=sentinel");
    let list = admin.send("GET", &path, None)?;
    Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// The name of the one that is ready, and not this one.
fn name(admin: &Client, before: Option<&str>) -> Result<Option<String>> {
    let name =
        |pod: &Value| pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    let pods = pods(admin)?;
    let is_it = |pod: &&Value| super::is_ready(pod) && name(pod).as_deref() != before;
    Ok(pods.iter().find(is_it).and_then(name))
}
