//! Hooks that somebody takes away: they are back within seconds, it is told of, and the agent is not
//! ready while one is missing.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::Kernel;
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::netlab::{Lab, Subnet};
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
