//! Hooks that somebody takes away: they are back within seconds, it is told of, and the agent is not
//! ready while one is missing.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::Kernel;
use sentinel_common::config::Config;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::process::Placement;
use sentinel_tests::sniffer::Sniffer;
use sentinel_tests::tamper;
use serde_json::Value;

use crate::learn::as_workload;
use crate::pinned::Scene;
use crate::stage::{File, PEER, Stage};
use crate::trial;

/// Hooks that judge.
const HOOKS: usize = 7;
/// How often each is taken away, and on an emulated machine.
const TIMES: usize = 20;
const IN_GUEST: usize = 3;
/// Within this they are back: the issue is two seconds, an emulated machine is slow.
const BACK: Duration = Duration::from_secs(2);
const SLOWLY: Duration = Duration::from_secs(15);
/// Another address of the peer's.
const OTHER: u8 = 3;
const PORT: u16 = 7301;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("vigil/detached_hooks_are_put_back", put_back),
        trial("vigil/pins_and_pinned_links_are_put_back", put_back_pinned),
        trial("vigil/a_cgroup_that_is_gone_is_no_silence", cgroup_gone),
        trial("vigil/what_is_written_over_is_written_anew", written_over),
        trial("vigil/a_canary_that_flies_is_no_silence", canary),
        trial("vigil/a_root_of_a_namespace_is_none", virtual_root),
        trial("vigil/others_are_seen", others),
        trial("vigil/nobody_detaches_without_privileges", without_privileges),
    ]
}

fn is_emulated() -> bool {
    std::env::var_os("SENTINEL_VM").is_some()
}

fn on_hooks(agent: &Agent, finding: &str, result: &str) -> Result<usize> {
    let told = |line: &&Value| {
        (&line["kind"], &line["finding"], &line["result"])
            == (&"hook".into(), &finding.into(), &result.into())
    };
    Ok(agent.journal()?.iter().filter(told).count())
}

/// How long until as many lines say so.
fn told(agent: &Agent, finding: &str, result: &str, count: usize) -> Result<Duration> {
    let begun = Instant::now();
    let patience = if is_emulated() { SLOWLY } else { BACK * 3 };
    while on_hooks(agent, finding, result)? < count {
        let journal = || format!("{:?}\n{}", agent.journal(), agent.log());
        ensure!(
            begun.elapsed() < patience,
            "{count} {finding}, {result} are not told: {}",
            journal()
        );
        thread::sleep(Duration::from_millis(10));
    }
    Ok(begun.elapsed())
}

struct Play {
    stage: Stage,
    _policy: File,
}

impl Play {
    /// Only one address of the peer's is allowed.
    fn begin(name: &str, number: u8) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        let text = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\n\
             spec: {{mode: enforce, egress: [{{toCIDRs: [\"{}/32\"]}}]}}\n",
            lab.subnet().v4(OTHER)
        );
        let policy = File::new(name, &text)?;
        let stage = Stage::set_in(lab, name, &["--mode", "enforce", "--policy", policy.path()?])?;
        Ok(Self { stage, _policy: policy })
    }

    /// What `sendto` to an address of the peer's comes to.
    fn send(&self, host: u8) -> Result<bool> {
        let target = SocketAddr::new(self.stage.lab.subnet().v4(host).into(), PORT);
        as_workload(&self.stage.workload, &self.stage.lab, || {
            Ok(UdpSocket::bind("0.0.0.0:0")?.send_to(b"stray", target).is_ok())
        })
    }

    /// Nothing reaches the denied address, and all the allowed one.
    fn judges(&self) -> Result<()> {
        let sniffer = Sniffer::start(&self.stage.lab)?;
        ensure!(self.send(OTHER)?, "the allowed address is denied");
        ensure!(!self.send(PEER)?, "the denied address is allowed");
        let capture = sniffer.finish()?;
        let subnet = self.stage.lab.subnet();
        ensure!(capture.frames_to(subnet.v4(OTHER).into()) > 0, "the sniffer is deaf");
        ensure!(capture.frames_to(subnet.v4(PEER).into()) == 0, "the denied address was reached");
        Ok(())
    }
}

/// Every link is detached, again and again.
fn put_back() -> Result<()> {
    let play = Play::begin("vigil-detach", 64)?;
    play.judges()?;
    let times = if is_emulated() { IN_GUEST } else { TIMES };
    let mut longest = Duration::ZERO;
    for round in 1..=times {
        let detached = tamper::detach_all(play.stage.cgroup.path())?;
        ensure!(detached == HOOKS, "{detached} links were there, not {HOOKS}");
        longest = longest.max(told(&play.stage.agent, "detached", "restored", HOOKS * round)?);
        play.judges()?;
    }
    eprintln!("{HOOKS} hooks were back {times} of {times} times, after {longest:?} at most");
    ensure!(is_emulated() || longest < BACK, "{longest:?}");
    let counted = "sentinel_hook_events_total{finding=\"detached\",result=\"restored\"}";
    ensure!(play.stage.agent.metric(counted)? == (HOOKS * times) as f64);
    ensure!(play.stage.agent.metric("sentinel_hooks_missing")? == 0.0);
    Ok(())
}

/// The same where links are pinned; and a pin that is taken away is there again, so that what is
/// enforced outlives the agent all the same.
fn put_back_pinned() -> Result<()> {
    let scene = Scene::set("vigil-pins", 65)?;
    let agent = scene.agent()?;
    let pin = scene.folder().join("links/egress");
    fs::remove_file(&pin)?;
    told(&agent, "unpinned", "restored", 1)?;
    ensure!(pin.exists(), "the pin is not back");
    let detached = tamper::detach_all(scene.cgroup.path())?;
    ensure!(detached == HOOKS, "{detached} links");
    told(&agent, "detached", "restored", HOOKS)?;
    // SIGKILL.
    drop(agent);
    let detached = tamper::detach_all(scene.cgroup.path())?;
    ensure!(detached == HOOKS, "{detached} links outlive the agent, not {HOOKS}");
    Ok(())
}

fn cgroup_gone() -> Result<()> {
    let cgroup = TestCgroup::unique("vigil-gone")?;
    let agent = Agent::start(&cgroup, &["--mode", "enforce"])?;
    ensure!(agent.get("/readyz")?.contains("200 OK"));
    fs::remove_dir(cgroup.path())?;
    told(&agent, "cgroup_gone", "failed", 1)?;
    let page = agent.get("/readyz")?;
    ensure!(page.contains("503") && page.contains("cgroup_gone"), "{page}");
    ensure!(agent.metric("sentinel_hooks_missing")? == 1.0);
    ensure!(on_hooks(&agent, "cgroup_gone", "failed")? == 1, "it is told again and again");
    Ok(())
}

/// The hooks that ask the canary.
const ASKED: usize = 4;

/// An agent that is itself in the cgroup that it watches. What a cgroup of ours holds ends with it.
struct Inside {
    agent: Agent,
    _own: TestCgroup,
    _watched: TestCgroup,
}

fn inside(name: &str, mode: &str) -> Result<Inside> {
    let cgroup = TestCgroup::unique(name)?;
    let own = cgroup.child("agent")?;
    let place = Placement::default().cgroup(&own);
    let agent = Agent::start_from(place, &cgroup, &["--mode", mode])?;
    ensure!(agent.get("/readyz")?.contains("200 OK"), "{}", agent.log());
    Ok(Inside { agent, _own: own, _watched: cgroup })
}

/// Whoever writes zeroes over all of it has the canary fly, too; whoever only turns enforcement off has not.
fn written_over() -> Result<()> {
    let inside = inside("vigil-written", "enforce")?;
    let agent = &inside.agent;
    ensure!(on_hooks(agent, "not_refused", "restored")? == 0, "{:?}", agent.journal());
    tamper::write_over(agent.pid(), |_| Config::default())?;
    told(agent, "altered", "restored", 1)?;
    told(agent, "not_refused", "restored", ASKED)?;
    tamper::write_over(agent.pid(), |config| Config { switch: 0, ..config })?;
    told(agent, "altered", "restored", 2)?;
    // One look more.
    thread::sleep(Duration::from_millis(1500));
    ensure!(on_hooks(agent, "not_refused", "restored")? == ASKED, "{:?}", agent.journal());
    ensure!(on_hooks(agent, "altered", "restored")? == 2, "{:?}", agent.journal());
    let page = agent.get("/readyz")?;
    ensure!(page.contains("200 OK"), "{page}");
    Ok(())
}

/// What cannot be written anew shows: every hook is in its place, and none judges.
fn canary() -> Result<()> {
    let inside = inside("vigil-canary", "audit")?;
    let agent = &inside.agent;
    tamper::write_over(agent.pid(), |_| Config::default())?;
    tamper::freeze(agent.pid())?;
    told(agent, "not_refused", "failed", ASKED)?;
    told(agent, "altered", "failed", 1)?;
    ensure!(on_hooks(agent, "detached", "restored")? == 0);
    let page = agent.get("/readyz")?;
    ensure!(page.contains("503"), "{page}");
    ensure!(agent.metric("sentinel_hooks_missing")? == (ASKED + 1) as f64);
    Ok(())
}

/// In a container that sees neither the host's processes nor its cgroups, what looks like the root of the
/// hierarchy is one cgroup of it.
fn virtual_root() -> Result<()> {
    let cgroup = TestCgroup::unique("vigil-root")?;
    let state = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    // With a root of its own for cgroups and processes, and mounts that show both.
    command.args(["--cgroup", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"]);
    command.arg("mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"").arg("sh");
    command.arg(sentinel_program()?).args(["run", "--mode", "enforce", "--listen", "127.0.0.1:0"]);
    command.arg("--state-dir").arg(state.path()).stderr(Stdio::piped());
    let mut agent = Placement::default().cgroup(&cgroup).spawn(command)?;
    let mut said = String::new();
    let mut lines = agent.child().stderr.take().context("no stderr")?;
    let status = agent.wait(SLOWLY)?;
    lines.read_to_string(&mut said)?;
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("/sys/fs/cgroup shows one container's cgroups"), "{said}");
    Ok(())
}

/// A second agent's programs are named, and no longer when it is gone.
fn others() -> Result<()> {
    let cgroup = TestCgroup::unique("vigil-others")?;
    let agent = Agent::start(&cgroup, &["--mode", "audit"])?;
    ensure!(on_hooks(&agent, "other_program", "noted")? == 0);
    let mut second = Kernel::load()?;
    second.attach(Some(cgroup.path()))?;
    told(&agent, "other_program", "noted", HOOKS)?;
    let at = |line: &Value, place: &str| line.pointer(place).cloned().unwrap_or_default();
    let is_egress =
        |line: &Value| at(line, "/finding") == "other_program" && at(line, "/program") == "egress";
    let line = agent.record(BACK, is_egress)?;
    ensure!(at(&line, "/other/name") == "egress", "{line}");
    ensure!(at(&line, "/other/id").as_u64() > Some(0), "{line}");
    drop(second);
    Ok(())
}

fn without_privileges() -> Result<()> {
    let play = Play::begin("vigil-nobody", 66)?;
    let detached = tamper::detach_as_nobody(play.stage.cgroup.path())?;
    ensure!(detached == 0, "a user without privileges has taken {detached} hooks away");
    play.judges()?;
    ensure!(on_hooks(&play.stage.agent, "detached", "restored")? == 0);
    Ok(())
}
