//! A node of a cluster: a real kubelet on a containerd of the tests' own, with the controllers and the
//! scheduler that give it pods. All run in the calling thread's network namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use super::{Cluster, operator};
use crate::containerd::Containerd;
use crate::process::{Placement, Running, program};

/// The node's name.
pub const NODE: &str = "node-1";
/// What runs a node, beside the server.
const NEEDED: [(&str, &str); 3] = [
    ("SENTINEL_KUBELET", "kubelet"),
    ("SENTINEL_KUBE_CONTROLLER_MANAGER", "kube-controller-manager"),
    ("SENTINEL_KUBE_SCHEDULER", "kube-scheduler"),
];
/// Where version 1 of cgroups is; this kubelet was tried with no other.
const V1: &str = "/sys/fs/cgroup/cpuset";

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let absent = NEEDED.iter().find(|(variable, name)| program(variable, name).is_none());
    let conditions = [
        (agent_image().is_some(), "the agent's image and buildah"),
        (Path::new(V1).is_dir(), "cgroups of version 1"),
    ];
    let unmet = conditions.into_iter().find(|(holds, _)| !holds);
    let absent = absent.map(|(_, name)| *name).or_else(operator::missing);
    absent.or_else(|| unmet.map(|(_, what)| what))
}

/// The agent's image, an OCI archive that was put together as the shipped one is.
#[must_use]
pub fn agent_image() -> Option<PathBuf> {
    std::env::var_os("SENTINEL_IMAGE").map(PathBuf::from).filter(|path| path.is_file())
}

/// A running node; dropped, it is gone, and its pods are with its containerd.
#[derive(Debug)]
pub struct Node {
    _running: Vec<Running>,
    folder: TempDir,
}

impl Node {
    /// Starts one whose pods' cgroups are made in `pods`, a cgroup by its path from the root.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start(
        cluster: &Cluster,
        containerd: &Containerd,
        address: &str,
        pods: &str,
    ) -> Result<Self> {
        // A kubelet's folder has sockets in it, and their paths must be short.
        let folder = tempfile::Builder::new().prefix("sentinel-node-").tempdir()?;
        let kubeconfig = format!("--kubeconfig={}", cluster.admin_kubeconfig()?.display());
        make_groups(pods)?;
        let [kubelet, manager, scheduler] =
            NEEDED.map(|(variable, name)| program(variable, name).context(name));
        let of_cluster = |name: &str| cluster.folder.path().join(name).display().to_string();
        let single = ["--leader-elect=false", "--port=0", "--secure-port=0"];
        let mut managing = Command::new(manager?);
        managing.arg(&kubeconfig).args(single).args([
            format!("--service-account-private-key-file={}", of_cluster("sa.key")),
            format!("--root-ca-file={}", of_cluster("tls.crt")),
        ]);
        let mut scheduling = Command::new(scheduler?);
        scheduling.arg(&kubeconfig).args(single);
        let config = folder.path().join("kubelet.json");
        fs::write(&config, settings(pods))?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut running = Command::new("nsenter");
        running.arg(format!("--mount={}", containerd.mounts()?.display())).arg(kubelet?);
        running.arg(&kubeconfig).args(["--container-runtime=remote", "--register-node=true"]).args(
            [
                format!("--config={}", config.display()),
                format!("--container-runtime-endpoint=unix://{}", containerd.socket().display()),
                format!("--hostname-override={NODE}"),
                format!("--root-dir={}", at("kubelet")),
                format!("--cert-dir={}", at("certificates")),
                format!("--node-ip={address}"),
            ],
        );
        let named = [("manager", managing), ("scheduler", scheduling), ("kubelet", running)];
        let mut started = Vec::new();
        for (name, command) in named {
            started.push(start(folder.path(), name, command)?);
        }
        Ok(Self { _running: started, folder })
    }

    /// The end of what the kubelet wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("kubelet.log")).unwrap_or_default();
        let from = log.len().saturating_sub(4000);
        log.get(from..).unwrap_or(&log).to_owned()
    }
}

fn start(folder: &Path, name: &str, mut command: Command) -> Result<Running> {
    let log = fs::File::create(folder.join(format!("{name}.log")))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/");
    Placement::default().spawn(command)
}

/// A kubelet expects the folder around its pods' cgroups in every hierarchy.
fn make_groups(pods: &str) -> Result<()> {
    let within = pods.trim_start_matches('/');
    for hierarchy in fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let folder: PathBuf = hierarchy.path().join(within);
        // A link to one of the others, or none.
        if hierarchy.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
    }
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let all = fs::read_to_string(Path::new(V1).join(name))?;
        let mut folder = PathBuf::from(V1);
        for part in Path::new(within) {
            folder.push(part);
            fs::write(folder.join(name), all.trim())?;
        }
    }
    Ok(())
}

/// Root of such a machine may lack `CAP_SYS_RESOURCE`: nobody's `oom_score_adj` is lowered.
fn settings(pods: &str) -> String {
    json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs", "cgroupRoot": pods, "enforceNodeAllocatable": [], "failSwapOn": false,
        "oomScoreAdj": 0, "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"}, "readOnlyPort": 0, "healthzPort": 0,
        "evictionHard": {"memory.available": "10Mi"}, "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s", "syncFrequency": "5s"})
    .to_string()
}
