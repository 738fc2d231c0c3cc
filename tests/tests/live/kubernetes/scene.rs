//! A cluster with an agent that asks its API server, and a pod of the agent's node.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::kubernetes::Cluster;
use sentinel_tests::netlab::{Lab, Subnet};
use serde_json::{Value, json};

use crate::allowlist::errno;
use crate::stage::File;

pub const NODE: &str = "node-1";
pub const NAMESPACE: &str = "shop";
pub const OTHER: u8 = 3;
pub const PORT: u16 = 7001;
pub const SOON: Duration = Duration::from_secs(40);
/// Kinds of objects that the agent watches.
pub const KINDS: f64 = 6.0;
/// Of a connection that a policy denies.
pub const EPERM: Option<i32> = Some(1);
/// Of one that gets through to where nobody listens.
pub const ECONNREFUSED: Option<i32> = Some(111);
const WAIT: Duration = Duration::from_millis(400);
/// Where the chart puts the agent.
const SYSTEM: &str = "kube-system";
const ACCOUNT: &str = "sentinel";
/// What the chart renders.
const MANIFEST: &str = include_str!("../../../../deploy/kubernetes/sentinel.yaml");
pub const DEFINITIONS: &str = include_str!("../../../../deploy/kubernetes/crds.yaml");

/// Dropped in this order.
pub struct Scene {
    pub agent: Agent,
    pub container: TestCgroup,
    _pod_group: TestCgroup,
    pub group: TestCgroup,
    pub lab: Lab,
    pub cluster: Cluster,
    /// The pod's object.
    pub pod: Value,
    /// What the chart grants.
    pub granted: Vec<Value>,
    /// The policy's, and the settings'.
    files: Vec<File>,
}

impl Scene {
    /// `policy` is a file's text.
    pub fn begin(name: &str, number: u8, policy: impl FnOnce(&Lab) -> String) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        let cluster = Cluster::start()?;
        let admin = cluster.admin();
        eventually("the system's namespace is there", || {
            Ok(admin.get(&format!("/api/v1/namespaces/{SYSTEM}")).is_ok())
        })?;
        admin.apply(DEFINITIONS, &["CustomResourceDefinition"])?;
        let grants = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
        let granted = admin.apply(MANIFEST, &grants)?;
        admin.create(&json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"team": "a"}}}))?;
        node(&cluster, NODE)?;
        let pod = pod(&cluster, "web-6d4c-x", NODE)?;
        let uid = pod.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?;
        let group = TestCgroup::unique(name)?;
        let pod_group = group.child(&format!("pod{uid}"))?;
        let container = pod_group.child(&"b".repeat(64))?;
        let policy = File::new(name, &policy(&lab))?;
        let config = config(&cluster, name, NODE)?;
        let arguments =
            ["--mode", "enforce", "--policy", policy.path()?, "--config", config.path()?];
        let agent = Agent::start(&group, &arguments)?;
        let files = vec![policy, config];
        Ok(Self {
            agent,
            container,
            _pod_group: pod_group,
            group,
            lab,
            cluster,
            pod,
            granted,
            files,
        })
    }

    /// Another text in the policy's file.
    pub fn write_policy(&self, text: &str) -> Result<()> {
        let file = self.files.first().context("no file")?;
        std::fs::write(file.path()?, text)?;
        Ok(())
    }

    /// The agent's name at the server.
    pub fn user() -> String {
        format!("system:serviceaccount:{SYSTEM}:{ACCOUNT}")
    }

    /// What a `connect(2)` from the pod's container to a host of the peer's comes to.
    pub fn connect(&self, host: u8) -> Result<Option<i32>> {
        self.connect_to(SocketAddr::new(self.lab.subnet().v4(host).into(), PORT))
    }

    /// The same to anywhere.
    pub fn connect_to(&self, target: SocketAddr) -> Result<Option<i32>> {
        let home = self.group.path().parent().context("no parent")?;
        cgroup::join(self.container.path())?;
        let outcome = self.lab.in_node(|| Ok(errno(TcpStream::connect_timeout(&target, WAIT))));
        cgroup::join(home)?;
        outcome
    }

    pub fn end(self) -> Result<()> {
        ensure!(self.agent.stop()?.success(), "the agent did not end well");
        Ok(())
    }
}

/// An agent's settings: the server is asked as the chart's service account asks it.
pub fn config(cluster: &Cluster, name: &str, node: &str) -> Result<File> {
    let kubeconfig = cluster.kubeconfig(SYSTEM, ACCOUNT)?;
    let kubeconfig = kubeconfig.display();
    // This machine is not of the cloud that its node's object says.
    let text = format!(
        "cri: []\nnode: {{metadataService: off}}\nkubernetes: {{node: {node}, kubeconfig: {kubeconfig}}}\n"
    );
    File::new(name, &text)
}

/// Who writes the status of policies for all nodes.
pub fn writer(cluster: &Cluster) -> Result<String> {
    let path =
        format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/sentinel-policy-status");
    let lease = cluster.admin().send("GET", &path, None)?;
    let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
    Ok(holder.context("nobody writes")?.to_owned())
}

/// A node as a cloud's controller has left it.
pub fn node(cluster: &Cluster, name: &str) -> Result<()> {
    let labels = json!({"topology.kubernetes.io/region": "eu-central-1",
        "topology.kubernetes.io/zone": "eu-central-1a"});
    cluster.admin().create(&json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": "aws:///eu-central-1a/i-0abc1234567890def"}}))?;
    Ok(())
}

/// A running pod on a node, of a Deployment.
pub fn pod(cluster: &Cluster, name: &str, node: &str) -> Result<Value> {
    let pod = cluster.admin().create(&json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE,
            "labels": {"app": "web", "pod-template-hash": "6d4c"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4c",
                "uid": "0f3e9d4c-1111-2222-3333-444455556666", "controller": true}]},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "web:1"}]}}))?;
    let status = json!({"status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}],
        "containerStatuses": [{"name": "app", "image": "web:1", "imageID": "", "ready": true,
            "restartCount": 0, "containerID": format!("containerd://{}", "b".repeat(64)),
            "state": {"running": {}}}]}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status");
    cluster.admin().send("PATCH", &path, Some(&status))?;
    Ok(pod)
}

pub fn eventually(what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    within(SOON, what, holds).map(drop)
}

/// How long it took.
pub fn within(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begun.elapsed())
}
