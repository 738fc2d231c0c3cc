//! Containers of a real runtime: what they do is told with their pods' names, policies on pods hold,
//! and what is gone leaves nothing behind.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData, loaded_maps};
use libtest_mimic::Trial;
use sentinel_common::policy::{Binding, WorkloadKey};
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::containerd::{self, Containerd, Cri, IMAGE, POD_NETWORK, Pod, PodSpec};
use sentinel_tests::miner::Report;
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::transcript::Dialect;
use serde_json::Value;

use crate::allowlist::says;
use crate::stage::{File, PEER};
use crate::trial;

/// Another address of the peer's.
const OTHER: u8 = 3;
const PORT: u16 = 7001;
const SOON: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "shop";

type Test = fn() -> Result<()>;

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 3] = [
        ("pods/named_bound_and_gone", named_bound_and_gone),
        ("pods/a_runtime_that_hangs_or_restarts_is_heard_again", heard_again),
        ("pods/a_runtime_where_crio_listens_is_found", found_at_crio),
    ];
    let missing = containerd::missing();
    let name = |name: &str| match missing {
        Some(what) => format!("{name} (needs {what}: cargo xtask setup)"),
        None => name.to_owned(),
    };
    let trials = tests.map(|(test, run)| trial(name(test), run));
    trials
        .into_iter()
        .map(|test| if missing.is_some() { test.with_ignored_flag(true) } else { test })
        .collect()
}

/// Dropped in this order.
struct Play {
    cri: Cri,
    containerd: Containerd,
    agent: Agent,
    cgroup: TestCgroup,
    lab: Lab,
    _files: [File; 2],
}

impl Play {
    /// The agent is told where the runtime listens.
    fn begin(name: &str, number: u8) -> Result<Self> {
        Self::begin_where(name, number, |socket| Ok(format!("cri: [{}]\n", socket.display())))
    }

    fn begin_where(
        name: &str,
        number: u8,
        settings: impl FnOnce(&Path) -> Result<String>,
    ) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        let cgroup = TestCgroup::unique(name)?;
        let containerd = Containerd::start(lab.node(), &from_root(cgroup.path())?)?;
        let node = lab.subnet().v4(1).to_string();
        let mut route = Command::new("nsenter");
        route.arg(format!("--net={}", lab.peer().path().display()));
        route.args(["ip", "route", "add", POD_NETWORK, "via", &node]);
        ensure!(route.status()?.success(), "the peer knows no way to the pods");
        let policy = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\n\
             metadata: {{name: web-only, namespace: {NAMESPACE}}}\n\
             spec: {{workload: {{podSelector: {{matchLabels: {{app: web}}}}}}, mode: enforce, \
             egress: [{{toCIDRs: [\"{}/32\"]}}]}}\n",
            lab.subnet().v4(PEER)
        );
        let policy = File::new(name, &policy)?;
        let config = File::new(name, &settings(&containerd.socket())?)?;
        let arguments =
            ["--mode", "enforce", "--policy", policy.path()?, "--config", config.path()?];
        let agent = Agent::start(&cgroup, &arguments)?;
        let cri = containerd.cri()?;
        Ok(Self { cri, containerd, agent, cgroup, lab, _files: [policy, config] })
    }

    /// A pod whose label `app` says this, with one container of this name; its id.
    fn pod(
        &mut self,
        app: &str,
        number: u8,
        container: &str,
        command: &[&str],
    ) -> Result<(Pod, String)> {
        let uid = format!("0f3e9d4c-1111-2222-3333-4444555566{number:02x}");
        let spec = PodSpec {
            name: format!("{app}-{number}"),
            namespace: NAMESPACE.to_owned(),
            cgroup: format!("{}/kubepods/burstable/pod{uid}", from_root(self.cgroup.path())?),
            uid,
            labels: vec![("app".to_owned(), app.to_owned())],
        };
        let pod = self.cri.run_pod(&spec)?;
        let id = self.cri.run(&pod, container, IMAGE, command)?;
        Ok((pod, id))
    }

    /// A miner-like session from within a container.
    fn mine(&mut self, container: &str, target: &str) -> Result<Report> {
        let done = self.cri.exec(container, &["/bin/sentinel-lab", "miner", target])?;
        let said = || format!("code {}: {}{}", done.code, done.stdout, done.stderr);
        serde_json::from_str(done.stdout.trim()).with_context(said)
    }

    /// Whether a container may not even try to reach a host of the peer's. Nobody listens there.
    fn is_denied(&mut self, container: &str, host: u8) -> Result<bool> {
        let target = format!("{}:{PORT}", self.lab.subnet().v4(host));
        let report = self.mine(container, &target)?;
        let errno = report.errno.as_deref();
        ensure!(matches!(errno, Some("EPERM" | "ECONNREFUSED")), "{report:?}");
        Ok(errno == Some("EPERM"))
    }

    /// Asks the agent, as a person would.
    fn ask(&self, verb: &str) -> Result<String> {
        let mut command = Command::new(sentinel_program()?);
        command.arg(verb).arg("--state-dir").arg(self.agent.folder());
        let output = command.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ids of the cgroups of the pods that are there.
    fn cgroups(&self) -> Vec<u64> {
        let mut folders = vec![self.cgroup.path().join("kubepods")];
        let mut ids = Vec::new();
        while let Some(folder) = folders.pop() {
            ids.extend(std::fs::metadata(&folder).map(|about| about.ino()));
            let children = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(children.map(|child| child.path()).filter(|path| path.is_dir()));
        }
        ids
    }

    fn answering(&self) -> Result<bool> {
        Ok(self.agent.metric("sentinel_cri_runtimes_answering")? > 0.0)
    }

    fn end(self) -> Result<()> {
        let Self { cri, containerd, agent, .. } = self;
        // The agent first: containerd takes the cgroup with it that the agent is attached to.
        let ended = agent.stop()?;
        drop((cri, containerd));
        ensure!(ended.success(), "the agent did not end well");
        Ok(())
    }
}

fn from_root(cgroup: &Path) -> Result<String> {
    Ok(format!("/{}", cgroup.strip_prefix(cgroup::mount_point()?)?.display()))
}

fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// How many entries any agent's table of policies on workloads has for these cgroups.
fn bound(cgroups: &[u64]) -> Result<usize> {
    let mut found = 0;
    for info in loaded_maps() {
        let info = info?;
        if info.name_as_str() != Some("WORKLOADS") {
            continue;
        }
        // An agent of another test may end meanwhile.
        let Ok(data) = MapData::from_id(info.id()) else { continue };
        let map: HashMap<MapData, WorkloadKey, Binding> = Map::HashMap(data).try_into()?;
        let keys = map.keys().filter_map(Result::ok);
        found += keys.filter(|key| cgroups.contains(&key.cgroup)).count();
    }
    Ok(found)
}

fn names(record: &Value, pod: &str, container: &str, id: &str) -> Result<()> {
    let workload = record.get("workload").context("no workload")?;
    let expected = [
        ("namespace", NAMESPACE),
        ("pod", pod),
        ("container_name", container),
        ("image", IMAGE),
        ("container", id),
    ];
    for (key, value) in expected {
        ensure!(says(workload, key, value), "{key} is not {value}: {record}");
    }
    Ok(())
}

fn named_bound_and_gone() -> Result<()> {
    let mut play = Play::begin("sentinel-pods", 51)?;
    let sleep = ["/bin/busybox", "sleep", "86400"];
    let (web, app) = play.pod("web", 1, "app", &sleep)?;
    let (db, store) = play.pod("db", 2, "store", &sleep)?;
    eventually("the policy is on the pod", || play.is_denied(&app, OTHER))?;
    ensure!(!play.is_denied(&app, PEER)?, "the pod is not let to what its policy allows");
    ensure!(!play.is_denied(&store, OTHER)?, "a pod that no policy is about was hindered");
    let subnet = play.lab.subnet();
    let dst = SocketAddr::new(subnet.v4(OTHER).into(), PORT).to_string();
    let record = play.agent.record(SOON, |record| says(record, "dst", &dst))?;
    ensure!(says(&record, "policy", "shop/web-only"), "{record}");
    names(&record, "web-1", "app", &app)?;

    let listen = SocketAddr::new(subnet.v4(PEER).into(), 0);
    let pool = play.lab.in_peer(|| Pool::start(&[listen], Manner::of(Dialect::StratumV1)))?;
    let target = pool.addresses().first().context("the pool has no address")?.to_string();
    let report = play.mine(&store, &target)?;
    ensure!(!report.succeeded() && pool.record().requests() == 0, "it mined: {report:?}");
    let record = play.agent.record(SOON, |record| says(record, "kind", "stratum"))?;
    ensure!(says(&record, "verdict", "blocked"), "{record}");
    names(&record, "db-2", "store", &store)?;

    // A third pod holds a connection open, which is listed by its name.
    let call = ["/bin/sentinel-lab", "miner", &target, "--no-opening", "--hold-ms", "600000"];
    let (third, _) = play.pod("web", 3, "caller", &call)?;
    eventually("the connection is listed by its pod", || {
        Ok(play.ask("sockets")?.contains(&format!("shop/web-3/caller ({IMAGE})")))
    })?;
    let status = play.ask("status")?;
    ensure!(
        status.contains("runtime      containerd") && status.contains("3 pods, 3 cont"),
        "{status}"
    );

    let cgroups = play.cgroups();
    ensure!(bound(&cgroups)? >= 3, "{} of {} cgroups bound", bound(&cgroups)?, cgroups.len());
    for pod in [web, db, third] {
        play.cri.remove_pod(&pod.sandbox)?;
    }
    eventually("the pods are forgotten", || {
        let metric =
            |kind| play.agent.metric(&format!("sentinel_cri_workloads{{kind=\"{kind}\"}}"));
        Ok(metric("pod")? == 0.0 && metric("container")? == 0.0)
    })?;
    // The folders around the pods are the test's own.
    let kept = [play.cgroup.path().join("kubepods"), play.cgroup.path().join("kubepods/burstable")];
    let left = cgroups.into_iter().filter(|id| !kept.iter().any(|folder| is(folder, *id)));
    let left: Vec<u64> = left.collect();
    for folder in play.pod_folders() {
        std::fs::remove_dir(&folder).with_context(|| folder.display().to_string())?;
    }
    eventually("nothing is left in the kernel", || Ok(bound(&left)? == 0))?;
    drop(pool);
    play.end()
}

fn is(folder: &Path, id: u64) -> bool {
    std::fs::metadata(folder).is_ok_and(|about| about.ino() == id)
}

impl Play {
    /// The pods' own folders, which the kubelet would remove.
    fn pod_folders(&self) -> Vec<PathBuf> {
        let burstable = self.cgroup.path().join("kubepods/burstable");
        let children = std::fs::read_dir(burstable).into_iter().flatten().flatten();
        children.map(|child| child.path()).filter(|path| path.is_dir()).collect()
    }
}

/// A runtime's socket at the place of CRI-O's, as long as this stands.
struct AtCrio;

impl AtCrio {
    const FOLDER: &str = "/run/crio";

    fn put(socket: &Path) -> Result<Self> {
        let folder = Path::new(Self::FOLDER);
        // A test that was killed has left a link to nothing.
        if folder.join("crio.sock").is_symlink() && !folder.join("crio.sock").exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir(folder).context("is there a CRI-O on this machine?")?;
        std::os::unix::fs::symlink(socket, folder.join("crio.sock"))?;
        Ok(Self)
    }
}

impl Drop for AtCrio {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(Self::FOLDER) {
            eprintln!("{} stays: {error}", Self::FOLDER);
        }
    }
}

/// Nobody tells the agent of a runtime: it looks where they listen. What listens there is containerd, since
/// Debian has no CRI-O.
fn found_at_crio() -> Result<()> {
    let mut stand_in = None;
    let mut play = Play::begin_where("sentinel-crio", 53, |socket| {
        stand_in = Some(AtCrio::put(socket)?);
        Ok(String::new())
    })?;
    let (_, app) = play.pod("web", 1, "app", &["/bin/busybox", "sleep", "86400"])?;
    eventually("the policy is on the pod", || play.is_denied(&app, OTHER))?;
    let dst = SocketAddr::new(play.lab.subnet().v4(OTHER).into(), PORT).to_string();
    let record = play.agent.record(SOON, |record| says(record, "dst", &dst))?;
    names(&record, "web-1", "app", &app)?;
    let status = play.ask("status")?;
    ensure!(status.contains("/run/crio/crio.sock"), "{status}");
    play.end()?;
    drop(stand_in);
    Ok(())
}

fn heard_again() -> Result<()> {
    let mut play = Play::begin("sentinel-heard", 52)?;
    let sleep = ["/bin/busybox", "sleep", "86400"];
    let (_, app) = play.pod("web", 1, "app", &sleep)?;
    eventually("the policy is on the pod", || play.is_denied(&app, OTHER))?;
    let cgroups = play.cgroups();
    play.containerd.hang(true)?;
    eventually("a runtime that hangs is noticed", || Ok(!play.answering()?))?;
    let status = play.ask("status")?;
    ensure!(status.contains("does not answer") && status.contains("1 pods"), "{status}");
    ensure!(play.agent.metric("sentinel_cri_calls_total{result=\"timeout\"}")? > 0.0, "no timeout");
    ensure!(bound(&cgroups)? > 0, "policies are lost with the runtime");
    play.containerd.hang(false)?;
    eventually("it is heard again", || play.answering())?;

    play.containerd.interrupt()?;
    eventually("a runtime that is gone is noticed", || Ok(!play.answering()?))?;
    ensure!(bound(&cgroups)? > 0, "policies are lost with the runtime");
    play.containerd.resume()?;
    play.cri = play.containerd.cri()?;
    eventually("it is heard after its restart", || play.answering())?;
    let (_, other) = play.pod("web", 2, "app", &sleep)?;
    eventually("a new pod has its policy", || play.is_denied(&other, OTHER))?;
    ensure!(play.is_denied(&app, OTHER)?, "the old pod has lost its policy");
    play.end()
}
