//! A node in small: a containerd of its own starts the image with what the DaemonSet asks for, and a
//! miner on a wire of its own is cut. Only a cgroup of its own is watched.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image;
use crate::build;
use crate::process;
use crate::project;
use crate::root;
use crate::setup;
use crate::term;

const POOL: &str = "10.96.7.2:3333";
/// From here on nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What containerd grants when nothing is said: all of it is dropped.
const GRANTED: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Starts the image and a miner, and says what became of it.
pub(super) fn start(archive: &Path) -> Result<()> {
    if !root::is_root() {
        bail!("--try starts containers and must be root: run it through sudo");
    }
    setup::node_tools()?;
    build::release(setup::for_run()?, &["-p", "sentinel-tests", "--bin", "sentinel-lab"])?;
    let manifest = fs::read_to_string(project::root().join("deploy/kubernetes/sentinel.yaml"))?;
    let mut node = Node::new()?;
    node.containerd()?;
    node.ctr(&["images", "import", &archive.display().to_string()])?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    node.agent(&manifest, port)?;
    wait(PATIENCE, || answers_ready(port)).context("the agent in the container is not ready")?;
    term::say("ready; a miner dials its pool");
    let mut pool =
        node.lab("b", "pool", POOL).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let told = wait(Duration::from_secs(10), || {
        let miner = node.lab("a", "miner", POOL).output().ok()?;
        let told = String::from_utf8_lossy(&miner.stdout).into_owned();
        (!told.contains("ECONNREFUSED") && !told.is_empty()).then_some(told)
    });
    pool.kill()?;
    pool.wait()?;
    let told = told.context("the miner does not reach its pool")?;
    print!("{told}");
    if !told.contains("\"ended\":\"cut\"") {
        bail!(
            "the miner was not cut: the agent's words are in {}",
            project::log("node-agent")?.display()
        );
    }
    Ok(())
}

struct Node {
    folder: PathBuf,
    /// What the agent watches.
    cgroup: PathBuf,
    name: String,
    children: Vec<Child>,
}

impl Node {
    fn new() -> Result<Self> {
        let name = format!("sentinel-try-{}", std::process::id());
        // A socket's path must be short.
        let folder = Path::new("/run").join(&name);
        fs::create_dir_all(folder.join("etc"))?;
        fs::create_dir_all(folder.join("sentinel"))?;
        let cgroup = hierarchy()?.join(&name);
        fs::create_dir_all(cgroup.join("miner"))?;
        let node = Self { folder, cgroup, name, children: Vec::new() };
        let (a, b) = (node.netns("a"), node.netns("b"));
        for line in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add wire netns {a} type veth peer name wire netns {b}"),
            format!("-n {a} addr add 10.96.7.1/24 dev wire"),
            format!("-n {b} addr add {}/24 dev wire", POOL.split(':').next().unwrap_or_default()),
            format!("-n {a} link set wire up"),
            format!("-n {b} link set wire up"),
        ] {
            process::output(Command::new("ip").args(line.split(' ')))?;
        }
        Ok(node)
    }

    fn netns(&self, end: &str) -> String {
        format!("{}-{end}", self.name)
    }

    fn containerd(&mut self) -> Result<()> {
        let folder = self.folder.display();
        let without =
            ["cri", "snapshotter.v1.btrfs", "snapshotter.v1.zfs", "snapshotter.v1.devmapper"];
        let without = without.map(|name| match name {
            "cri" => "\"io.containerd.grpc.v1.cri\"".to_owned(),
            name => format!("\"io.containerd.{name}\""),
        });
        let config = format!(
            "version = 2\nroot = \"{folder}/root\"\nstate = \"{folder}/state\"\n\
             disabled_plugins = [{}]\n[grpc]\naddress = \"{folder}/c.sock\"\n",
            without.join(", ")
        );
        fs::write(self.folder.join("config.toml"), config)?;
        let log = fs::File::create(project::log("containerd")?)?;
        let mut command = Command::new("containerd");
        command.arg("-c").arg(self.folder.join("config.toml")).stdout(log.try_clone()?).stderr(log);
        self.children.push(command.spawn().context("cannot start containerd")?);
        wait(PATIENCE, || self.ctr(&["version"]).ok()).context("containerd does not answer")?;
        Ok(())
    }

    fn ctr(&self, args: &[&str]) -> Result<String> {
        process::output(self.ctr_command().args(args))
    }

    fn ctr_command(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.folder.join("c.sock"));
        command
    }

    /// As the kubelet would: hostPID, hostNetwork, the runtime's own seccomp rules, a root that is read only.
    fn agent(&mut self, manifest: &str, port: u16) -> Result<()> {
        let settings = format!(
            "mode: enforce\nlisten: 127.0.0.1:{port}\nevents: '-'\ncgroup: {}\n",
            self.cgroup.display()
        );
        fs::write(self.folder.join("etc/sentinel.yaml"), settings)?;
        let mut command = self.ctr_command();
        command.args(["run", "--rm", "--read-only", "--net-host", "--seccomp"]);
        // Which process looks at it decides what is meant: this is the host's.
        command.args(["--with-ns", "pid:/proc/self/ns/pid"]);
        let wanted = capabilities(manifest);
        for name in GRANTED.iter().filter(|name| !wanted.iter().any(|wanted| wanted == *name)) {
            command.args(["--cap-drop", &format!("CAP_{name}")]);
        }
        let bounding = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for name in &wanted {
            if name == "SYS_RESOURCE" && !may_set_limits(&bounding) {
                term::say("CAP_SYS_RESOURCE is not given: this machine's root has not got it");
                continue;
            }
            command.args(["--cap-add", &format!("CAP_{name}")]);
        }
        for (mut from, to, options) in mounts(manifest) {
            if from.as_os_str().is_empty() {
                from = self.folder.join("etc");
            } else if to == "/run/sentinel" {
                from = self.folder.join("sentinel");
            }
            fs::create_dir_all(&from)?;
            let mount = format!("type=bind,src={},dst={to},options={options}", from.display());
            command.args(["--mount", &mount]);
        }
        command.args([image::NAME, &self.name]);
        command.args(["/usr/bin/sentinel", "run", "--config", "/etc/sentinel/sentinel.yaml"]);
        command.stdout(fs::File::create(project::log("node-events")?)?);
        command.stderr(fs::File::create(project::log("node-agent")?)?);
        self.children.push(command.spawn().context("cannot start ctr")?);
        Ok(())
    }

    /// A party of the laboratory on one end of the wire; the miner is in the cgroup that is watched.
    fn lab(&self, end: &str, action: &str, target: &str) -> Command {
        let mut command = Command::new(project::release("sentinel-lab"));
        command.arg("--netns").arg(Path::new("/run/netns").join(self.netns(end)));
        if action == "miner" {
            command.arg("--cgroup").arg(self.cgroup.join("miner"));
        }
        command.args([action, target, "--dialect", "xmrig"]);
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Each may be gone already, and what stays behind is no reason to fail differently.
        let _ = self.ctr(&["task", "kill", "--signal", "TERM", &self.name]);
        while let Some(mut child) = self.children.pop() {
            if !self.children.is_empty() {
                let _ = wait(Duration::from_secs(10), || child.try_wait().ok().flatten());
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        for end in ["a", "b"] {
            let _ = process::output(Command::new("ip").args(["netns", "del", &self.netns(end)]));
        }
        let gone = wait(Duration::from_secs(5), || {
            let _ = fs::remove_dir(self.cgroup.join("miner"));
            fs::remove_dir(&self.cgroup).ok()
        });
        if gone.is_err() {
            term::say(format!("{} is left behind", self.cgroup.display()));
        }
        // Below a mount that outlived its container are the host's own folders.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if mounts.contains(&self.name) || fs::remove_dir_all(&self.folder).is_err() {
            term::say(format!("{} is left behind", self.folder.display()));
        }
    }
}

fn wait<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            bail!("waited {} s in vain", patience.as_secs());
        }
        sleep(Duration::from_millis(100));
    }
}

fn answers_ready(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(())
}

/// Where cgroup2 is mounted.
fn hierarchy() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let line = mounts.lines().find(|line| line.contains(" / ") && line.contains(" - cgroup2 "));
    let place = line.and_then(|line| line.split(' ').nth(4));
    place.map(PathBuf::from).context("no cgroup2 is mounted here")
}

/// CAP_SYS_RESOURCE, number 24, of /proc/PID/status.
fn may_set_limits(status: &str) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> 24 & 1 == 1)
}

/// What the manifest adds.
fn capabilities(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != "add:").skip(1);
    lines.map_while(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}

/// Where from (empty: the settings), where to and how, by the manifest's own lines.
fn mounts(manifest: &str) -> Vec<(PathBuf, String, &'static str)> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let of_host = |name: &str| {
        let at = lines.iter().position(|line| *line == format!("- name: {name}"))?;
        let path = lines.get(at + 1)?.strip_prefix("hostPath: { path: ")?;
        Some(PathBuf::from(path.split([',', ' ']).next()?))
    };
    let mounts = lines.iter().filter_map(|line| {
        let (name, rest) = line.strip_prefix("- { name: ")?.split_once(", mountPath: ")?;
        let to = rest.split([',', ' ']).next()?.to_owned();
        let how = if line.contains("readOnly: true") { "rbind:ro" } else { "rbind:rw" };
        Some((of_host(name).unwrap_or_default(), to, how))
    });
    mounts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_what_is_mounted_and_granted() {
        let path = project::root().join("deploy/kubernetes/sentinel.yaml");
        let manifest = fs::read_to_string(path).unwrap();
        assert!(capabilities(&manifest).iter().any(|name| name == "NET_ADMIN"));
        let mounts = mounts(&manifest);
        assert!(mounts.contains(&(
            "/sys/fs/cgroup".into(),
            "/sys/fs/cgroup".to_owned(),
            "rbind:ro"
        )));
        assert!(mounts.contains(&(PathBuf::new(), "/etc/sentinel".to_owned(), "rbind:ro")));
    }
}
