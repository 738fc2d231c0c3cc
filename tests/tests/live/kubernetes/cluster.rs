//! The README's steps, typed into kubectl, on a node with a real kubelet: the DaemonSet becomes ready by its own
//! probes, a miner in a pod is named and cut, a policy on its pod holds, and goes on holding while the DaemonSet is
//! restarted.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::containerd::{Containerd, IMAGE, POD_NETWORK};
use sentinel_tests::kubernetes::{Client, Cluster, Kubectl, NODE, Node, agent_image};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::sniffer::{Packet, Sniffer};
use sentinel_tests::transcript::Dialect;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::scene::{NAMESPACE, within};
use crate::allowlist::says;
use crate::stage::PEER;

const MANIFEST: &str = include_str!("../../../../deploy/kubernetes/sentinel.yaml");
const DEFINITIONS: &str = include_str!("../../../../deploy/kubernetes/crds.yaml");
const SOON: Duration = Duration::from_secs(90);
/// A scheduler tries again after a minute where the port was not free yet.
const RESTART: Duration = Duration::from_secs(150);
const QUIET: Duration = Duration::from_secs(4);
const DAEMONS: &str =
    "/api/v1/namespaces/kube-system/pods?labelSelector=app.kubernetes.io/name=sentinel";

pub fn by_the_readme() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-cluster", Subnet::numbered(63))?;
    // Whatever is started from here on stands in the node's network.
    lab.in_node(|| on_the_node(&lab))
}

fn on_the_node(lab: &Lab) -> Result<()> {
    let address = lab.subnet().v4(1).to_string();
    let group = TestCgroup::unique("sentinel-cluster")?;
    let pods = format!("/{}", group.path().strip_prefix(cgroup::mount_point()?)?.display());
    lab.in_peer(|| ip(&["route", "add", POD_NETWORK, "via", &address]))?;
    ip(&["route", "add", "default", "via", &lab.subnet().v4(PEER).to_string()])?;
    let state = tempfile::tempdir()?;
    let containerd = Containerd::start_for_kubelet(lab.node(), &pods)?;
    containerd.load(&agent_image().context("no image")?)?;
    let cluster = Cluster::start_for_nodes()?;
    let node = Node::start(&cluster, &containerd, &address, &pods)?;
    let outcome = follow(lab, &cluster, group.path(), state.path());
    outcome.with_context(|| format!("the kubelet's log ends:\n{}", node.log()))
}

fn follow(lab: &Lab, cluster: &Cluster, group: &Path, state: &Path) -> Result<()> {
    let admin = cluster.admin();
    let took = within(SOON, "the node is ready", || {
        Ok(admin.get(&format!("/api/v1/nodes/{NODE}")).is_ok_and(|text| is_ready(&text)))
    })?;
    println!("the node is ready after {took:?}");
    let kubectl = cluster.kubectl()?;
    // A server of before 1.30 does not know all fields.
    kubectl.apply("--validate=false", "crds.yaml", DEFINITIONS)?;
    kubectl.apply("--validate=false", "sentinel.yaml", &manifest(group, state)?)?;
    let took = within(SOON, "the DaemonSet's pod is ready", || Ok(daemon(admin, None)?.is_some()))?;
    println!("the DaemonSet's pod is ready after {took:?}");

    let target = SocketAddr::new(lab.subnet().v4(PEER).into(), 0);
    let pool = lab.in_peer(|| Pool::start(&[target], Manner::of(Dialect::StratumV1)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let sniffer = Sniffer::start(lab)?;
    kubectl.run(&format!("create namespace {NAMESPACE}"))?;
    kubectl.apply("", "web.json", &deployment(target))?;
    let record = told(admin, "stratum", "stratum")?;
    ensure!(says(&record, "verdict", "blocked"), "{record}");
    ensure!(pool.record().requests() == 0, "the pool was asked for work");
    ensure!(!pool.record().connections.is_empty(), "nobody came to the pool: nothing is shown");

    kubectl.apply("", "nowhere.yaml", &policy())?;
    let record = told(admin, "egress", "not_allowlisted")?;
    ensure!(says(&record, "policy", &format!("{NAMESPACE}/nowhere")), "{record}");
    let reached = || reached(&sniffer, target).len();
    let quiet_since = settled(&reached);
    listed(&kubectl)?;
    let taking_over = restart(admin, &kubectl)?;
    std::thread::sleep(QUIET);
    let all = self::reached(&sniffer, target);
    let new = all.get(quiet_since..).unwrap_or_default();
    ensure!(new.is_empty(), "this came through, an agent started at {taking_over:?}: {new:?}");
    // The witness sees what is sent: without the policy the same pod gets through to the pool again.
    kubectl.run("delete -f nowhere.yaml")?;
    within(SOON, "the pod reaches the pool again", || Ok(reached() > quiet_since))?;
    ensure!(pool.record().requests() == 0, "the pool was asked for work");
    Ok(())
}

/// What the chart renders, but for what this machine has not got: the agent is held to the test's cgroup, as
/// others are tested beside it; its state is the test's; a capability that root lacks cannot be given.
fn manifest(group: &Path, state: &Path) -> Result<String> {
    let settings = format!(
        "mode: enforce\n    cgroup: {}\n    pin: /sys/fs/bpf/sentinel-cluster",
        group.display()
    );
    let own = format!("hostPath: {{ path: {},", state.display());
    let mut text = MANIFEST.replace("mode: audit", &settings);
    text = text.replace("hostPath: { path: /run/sentinel,", &own);
    ensure!(text.contains(&settings) && text.contains(&own), "the manifest is another");
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bounding =
        status.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("no CapBnd")?;
    let may_raise_limits = u64::from_str_radix(bounding.trim(), 16)? >> 24 & 1 == 1;
    if !may_raise_limits {
        println!("SYS_RESOURCE is not given: this machine's root has not got it");
        text = text.replace("                - SYS_RESOURCE\n", "");
    }
    Ok(text)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let done = std::process::Command::new("ip").args(arguments).status()?;
    ensure!(done.success(), "ip {arguments:?}: {done}");
    Ok(())
}

fn is_ready(object: &str) -> bool {
    let object: Value = serde_json::from_str(object).unwrap_or_default();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|one| says(one, "type", "Ready") && says(one, "status", "True"))
}

/// The name of the agent's pod that is ready, and not this one.
fn daemon(admin: &Client, before: Option<&str>) -> Result<Option<String>> {
    let pods = admin.send("GET", DAEMONS, None)?;
    let items = pods.get("items").and_then(Value::as_array).into_iter().flatten();
    let name =
        |pod: &Value| pod.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    let is_it = |pod: &&Value| is_ready(&pod.to_string()) && name(pod).as_deref() != before;
    Ok({ items }.find(is_it).and_then(name))
}

/// Nothing may be reached.
fn policy() -> String {
    format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\n\
         metadata: {{name: nowhere, namespace: {NAMESPACE}}}\n\
         spec: {{workload: {{podSelector: {{matchLabels: {{app: web}}}}}}, mode: enforce, egress: []}}\n"
    )
}

/// The policy with its columns: under enforcement, accepted, on one node.
fn listed(kubectl: &Kubectl) -> Result<()> {
    let mut table = String::new();
    let took = within(SOON, "the policy's columns are filled", || {
        table = kubectl.run(&format!("get egresspolicies -n {NAMESPACE}"))?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let head = lines.next().unwrap_or_default();
        ensure!(head == ["NAME", "MODE", "ACCEPTED", "NODES", "HITS", "AGE"], "{table}");
        let row = lines.next().unwrap_or_default();
        Ok(row.get(..4) == Some(&["nowhere", "enforce", "True", "1"]))
    })?;
    println!("after {took:?} kubectl says:\n{table}");
    Ok(())
}

/// A Deployment that tries to mine all the time.
fn deployment(target: SocketAddr) -> String {
    let script =
        format!("while true; do /bin/sentinel-lab miner {target}; /bin/busybox sleep 0.3; done");
    let container = json!({"name": "app", "image": IMAGE, "imagePullPolicy": "Never",
        "command": ["/bin/busybox", "sh", "-c", script]});
    let labels = json!({"app": "web"});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}}})
    .to_string()
}

/// The first event of a kind and a reason in the agent's log, which names the pod and whose it is.
fn told(admin: &Client, kind: &str, reason: &str) -> Result<Value> {
    let mut found = None;
    within(SOON, &format!("an event {kind}, {reason} of the Deployment's pod"), || {
        let Some(pod) = daemon(admin, None)? else { return Ok(false) };
        let log = admin.get(&format!("/api/v1/namespaces/kube-system/pods/{pod}/log"))?;
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let named = |record: &Value| record.pointer("/workload/owner/name").is_some();
        found = { records }
            .find(|it| says(it, "kind", kind) && says(it, "reason", reason) && named(it));
        Ok(found.is_some())
    })?;
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

/// When the peer's side has seen attempts to reach the pool: segments that open a connection or carry
/// something. One that ends a connection of before is none.
fn reached(sniffer: &Sniffer, target: SocketAddr) -> Vec<Duration> {
    let capture = sniffer.capture();
    let to_pool = capture.packets().filter(|(_, packet)| packet.dst == target.ip());
    let is_attempt = |packet: &Packet<'_>| {
        packet
            .tcp()
            .is_none_or(|it| it.dst_port == target.port() && (it.syn || !it.payload.is_empty()))
    };
    to_pool.filter(|(_, packet)| is_attempt(packet)).map(|(frame, _)| frame.time).collect()
}

/// The count once it has stopped growing: what was under way when the policy came is over.
fn settled(reached: &impl Fn() -> usize) -> usize {
    let mut before = reached();
    for _ in 0..10 {
        std::thread::sleep(QUIET / 2);
        let now = reached();
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// From when on the new agent ran, until it was ready.
fn restart(admin: &Client, kubectl: &Kubectl) -> Result<Range<Duration>> {
    let before = daemon(admin, None)?.context("the agent's pod is not ready")?;
    kubectl.run("rollout restart daemonset sentinel -n kube-system")?;
    let took = within(RESTART, "another pod of the DaemonSet is ready", || {
        Ok(daemon(admin, Some(&before))?.is_some())
    })?;
    let ready = now()?;
    println!("the DaemonSet was restarted within {took:?}");
    let name = daemon(admin, Some(&before))?.context("it is not ready any more")?;
    let pod = admin.send("GET", &format!("/api/v1/namespaces/kube-system/pods/{name}"), None)?;
    let started = pod.pointer("/status/containerStatuses/0/state/running/startedAt");
    let started = started.and_then(Value::as_str).context("it says not since when it runs")?;
    let started = OffsetDateTime::parse(started, &Rfc3339)?.unix_timestamp();
    Ok(Duration::from_secs(started.try_into()?)..ready)
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}
