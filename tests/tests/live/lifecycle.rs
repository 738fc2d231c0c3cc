//! Start, metrics, bad input, a clean end.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use rustix::thread::CapabilitySet;
use sentinel::datapath::platform;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::miner::{Ended, Family, Segments};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::process::Placement;
use sentinel_tests::transcript::Dialect;

use crate::stage::{self, File, PEER, Stage, session};
use crate::trial;

/// How long a changed file may take: two looks, two seconds apart, and the work.
const CHANGE: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("lifecycle/metrics_and_health", metrics),
        trial("lifecycle/a_clean_end_detaches", clean_end),
        trial("lifecycle/from_audit_to_enforce_cuts_what_was_found", audit_to_enforce),
        trial("lifecycle/changed_signatures_take_effect_by_themselves", changed_signatures),
        trial("lifecycle/a_bad_policy_is_refused", bad_policy),
        trial("lifecycle/doctor_and_status", doctor_and_status),
        trial("lifecycle/without_SYS_RESOURCE", without_sys_resource),
    ]
}

/// Before 5.11 maps are locked memory, whose limit this capability lifts: an agent without it says so. From then
/// on it is not needed, and mining is cut.
fn without_sys_resource() -> Result<()> {
    let cgroup = TestCgroup::unique("sentinel-locked")?;
    let placed = || Placement::default().without(CapabilitySet::SYS_RESOURCE);
    if platform::kernel_release().is_some_and(|release| release >= (5, 11)) {
        let agent = Agent::start_from(placed(), &cgroup, &["--mode", "enforce"])?;
        ensure!(agent.get("/readyz")?.contains("200 OK"), "{}", agent.log());
        ensure!(agent.stop()?.success());
        return Ok(());
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -l 64 && exec \"$@\"", "sh"]).arg(sentinel_program()?);
    command.args(["run", "--mode", "enforce", "--listen", "127.0.0.1:0", "--cgroup"]);
    command.arg(cgroup.path()).stderr(Stdio::piped());
    let mut agent = placed().spawn(command)?;
    let mut lines = agent.child().stderr.take().context("no stderr")?;
    let status = agent.wait(Duration::from_secs(60))?;
    let mut said = String::new();
    lines.read_to_string(&mut said)?;
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("maps count as locked memory") && said.lines().count() == 1, "{said}");
    Ok(())
}

fn mine_once(stage: &Stage, dialect: Dialect) -> Result<Ended> {
    let listen = stage.peer(Family::V4, PEER, 0);
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    Ok(stage.mine(&session(dialect, target, Family::V4, Segments::Whole))?.ended)
}

fn metrics() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let sample = "sentinel_packets_total{reason=\"stratum\",verdict=\"blocked\"}";
    ensure!(mine_once(stage, Dialect::StratumV1)? == Ended::Cut);
    let before = stage.agent.metric(sample)?;
    ensure!(mine_once(stage, Dialect::StratumV1)? == Ended::Cut);
    let after = stage.agent.metric(sample)?;
    ensure!(after > before, "{before} packets before, {after} after");
    ensure!(stage.agent.metric("sentinel_losses_total{kind=\"event\"}")? == 0.0);
    ensure!(stage.agent.get("/healthz")?.starts_with("HTTP/1.1 200"));
    ensure!(stage.agent.get("/readyz")?.starts_with("HTTP/1.1 200"));
    Ok(())
}

fn clean_end() -> Result<()> {
    let stage = Stage::set("sentinel-end", &["--mode", "enforce"])?;
    ensure!(mine_once(&stage, Dialect::Ethproxy)? == Ended::Cut);
    let Stage { lab, agent, workload, cgroup } = stage;
    ensure!(agent.stop()?.code() == Some(0), "SIGTERM is no failure");
    let listen = std::net::SocketAddr::new(lab.subnet().v4(PEER).into(), 0);
    let pool = lab.in_peer(|| Pool::start(&[listen], Manner::of(Dialect::Ethproxy)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let options = session(Dialect::Ethproxy, target, Family::V4, Segments::Whole);
    let mut command = Command::new(sentinel_tests::process::lab_program()?);
    command.arg("miner").args(options.to_args());
    let placement = Placement::default().cgroup(&workload).netns(lab.node());
    let report: sentinel_tests::miner::Report =
        placement.spawn_reporting(command)?.report(stage::WITHIN)?;
    ensure!(report.ended == Ended::Completed, "programs stayed behind: {report:?}");
    drop((workload, cgroup));
    Ok(())
}

/// A session that audit has found is cut when enforcement comes, told of and destroyed.
fn audit_to_enforce() -> Result<()> {
    let file = File::new("sentinel-mode", "mode: audit\n")?;
    let stage = Stage::set("sentinel-mode", &["--config", file.path()?])?;
    let listen = stage.peer(Family::V4, PEER, 0);
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(Dialect::Xmrig)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let mut options = session(Dialect::Xmrig, target, Family::V4, Segments::Whole);
    (options.submits, options.hold_ms) = (20, 300);
    let report = std::thread::scope(|scope| {
        let session = scope.spawn(|| stage.mine(&options));
        let found = stage.agent.record(stage::WITHIN, |record| verdict_is(record, "audited"));
        fs::write(file.path()?, "mode: enforce\n")?;
        stage.agent.hang_up()?;
        let report = session.join().map_err(|_| anyhow::anyhow!("the session panicked"))??;
        found.map(|_| report)
    })?;
    ensure!(report.ended == Ended::Cut, "the session went on: {report:?}\n{}", stage.agent.log());
    ensure!(report.errno.as_deref() == Some("ECONNABORTED"), "{report:?}");
    stage.agent.record(stage::WITHIN, |record| verdict_is(record, "blocked"))?;
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// Signature files are read again when they change, without a signal; wrong ones change nothing.
fn changed_signatures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, file) = (folder.path().join("c.yaml"), folder.path().join("mine.toml"));
    fs::write(&config, "mode: enforce\nbuiltinSignatures: false\nsignatures: [mine.toml]\n")?;
    fs::write(&file, sentinel::signature::full::rules(40))?;
    let path = config.to_str().context("the file's path is not UTF-8")?.to_owned();
    let stage = Stage::set("sentinel-signatures", &["--config", &path])?;
    ensure!(mine_once(&stage, Dialect::StratumV1)? == Ended::Completed, "nothing looks for V1 yet");
    let told = |result: &'static str, set: u64| {
        stage.agent.record(CHANGE, move |record| {
            let text = |key: &str| record.get(key).and_then(serde_json::Value::as_str);
            let number = record.get("set").and_then(serde_json::Value::as_u64);
            text("kind") == Some("signatures")
                && text("result") == Some(result)
                && number == Some(set)
        })
    };
    fs::write(&file, "dialect = \n")?;
    told("refused", 1)?;
    let v1 = sentinel::signature::EMBEDDED.iter().find(|(name, _)| *name == "bitcoin-v1.toml");
    fs::write(&file, v1.context("no such dialect")?.1)?;
    told("applied", 2)?;
    ensure!(mine_once(&stage, Dialect::StratumV1)? == Ended::Cut, "{}", stage.agent.log());
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

fn verdict_is(record: &serde_json::Value, verdict: &str) -> bool {
    let says = |key: &str| record.get(key).and_then(serde_json::Value::as_str);
    says("kind") == Some("stratum") && says("verdict") == Some(verdict)
}

fn bad_policy() -> Result<()> {
    let file = File::new(
        "sentinel-bad",
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: x}\nspec: {egres: []}\n",
    )?;
    // A check that finds something is 2; a run that is given bad input is 64.
    for (arguments, code) in [(vec!["policy", "check"], 2), (vec!["run", "--policy"], 64)] {
        let output =
            Command::new(sentinel_program()?).args(&arguments).arg(file.path()?).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = format!("{stderr}{}", String::from_utf8_lossy(&output.stdout));
        ensure!(output.status.code() == Some(code), "{arguments:?}: {:?}\n{said}", output.status);
        ensure!(said.contains("egress"), "no suggestion in: {said}");
        ensure!(said.contains(":4"), "no line in: {said}");
    }
    Ok(())
}

fn doctor_and_status() -> Result<()> {
    let output = Command::new(sentinel_program()?).args(["doctor", "--format", "json"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).context("doctor's JSON")?;
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let output = Command::new(sentinel_program()?)
        .args(["status", "--format", "json", "--state-dir"])
        .arg(stage.agent.folder())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(status.to_string().contains("egress"), "{status}");
    Ok(())
}
