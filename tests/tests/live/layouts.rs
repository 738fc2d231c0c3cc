//! Hosts whose cgroups are laid out otherwise: v1 hierarchies beside cgroup2 (hybrid), and no cgroup2 at
//! all. Which of these tests there are is told by what is mounted.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::platform;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::sniffer::Sniffer;
use serde_json::{Value, json};

use crate::allowlist::{DENIED, attempts, says, stage_with};
use crate::stage::File;
use crate::trial;

/// What is said wherever the kernel may take a socket for the root cgroup's.
const FALLBACK: &str = "takes sockets for the root cgroup's";
/// Where a kernel tells its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// An emulated machine takes its time.
const SOON: Duration = Duration::from_secs(60);
const EPERM: Option<i32> = Some(1);

pub fn trials() -> Vec<Trial> {
    let v1 = platform::v1_mounts();
    let mut trials = Vec::new();
    match (platform::cgroups().is_ok(), v1.is_empty()) {
        (_, true) => {}
        (false, false) => {
            trials.push(trial("layouts/v1/doctor_says_no", v1_doctor));
            trials.push(trial("layouts/v1/run_refuses", v1_run));
        }
        (true, false) => {
            trials.push(trial("layouts/hybrid/doctor_tells", hybrid_doctor));
            trials.push(trial("layouts/hybrid/enforcing", enforcing));
            if let Some(named) = v1.iter().find(|mount| mount.ends_with("systemd")).cloned() {
                let name = "layouts/hybrid/a_container_of_v1_alone_is_named";
                trials.push(trial(name, move || of_v1_alone(&named)));
            }
            if let Some(tags) = tags(v1) {
                let is_old = platform::kernel_release().is_some_and(|it| it < (5, 15));
                if is_old && std::env::var_os("SENTINEL_VM").is_some() {
                    let name = "layouts/hybrid/enforcing_is_refused_without_the_fix";
                    trials.push(trial(name, without_the_fix));
                }
                // The last one: without the fix no socket has a cgroup any more after it.
                trials.push(trial("layouts/hybrid/a_tagged_group", move || tagged(&tags)));
            }
        }
    }
    trials
}

/// Where net_cls is mounted.
fn tags(v1: Vec<PathBuf>) -> Option<PathBuf> {
    v1.into_iter().find(|mount| mount.join("net_cls.classid").exists())
}

fn sentinel(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(sentinel_program()?).args(arguments).output()?)
}

/// The doctor's finding of this name, and whether it is content as a whole.
fn finding(check: &str) -> Result<(Value, bool)> {
    let output = sentinel(&["doctor", "--format", "json"])?;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let found = findings.into_iter().find(|finding| says(finding, "check", check));
    Ok((found.with_context(|| format!("the doctor has no {check}"))?, output.status.success()))
}

fn v1_doctor() -> Result<()> {
    let (cgroup2, content) = finding("cgroup2")?;
    ensure!(!content, "the doctor is content without cgroup2");
    ensure!(says(&cgroup2, "standing", "missing"), "{cgroup2}");
    let note = cgroup2.get("note").and_then(Value::as_str).unwrap_or_default();
    ensure!(note.contains("mount -t cgroup2"), "no mend: {note}");
    let (hierarchies, _) = finding("hierarchies")?;
    ensure!(says(&hierarchies, "standing", "reduced"), "{hierarchies}");
    Ok(())
}

fn v1_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().to_str().context("the path is not UTF-8")?;
    for mode in ["audit", "enforce"] {
        let output = sentinel(&["run", "--mode", mode, "--state-dir", state])?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{mode}: {:?}: {said}", output.status);
        ensure!(said.lines().count() == 1, "more than one sentence: {said}");
        ensure!(said.contains("no cgroup2 hierarchy is mounted: mount one with"), "{said}");
    }
    Ok(())
}

fn hybrid_doctor() -> Result<()> {
    let root = platform::cgroups()?.root;
    let (cgroup2, content) = finding("cgroup2")?;
    ensure!(content, "the doctor is not content");
    ensure!(says(&cgroup2, "found", &root.display().to_string()), "{cgroup2}");
    let (hierarchies, _) = finding("hierarchies")?;
    let found = hierarchies.get("found").and_then(Value::as_str).unwrap_or_default();
    ensure!(found.starts_with("hybrid: "), "{hierarchies}");
    let expected = if displaces() { "reduced" } else { "good" };
    ensure!(says(&hierarchies, "standing", expected), "{hierarchies}");
    Ok(())
}

/// Whether this kernel may take a socket here for the root cgroup's.
fn displaces() -> bool {
    !platform::displacing_tags().is_empty()
}

/// Where it may, enforcement is refused, at the start and later; watching is not, and says so. Elsewhere
/// nobody hears of it.
fn enforcing() -> Result<()> {
    let cgroup = TestCgroup::unique("sentinel-layouts")?;
    if displaces() {
        let path = cgroup.path().to_str().context("the path is not UTF-8")?;
        let folder = tempfile::tempdir()?;
        let state = folder.path().to_str().context("the path is not UTF-8")?;
        let output =
            sentinel(&["run", "--mode", "enforce", "--cgroup", path, "--state-dir", state])?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{:?}: {said}", output.status);
        ensure!(said.lines().count() == 1 && said.contains(FALLBACK), "{said}");
        ensure!(said.contains("--root-fallback accept"), "no mend: {said}");
    }
    let settings = File::new("settings", "mode: audit\n")?;
    let refuse = ["--root-fallback", "refuse"];
    let agent = Agent::start(&cgroup, &[&refuse[..], &["--config", settings.path()?]].concat())?;
    ensure!(agent.log().contains(FALLBACK) == displaces(), "{}", agent.log());
    let state = agent.folder().to_str().context("the path is not UTF-8")?.to_owned();
    let status = || -> Result<Value> {
        let output = sentinel(&["status", "--format", "json", "--state-dir", &state])?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let warned = status()?.get("warnings").is_some_and(|list| list.to_string().contains(FALLBACK));
    ensure!(warned == displaces(), "{}", status()?);
    fs::write(settings.path()?, "mode: enforce\n")?;
    agent.hang_up()?;
    let deadline = Instant::now() + SOON;
    loop {
        let now = status()?;
        let problem = now.get("policy_error").and_then(Value::as_str).unwrap_or_default();
        if displaces() && problem.contains(FALLBACK) {
            ensure!(says(&now, "mode", "audit"), "{now}");
            break;
        }
        if !displaces() && says(&now, "mode", "enforce") {
            break;
        }
        ensure!(Instant::now() < deadline, "{now}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(agent.stop()?.success());
    Ok(())
}

/// Debian's 5.10 has the fix of 5.15, and says so in its types. Here they say that it has not, which is all
/// that can be had of such a kernel: what it would do with a tagged socket is not tried.
fn without_the_fix() -> Result<()> {
    let mut types = fs::read(TYPES)?;
    let (name, other) = (b"\0sock_cgroup_data\0", b"\0sock_cgroup_tags\0");
    let at = types.windows(name.len()).position(|window| window == name);
    let at = at.context("the kernel's types have no sock_cgroup_data")?;
    types.splice(at..at + name.len(), *other);
    let folder = tempfile::tempdir()?;
    let forged = folder.path().join("vmlinux");
    fs::write(&forged, types)?;
    let mount = Command::new("mount").arg("--bind").arg(&forged).arg(TYPES).status()?;
    ensure!(mount.success(), "the types cannot be covered");
    let outcome = if displaces() {
        enforcing().and_then(|()| hybrid_doctor())
    } else {
        Err(anyhow::anyhow!("nobody minds that the fix is missing"))
    };
    let unmount = Command::new("umount").arg(TYPES).status()?;
    ensure!(unmount.success(), "the types stay covered");
    outcome
}

/// A process that only a v1 hierarchy knows for a container's, as runc before 1.1 left them: events name the
/// container and say who knows it, the doctor counts it, and status says that policies pass it by.
fn of_v1_alone(mount: &Path) -> Result<()> {
    let container = "5e".repeat(32);
    let policy = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\n\
        metadata: {name: web, namespace: shop}\n\
        spec: {workload: {podSelector: {matchLabels: {app: web}}}, mode: audit, egress: []}\n";
    let policy = File::new("of-v1-alone", policy)?;
    let group = Group::new(mount, &format!("docker/{container}"))?;
    group.join()?;
    let stage = stage_with("sentinel-v1-alone", 15, "enforce", &["--policy", policy.path()?])?;
    attempts(&stage, DENIED)?;
    let is_ours = |line: &Value| line.pointer("/workload/container") == Some(&json!(container));
    let record = stage.agent.record(SOON, is_ours)?;
    let workload = record.get("workload").context("no workload")?;
    ensure!(says(workload, "runtime", "docker"), "{record}");
    ensure!(says(workload, "v1_hierarchy", "name=systemd"), "{record}");
    let (hierarchies, _) = finding("hierarchies")?;
    ensure!(
        hierarchies.to_string().contains("1 containers are in v1 hierarchies alone"),
        "{hierarchies}"
    );
    let state = stage.agent.folder().to_str().context("the path is not UTF-8")?.to_owned();
    let status = sentinel(&["status", "--format", "json", "--state-dir", &state])?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let warnings = status.get("warnings").context("no warnings")?.to_string();
    ensure!(warnings.contains("v1 hierarchies alone"), "{status}");
    drop(group);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// A process in a net_cls group that is tagged. The kernel says whose its sockets are: its own cgroup2
/// group's, or, without the fix, the root's, to which the agent of one subtree is not attached: nothing is
/// enforced then, which is why nobody may believe it.
fn tagged(mount: &Path) -> Result<()> {
    let stage = stage_with("sentinel-tagged", 14, "enforce", &["--root-fallback", "accept"])?;
    let subnet = stage.lab.subnet();
    let listeners = stage.lab.in_peer(|| {
        let v4 = TcpListener::bind((subnet.v4(DENIED), 7001))?;
        Ok((v4, TcpListener::bind((subnet.v6(DENIED), 7001))?))
    })?;
    for (what, error) in attempts(&stage, DENIED)? {
        ensure!(error == EPERM, "{what} without a tag: {error:?}\n{}", stage.agent.log());
    }
    let group = Group::tagged(mount)?;
    let sniffer = Sniffer::start(&stage.lab)?;
    let outcomes = attempts(&stage, DENIED);
    drop(group);
    let reached = sniffer.finish()?.frames_to(subnet.v4(DENIED).into());
    if displaces() {
        for (what, error) in outcomes? {
            ensure!(error.is_none(), "{what} of a tagged group: {error:?}; is it kept after all?");
        }
        ensure!(reached > 0, "nothing reached the denied address");
    } else {
        for (what, error) in outcomes? {
            ensure!(error == EPERM, "{what} of a tagged group: {error:?}");
        }
        ensure!(reached == 0, "{reached} frames reached the denied address");
    }
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// A group of a v1 hierarchy, which this process may join until it is dropped.
struct Group {
    mount: PathBuf,
    below: PathBuf,
}

impl Group {
    fn new(mount: &Path, below: &str) -> Result<Self> {
        let group = Self { mount: mount.to_owned(), below: below.into() };
        fs::create_dir_all(group.path()).with_context(|| group.path().display().to_string())?;
        Ok(group)
    }

    fn path(&self) -> PathBuf {
        self.mount.join(&self.below)
    }

    fn join(&self) -> Result<()> {
        Ok(fs::write(self.path().join("cgroup.procs"), std::process::id().to_string())?)
    }

    fn tagged(mount: &Path) -> Result<Self> {
        let group = Self::new(mount, &format!("sentinel-{}", std::process::id()))?;
        fs::write(group.path().join("net_cls.classid"), "0x100001")?;
        group.join()?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What fails here fails where the group is looked for next.
        let _ = fs::write(self.mount.join("cgroup.procs"), std::process::id().to_string());
        for part in self.below.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let _ = fs::remove_dir(self.mount.join(part));
        }
    }
}
