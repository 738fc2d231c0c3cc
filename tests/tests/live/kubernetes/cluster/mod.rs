//! The README's steps, typed as they stand there, on a node with a real kubelet: the image is pushed to a registry and
//! pulled from it, helm installs the chart, an audit tells of a miner and enforcement cuts it, a policy on its pod
//! holds while the DaemonSet is restarted; then all of it is taken away, and the plain manifests are tried.

mod daemon;
mod readme;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::containerd::{Containerd, IMAGE, POD_NETWORK, Registry};
use sentinel_tests::kubernetes::{Cluster, NODE, Node, Operator, agent_image};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::sniffer::{Packet, Sniffer};
use sentinel_tests::transcript::Dialect;
use serde_json::{Value, json};

use super::scene::{NAMESPACE, within};
use crate::allowlist::says;
use crate::stage::PEER;
use readme::Commands;

const MANIFEST: &str = include_str!("../../../../../deploy/kubernetes/sentinel.yaml");
const REGISTRY_PORT: u16 = 5000;
/// What the chart's unpinning and pinning is about; the node has a bpffs of its own.
const PIN: &str = "/sys/fs/bpf/sentinel";
const SOON: Duration = Duration::from_secs(90);
/// More attempts than are under way at any moment.
const MANY: usize = 20;
const QUIET: Duration = Duration::from_secs(4);

pub fn by_the_readme() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-cluster", Subnet::numbered(63))?;
    // Whatever is started from here on stands in the node's network.
    lab.in_node(|| on_the_node(&lab))
}

fn on_the_node(lab: &Lab) -> Result<()> {
    let address = lab.subnet().v4(1);
    let group = TestCgroup::unique("sentinel-cluster")?;
    let pods = format!("/{}", group.path().strip_prefix(cgroup::mount_point()?)?.display());
    lab.in_peer(|| ip(&["route", "add", POD_NETWORK, "via", &address.to_string()]))?;
    ip(&["route", "add", "default", "via", &lab.subnet().v4(PEER).to_string()])?;
    let state = tempfile::tempdir()?;
    let registry = Registry::start(SocketAddr::new(address.into(), REGISTRY_PORT))?;
    let containerd = Containerd::start_for_kubelet(lab.node(), &pods)?;
    containerd.trust(&registry)?;
    let cluster = Cluster::start_for_nodes()?;
    let node = Node::start(&cluster, &containerd, &address.to_string(), &pods)?;
    let here = Here { lab, cluster: &cluster, group: group.path(), state: state.path() };
    let outcome = here.follow(&containerd, &registry);
    outcome.with_context(|| format!("the kubelet's log ends:\n{}", node.log()))
}

/// Where it happens, and what this machine has not got: the agent is held to the test's cgroup, as others are
/// tested beside it; its state is the test's; a capability that root lacks cannot be given.
struct Here<'a> {
    lab: &'a Lab,
    cluster: &'a Cluster,
    group: &'a Path,
    state: &'a Path,
}

impl Here<'_> {
    fn follow(&self, containerd: &Containerd, registry: &Registry) -> Result<()> {
        let admin = self.cluster.admin();
        let took = within(SOON, "the node is ready", || {
            Ok(admin
                .send("GET", &format!("/api/v1/nodes/{NODE}"), None)
                .is_ok_and(|it| is_ready(&it)))
        })?;
        println!("the node is ready after {took:?}");
        let mut operator = self.cluster.operator()?;
        let archive = agent_image().context("no image")?;
        operator.has_image(&archive)?;
        operator.trust(registry.certificate());
        let target = SocketAddr::new(self.lab.subnet().v4(PEER).into(), 0);
        let pool = self.lab.in_peer(|| Pool::start(&[target], Manner::of(Dialect::StratumV1)))?;
        let target = *pool.addresses().first().context("the pool has no address")?;
        let commands = Commands::read()?;
        let sniffer = Sniffer::start(self.lab)?;
        let witness = Witness { sniffer: &sniffer, target };
        self.by_helm(&operator, &commands, registry, &witness)?;
        let before = pool.record().requests();
        ensure!(before > 0, "nothing was let through under audit: nothing is shown");
        self.without_helm(&operator, &commands, containerd, &archive)?;
        Ok(())
    }

    fn by_helm(
        &self,
        operator: &Operator,
        commands: &Commands,
        registry: &Registry,
        witness: &Witness<'_>,
    ) -> Result<()> {
        let admin = self.cluster.admin();
        let name = registry.name();
        // By its words: what the README says of an image is what is pushed, installed, and runs.
        let types = |words: &str| {
            let line = commands.beginning(words)?.replace("REGISTRY", &name);
            operator.types(&line)
        };
        commands.beginning("cargo xtask image --check")?;
        types("skopeo copy")?;
        operator.write("here.yaml", &self.values()?.to_string())?;
        let install = commands.beginning("helm install")?.replace("REGISTRY", &name);
        // One of before 1.25 does not know CEL, and takes no field that it does not know when it merges.
        operator.types(&format!("{install} -f here.yaml --server-side=false"))?;
        daemon::ready(admin)?;
        let image = daemon::image(admin)?;
        ensure!(image == format!("{name}/sentinel:0.1.0"), "{image} runs");

        operator.types(&format!("kubectl create namespace {NAMESPACE}"))?;
        operator.write("web.json", &deployment(witness.target))?;
        operator.types("kubectl apply -f web.json")?;
        daemon::told(admin, &[("kind", "stratum"), ("verdict", "audited")])?;

        operator.write("policy.yaml", &policy())?;
        types("kubectl apply -f policy.yaml")?;
        let record = daemon::told(admin, &[("kind", "egress"), ("verdict", "audited")])?;
        ensure!(says(&record, "policy", &format!("{NAMESPACE}/nowhere")), "{record}");
        listed(|| types("kubectl get egresspolicies"))?;

        types(
            "helm upgrade sentinel deploy/helm/sentinel -n kube-system --reuse-values --set config.mode=enforce",
        )?;
        let record = daemon::told(admin, &[("kind", "egress"), ("verdict", "blocked")])?;
        ensure!(says(&record, "reason", "not_allowlisted"), "{record}");
        let quiet_since = witness.settled();
        let taking_over = daemon::restart(admin, operator)?;
        std::thread::sleep(QUIET);
        let all = witness.reached();
        let new = all.get(quiet_since..).unwrap_or_default();
        ensure!(new.is_empty(), "this came through, an agent started at {taking_over:?}: {new:?}");

        // Mining is cut where the policy is not: the pod reaches the pool, and gets no work from it.
        operator.types("kubectl delete -f policy.yaml")?;
        within(SOON, "the pod reaches the pool again", || {
            Ok(witness.reached().len() > quiet_since)
        })?;
        daemon::told(admin, &[("kind", "stratum"), ("verdict", "blocked")])?;
        operator.types("kubectl apply -f policy.yaml")?;
        self.taken_away(operator, commands, witness)
    }

    /// Nothing is enforced afterwards, although the policy is still an object; then that goes, too.
    fn taken_away(
        &self,
        operator: &Operator,
        commands: &Commands,
        witness: &Witness<'_>,
    ) -> Result<()> {
        let admin = self.cluster.admin();
        witness.settled();
        let unpin = commands.beginning(
            "helm upgrade sentinel deploy/helm/sentinel -n kube-system --reuse-values --set unpin=",
        )?;
        daemon::replaced(admin, || operator.types(unpin).map(drop))?;
        operator.types(commands.beginning("helm uninstall")?)?;
        daemon::gone(admin)?;
        let without = witness.reached().len();
        within(SOON, "the pod reaches the pool without an agent", || {
            Ok(witness.reached().len() > without + MANY)
        })?;
        operator.types(commands.beginning("kubectl delete crd")?).map(drop)
    }

    /// The plain manifests, of the image as it is imported.
    fn without_helm(
        &self,
        operator: &Operator,
        commands: &Commands,
        containerd: &Containerd,
        archive: &Path,
    ) -> Result<()> {
        let admin = self.cluster.admin();
        containerd.load(archive)?;
        // A server of before 1.30 does not know all fields.
        let apply = |file: &str| -> Result<String> {
            let line = commands.beginning(&format!("kubectl apply -f deploy/kubernetes/{file}"))?;
            Ok(line.replace("apply", "apply --validate=false"))
        };
        operator.types(&apply("crds.yaml")?)?;
        operator.write("sentinel.yaml", &self.manifest()?)?;
        operator.types(&apply("sentinel.yaml")?.replace("deploy/kubernetes/", ""))?;
        daemon::ready(admin)?;
        daemon::told(admin, &[("kind", "stratum"), ("verdict", "blocked")])?;
        operator.write("policy.yaml", &policy())?;
        operator.types("kubectl apply -f policy.yaml")?;
        listed(|| operator.types(commands.beginning("kubectl get egresspolicies")?))
    }

    fn values(&self) -> Result<Value> {
        let mut capabilities =
            vec!["BPF", "PERFMON", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"];
        if may_raise_limits()? {
            capabilities.push("SYS_RESOURCE");
        } else {
            println!("SYS_RESOURCE is not given: this machine's root has not got it");
        }
        Ok(json!({"stateDir": self.state.join("helm"), "capabilities": capabilities,
            "config": {"cgroup": self.group, "pin": PIN}}))
    }

    fn manifest(&self) -> Result<String> {
        let settings = format!("mode: enforce\n    cgroup: {}", self.group.display());
        let own = format!("hostPath: {{ path: {},", self.state.join("plain").display());
        let mut text = MANIFEST.replace("mode: audit", &settings);
        text = text.replace("hostPath: { path: /run/sentinel,", &own);
        ensure!(text.contains(&settings) && text.contains(&own), "the manifest is another");
        if !may_raise_limits()? {
            text = text.replace("                - SYS_RESOURCE\n", "");
        }
        Ok(text)
    }
}

fn may_raise_limits() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bounding =
        status.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("no CapBnd")?;
    Ok(u64::from_str_radix(bounding.trim(), 16)? >> 24 & 1 == 1)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let done = std::process::Command::new("ip").args(arguments).status()?;
    ensure!(done.success(), "ip {arguments:?}: {done}");
    Ok(())
}

fn is_ready(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|one| says(one, "type", "Ready") && says(one, "status", "True"))
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
fn listed(get: impl Fn() -> Result<String>) -> Result<()> {
    let mut table = String::new();
    let took = within(SOON, "the policy's columns are filled", || {
        table = get()?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let head = lines.next().unwrap_or_default();
        ensure!(
            head == ["NAMESPACE", "NAME", "MODE", "ACCEPTED", "NODES", "HITS", "AGE"],
            "{table}"
        );
        let row = lines.next().unwrap_or_default();
        Ok(row.get(..5) == Some(&[NAMESPACE, "nowhere", "enforce", "True", "1"]))
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

/// Who sees at the peer's side what gets out.
struct Witness<'a> {
    sniffer: &'a Sniffer,
    target: SocketAddr,
}

impl Witness<'_> {
    /// When attempts to reach the pool were seen: segments that open a connection or carry something. One that
    /// ends a connection of before is none.
    fn reached(&self) -> Vec<Duration> {
        let capture = self.sniffer.capture();
        let to_pool = capture.packets().filter(|(_, packet)| packet.dst == self.target.ip());
        let is_attempt = |packet: &Packet<'_>| {
            packet.tcp().is_none_or(|it| {
                it.dst_port == self.target.port() && (it.syn || !it.payload.is_empty())
            })
        };
        to_pool.filter(|(_, packet)| is_attempt(packet)).map(|(frame, _)| frame.time).collect()
    }

    /// The count once it has stopped growing: what was under way when the policy came is over.
    fn settled(&self) -> usize {
        let mut before = self.reached().len();
        for _ in 0..10 {
            std::thread::sleep(QUIET / 2);
            let now = self.reached().len();
            if now == before {
                break;
            }
            before = now;
        }
        before
    }
}
