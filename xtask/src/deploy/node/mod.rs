//! A node in small: a containerd of its own starts the image with what the DaemonSet asks for, and a
//! miner of another user, on a wire of its own, is cut. Only a cgroup of its own is watched.

mod manifest;
mod trial;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image;
use crate::build;
use crate::ladder::{Lacking, installed};
use crate::process;
use crate::project;
use crate::root;
use crate::setup;
use crate::term;

pub(super) use trial::{NAMES, checks};

const POOL: &str = "10.96.7.2";
const PORT: &str = "3333";
/// `nobody`: whoever mines is not who watches.
const OTHER_USER: &str = "65534";
/// From here on nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// CAP_SYS_RESOURCE, as `capabilities(7)` counts.
const SYS_RESOURCE: u32 = 24;

struct Node {
    folder: PathBuf,
    /// What the agent watches.
    cgroup: PathBuf,
    name: String,
    manifest: String,
    /// containerd first: it goes last.
    children: Vec<Child>,
    agents: usize,
}

impl Node {
    /// A runtime with the image in it, two ends of a wire, a pool at one, and a connection to it.
    fn new(archive: &Path) -> Result<Self> {
        if !root::is_root() {
            return Err(Lacking("it starts containers and must be root".to_owned()).into());
        }
        installed(setup::node_tools())?;
        let built = build::standalone(setup::for_run()?)?;
        let name = format!("sentinel-try-{}", std::process::id());
        // A socket's path must be short.
        let folder = Path::new("/run").join(&name);
        let cgroup = hierarchy()?.join(&name);
        let manifest = project::root().join("deploy/kubernetes/sentinel.yaml");
        let manifest = fs::read_to_string(manifest)?;
        let mut node = Self { folder, cgroup, name, manifest, children: Vec::new(), agents: 0 };
        fs::create_dir_all(node.folder.join("etc"))?;
        fs::create_dir_all(node.folder.join("sentinel"))?;
        fs::create_dir_all(node.cgroup.join("miner"))?;
        // Another user may not be able to enter the folder that it was built in.
        fs::copy(built.path("sentinel-lab")?, node.folder.join("lab"))?;
        node.wire()?;
        node.containerd()?;
        node.ctr(&["images", "import", &archive.display().to_string()])?;
        node.pool()?;
        node.older_connection()?;
        Ok(node)
    }

    fn netns(&self, end: &str) -> String {
        format!("{}-{end}", self.name)
    }

    fn wire(&self) -> Result<()> {
        let (a, b) = (self.netns("a"), self.netns("b"));
        for line in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add wire netns {a} type veth peer name wire netns {b}"),
            format!("-n {a} addr add 10.96.7.1/24 dev wire"),
            format!("-n {b} addr add {POOL}/24 dev wire"),
            format!("-n {a} link set wire up"),
            format!("-n {b} link set wire up"),
        ] {
            process::output(Command::new("ip").args(line.split(' ')))?;
        }
        Ok(())
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
        let log = File::create(project::log("containerd")?)?;
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

    fn pool(&mut self) -> Result<()> {
        let mut pool = Command::new(self.folder.join("lab"));
        pool.arg("--netns").arg(Path::new("/run/netns").join(self.netns("b")));
        pool.args(["pool", &format!("{POOL}:{PORT}"), "--dialect", "xmrig"]);
        pool.stdin(Stdio::piped()).stdout(Stdio::null());
        self.children.push(pool.spawn().context("cannot start the pool")?);
        Ok(())
    }

    /// What is open before any agent starts: it says nothing, so nobody will cut it.
    fn older_connection(&mut self) -> Result<()> {
        let place = format!("/dev/tcp/{POOL}/{PORT}");
        let script = format!(
            "until (: <{place}) 2>/dev/null; do sleep 0.1; done; exec 3<>{place}; echo open; exec sleep 600"
        );
        let mut client = self.as_other_user("bash", &["-c", &script]);
        let mut client = client.stdout(Stdio::piped()).spawn().context("cannot start bash")?;
        let said = client.stdout.take().context("bash has no output")?;
        self.children.push(client);
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if line.trim() == "open" { Ok(()) } else { bail!("the pool cannot be reached") }
    }

    /// A program of another user in the cgroup and the network namespace that are watched.
    fn as_other_user(&self, program: &str, args: &[&str]) -> Command {
        let script = "echo $$ >\"$1\" && shift && exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(self.cgroup.join("miner/cgroup.procs"));
        command.arg("nsenter").arg(format!("--net=/run/netns/{}", self.netns("a")));
        command.args(["setpriv", "--reuid", OTHER_USER, "--regid", OTHER_USER, "--clear-groups"]);
        command.arg("--").arg(program).args(args);
        command
    }

    /// The agent as the kubelet would start it, but for one capability: hostPID, hostNetwork, the runtime's own
    /// seccomp rules, a root that is read only.
    fn agent(&mut self, port: u16, without: Option<&str>) -> Result<Agent> {
        let settings = format!(
            "mode: enforce\nlisten: 127.0.0.1:{port}\nevents: '-'\ncgroup: {}\n",
            self.cgroup.display()
        );
        fs::write(self.folder.join("etc/sentinel.yaml"), settings)?;
        let mut command = self.ctr_command();
        command.args(["run", "--rm", "--read-only", "--net-host", "--seccomp"]);
        // Which process looks at it decides what is meant: this is the host's.
        command.args(["--with-ns", "pid:/proc/self/ns/pid"]);
        let wanted = manifest::capabilities(&self.manifest);
        for name in manifest::GRANTED.iter().filter(|name| !wanted.iter().any(|one| one == *name)) {
            command.args(["--cap-drop", &format!("CAP_{name}")]);
        }
        for name in wanted.iter().filter(|name| without != Some(name.as_str())) {
            if name != "SYS_RESOURCE" || may_set_limits() {
                command.args(["--cap-add", &format!("CAP_{name}")]);
            }
        }
        for (mut from, to, options) in manifest::mounts(&self.manifest) {
            if from.as_os_str().is_empty() {
                from = self.folder.join("etc");
            } else if to == "/run/sentinel" {
                from = self.folder.join("sentinel");
            }
            fs::create_dir_all(&from)?;
            let mount = format!("type=bind,src={},dst={to},options={options}", from.display());
            command.args(["--mount", &mount]);
        }
        self.agents += 1;
        let name = format!("{}-{}", self.name, self.agents);
        command.args([image::NAME, &name]);
        command.args(["/usr/bin/sentinel", "run", "--config", "/etc/sentinel/sentinel.yaml"]);
        let of = format!("node-{}", without.unwrap_or("whole"));
        let (events, words) = (project::log(&format!("{of}-events"))?, project::log(&of)?);
        command.stdout(File::create(&events)?).stderr(File::create(&words)?);
        let child = command.spawn().context("cannot start ctr")?;
        Ok(Agent { child, name, events, words })
    }

    /// Ends the agent as the kubelet would, and says so when it does not end.
    fn stop(&self, agent: &mut Agent) -> Result<()> {
        if agent.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.ctr(&["task", "kill", "--signal", "TERM", &agent.name])?;
        let ended = wait(Duration::from_secs(10), || agent.child.try_wait().ok().flatten());
        ended.map(drop).context("the agent does not end on TERM")
    }
}

/// A container with the agent in it.
struct Agent {
    /// `ctr`, which ends with it.
    child: Child,
    name: String,
    /// What it tells of.
    events: PathBuf,
    /// What it says.
    words: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It is gone already, but where something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Each may be gone already, and what stays behind is no reason to fail differently.
        for agent in 1..=self.agents {
            let name = format!("{}-{agent}", self.name);
            let _ = self.ctr(&["task", "kill", "--signal", "KILL", &name]);
        }
        while let Some(mut child) = self.children.pop() {
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

/// Where cgroup2 is mounted.
fn hierarchy() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let line = mounts.lines().find(|line| line.contains(" / ") && line.contains(" - cgroup2 "));
    let place = line.and_then(|line| line.split(' ').nth(4));
    place.map(PathBuf::from).context("no cgroup2 is mounted here")
}

/// Whether this machine's root has what it would have to give.
fn may_set_limits() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set >> SYS_RESOURCE & 1 == 1)
}
