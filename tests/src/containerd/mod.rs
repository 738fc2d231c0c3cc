//! A containerd of the tests' own, with its own folders, socket, network namespace and cgroups, and
//! the calls that a kubelet would make.

mod cri;
mod image;
mod messages;
mod registry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use cri::{Cri, Output, Pod, PodSpec};
pub use registry::{Registry, missing as missing_for_registry};

use crate::cgroup::TestCgroup;
use crate::netlab::NetNs;
use crate::process::{Placement, Running, lab_program, on_path};

/// The image of every test container: busybox and `sentinel-lab`.
pub const IMAGE: &str = "registry.test/lab:1";
/// Where pods' addresses are from: one container runtime at a time.
pub const POD_NETWORK: &str = "10.88.41.0/24";
/// What must be installed, with the folder of the network plugins last.
const NEEDED: [&str; 4] = ["containerd", "runc", "ctr", "busybox"];
const PLUGINS: &str = "/usr/lib/cni";
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// What stays of a kubelet's logs and of pinned programs goes with the namespace.
const MOUNTS: &str = "mount -t tmpfs logs /var/log && mount -t bpf bpf /sys/fs/bpf && \
    mount --make-rshared / && exec \"$0\" \"$@\"";

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let absent = NEEDED.into_iter().find(|name| on_path(name).is_none());
    absent.or_else(|| (!Path::new(PLUGINS).join("ptp").exists()).then_some("network plugins"))
}

/// A running containerd; dropped, it and all that it runs are gone.
#[derive(Debug)]
pub struct Containerd {
    running: Option<Running>,
    netns: PathBuf,
    cgroup: TestCgroup,
    /// Its pods' cgroup, from every hierarchy's root.
    pods: String,
    /// Whether mounts that a kubelet makes are its own too, as where a systemd has shared them.
    shared: bool,
    /// Dropped last.
    folder: TempDir,
}

impl Containerd {
    /// Starts one in a network namespace. Its pods' cgroups are made in `pods`, a cgroup by its path
    /// from the root.
    ///
    /// # Errors
    /// When it does not start; its log is in the message.
    pub fn start(netns: &NetNs, pods: &str) -> Result<Self> {
        Self::start_as(netns, pods, false)
    }

    /// The same for a kubelet: in a mount namespace of its own that both share, with a `/var/log` and a bpffs
    /// that go with it.
    ///
    /// # Errors
    /// As for [`Containerd::start`].
    pub fn start_for_kubelet(netns: &NetNs, pods: &str) -> Result<Self> {
        Self::start_as(netns, pods, true)
    }

    fn start_as(netns: &NetNs, pods: &str, shared: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-containerd-").tempdir()?;
        fs::create_dir(folder.path().join("cni"))?;
        fs::write(folder.path().join("cni/10-ptp.conflist"), network(folder.path()))?;
        fs::write(folder.path().join("config.toml"), config(folder.path()))?;
        let cgroup = TestCgroup::unique("sentinel-containerd")?;
        let (netns, pods) = (netns.path(), pods.to_owned());
        let mut this = Self { running: None, netns, cgroup, pods, shared, folder };
        this.resume()?;
        this.import()?;
        Ok(this)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn cri(&self) -> Result<Cri> {
        Cri::connect(&self.socket())
    }

    /// Starts it again after [`Containerd::interrupt`].
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = match self.shared {
            false => Command::new("nsenter"),
            true => {
                let mut command = Command::new("unshare");
                command.args([
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    MOUNTS,
                    "nsenter",
                ]);
                command
            }
        };
        command.arg(format!("--net={}", self.netns.display())).arg("containerd");
        command.arg("-c").arg(self.folder.path().join("config.toml"));
        let log = fs::File::create(self.folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running = Some(Placement::default().cgroup(&self.cgroup).spawn(command)?);
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = self.cri() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("containerd is not ready: {error:#}; its log:\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it, and leaves its containers running.
    ///
    /// # Errors
    /// When it does not end.
    pub fn interrupt(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.stop(STOP_WITHIN)?;
        }
        Ok(())
    }

    /// Has it hang, or go on.
    ///
    /// # Errors
    /// When it is not there.
    pub fn hang(&self, hang: bool) -> Result<()> {
        let pid = self.running.as_ref().context("it does not run")?.pid();
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
        Ok(kill_process(pid, if hang { Signal::STOP } else { Signal::CONT })?)
    }

    /// Where it and a kubelet have the same mounts.
    ///
    /// # Errors
    /// When it does not run.
    pub fn mounts(&self) -> Result<PathBuf> {
        let running = self.running.as_ref().context("containerd does not run")?;
        Ok(PathBuf::from(format!("/proc/{}/ns/mnt", running.pid())))
    }

    fn import(&self) -> Result<()> {
        let busybox = on_path("busybox").context("no busybox")?;
        let programs = [(busybox, "/bin/busybox"), (lab_program()?, "/bin/sentinel-lab")];
        let config = json!({"Env": ["PATH=/bin"], "Cmd": ["/bin/busybox", "sleep", "86400"]});
        self.made(IMAGE, &programs, &config)
    }

    /// Has it know an image of these programs.
    fn made(&self, name: &str, programs: &[(PathBuf, &str)], config: &Value) -> Result<()> {
        let folder = tempfile::tempdir_in(self.folder.path())?;
        self.load(&image::write(folder.path(), name, programs, config)?)
    }

    /// Has it know the images of an archive.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let mut command = Command::new("ctr");
        command
            .arg("-a")
            .arg(self.socket())
            .args(["-n", "k8s.io", "images", "import"])
            .arg(archive);
        let output = command.output().context("ctr does not start")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Has it pull from a registry, as an administrator of nodes would.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn trust(&self, registry: &Registry) -> Result<()> {
        let folder = self.folder.path().join(REGISTRIES).join(registry.name());
        fs::create_dir_all(&folder)?;
        let (name, certificate) = (registry.name(), registry.certificate());
        let hosts = format!(
            "server = \"https://{name}\"\n[host.\"https://{name}\"]\n\
             capabilities = [\"pull\", \"resolve\"]\nca = {certificate:?}\n"
        );
        Ok(fs::write(folder.join("hosts.toml"), hosts)?)
    }

    fn end_pods(&self) -> Result<()> {
        let mut cri = self.cri()?;
        for pod in cri.pods()? {
            cri.remove_pod(&pod)?;
        }
        Ok(())
    }

    /// The pods' folders in every hierarchy: runc makes one in each.
    fn folders(&self) -> Vec<PathBuf> {
        let mounts = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let folders = mounts.map(|mount| mount.path().join(self.pods.trim_start_matches('/')));
        folders.filter(|folder| folder.is_dir()).collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.running.is_some() {
            let _ = self.hang(false);
            if let Err(error) = self.end_pods() {
                eprintln!("pods are left: {error:#}");
            }
        }
        let _ = self.interrupt();
        // Whatever is left of it: the kernel ends what is in these groups, the shims too.
        let _ = fs::write(self.cgroup.path().join("cgroup.kill"), "1");
        for folder in self.folders() {
            remove(&folder);
        }
    }
}

/// Removes a cgroup with all beneath it.
fn remove(folder: &Path) {
    let _ = fs::write(folder.join("cgroup.kill"), "1");
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&child.path());
    }
    let _ = fs::remove_dir(folder);
}

fn network(folder: &Path) -> String {
    let data = folder.join("ipam");
    serde_json::json!({"cniVersion": "0.4.0", "name": "test", "plugins": [{
        "type": "ptp",
        "ipam": {"type": "host-local", "subnet": POD_NETWORK, "dataDir": data,
            "routes": [{"dst": "0.0.0.0/0"}]},
    }]})
    .to_string()
}

/// What it is told of registries; it looks at each pull.
const REGISTRIES: &str = "registries";

/// `restrict_oom_score_adj`: root may lack `CAP_SYS_RESOURCE`.
fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 2
root = "{folder}/data"
state = "{folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/{REGISTRIES}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{folder}/cni"
"#
    )
}
