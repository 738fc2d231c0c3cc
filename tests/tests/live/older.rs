//! What was running before the agent: read from its next packet on, and told of.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::honest::{self, HonestServer, Service};
use sentinel_tests::miner::{self, Ended, Family, Report, Segments};
use sentinel_tests::netlab::Lab;
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::process::{Placement, Running, lab_program};
use sentinel_tests::sniffer::Sniffer;
use sentinel_tests::transcript::{self, Dialect, Variant};
use serde_json::Value;

use crate::stage::{PEER, WITHIN, session};
use crate::trial;

const POD: &str = "12345678-1234-1234-1234-123456789abc";
const SUMMARY: &str = "already open at the start";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    // An emulated machine takes seconds for each agent's start.
    let some = if std::env::var_os("SENTINEL_VM").is_some() { 1 } else { usize::MAX };
    for dialect in Dialect::COMMON.into_iter().take(some) {
        let name = |what: &str| format!("older/{}/{what}", dialect.name());
        trials.push(trial(name("the_next_share_does_not_get_out"), move || next_share(dialect)));
        // EthProxy's jobs name no method: without what was said before they are any answer.
        if dialect != Dialect::Ethproxy {
            trials.push(trial(name("the_next_job_does_not_get_in"), move || next_job(dialect)));
        }
    }
    trials.push(trial("older/the_journal_says_whose_it_was", journal_tells));
    trials.push(trial("older/an_honest_session_goes_on", honest_goes_on));
    trials.push(trial("older/a_restarted_agent_finds_its_miners_again", restarted));
    trials.push(trial("older/outside_the_cgroup_nothing_is_taken_up", outside));
    trials
}

/// A place without an agent.
struct Before {
    lab: Lab,
    workload: TestCgroup,
    cgroup: TestCgroup,
}

impl Before {
    fn set(name: &str) -> Result<Self> {
        let lab = Lab::new(name)?;
        let cgroup = TestCgroup::unique(name)?;
        let pod = format!("kubepods-besteffort-pod{}.slice", POD.replace('-', "_"));
        let workload = cgroup.child(&pod)?;
        Ok(Self { lab, workload, cgroup })
    }

    fn pool(&self, manner: Manner) -> Result<Pool> {
        let listen = (self.lab.subnet().v4(PEER), 0).into();
        self.lab.in_peer(|| Pool::start(&[listen], manner))
    }

    /// A miner that is logged in and has handed in a share.
    fn miner(&self, pool: &Pool, dialect: Dialect, hold_ms: u64) -> Result<Running> {
        let target = *pool.addresses().first().context("the pool has no address")?;
        let mut options = session(dialect, target, Family::V4, Segments::Whole);
        (options.submits, options.hold_ms) = (30, hold_ms);
        let running = self.start("miner", &options.to_args(), &self.workload)?;
        let opening = transcript::opening(dialect, &Variant::default()).len();
        ensure!(pool.wait_requests(opening, WITHIN), "the pool heard {:?}", pool.record().lines());
        Ok(running)
    }

    fn start(&self, verb: &str, arguments: &[String], cgroup: &TestCgroup) -> Result<Running> {
        let mut command = Command::new(lab_program()?);
        command.arg(verb).args(arguments);
        Placement::default().cgroup(cgroup).netns(self.lab.node()).spawn_reporting(command)
    }

    /// An agent that has looked at what was open.
    fn agent(&self, mode: &str) -> Result<Agent> {
        let agent = Agent::start(&self.cgroup, &["--mode", mode])?;
        summary(&agent)?;
        Ok(agent)
    }
}

/// The sentence on what was open, waited for.
fn summary(agent: &Agent) -> Result<String> {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(line) = agent.log().lines().find(|line| line.contains(SUMMARY)) {
            return Ok(line.to_owned());
        }
        if Instant::now() > deadline {
            bail!("nothing was said of what was open:\n{}", agent.log());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn stratum(record: &Value) -> bool {
    text(record, "/kind") == "stratum" && text(record, "/verdict") == "blocked"
}

fn cut(report: &Report, agent: &Agent) -> Result<()> {
    ensure!(report.ended == Ended::Cut, "{report:?}\n{}", agent.log());
    ensure!(report.errno.as_deref() == Some("ECONNABORTED"), "{report:?}\n{}", agent.log());
    Ok(())
}

/// Only the miner speaks.
fn next_share(dialect: Dialect) -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let pool = before.pool(Manner { job_every: None, ..Manner::of(dialect) })?;
    let miner = before.miner(&pool, dialect, 1500)?;
    let agent = before.agent("enforce")?;
    let sniffer = Sniffer::start(&before.lab)?;
    let heard = pool.record().requests();
    let report: Report = miner.report(WITHIN)?;
    cut(&report, &agent)?;
    ensure!(pool.record().requests() == heard, "the pool heard {:?}", pool.record().lines());
    let capture = sniffer.finish()?;
    for stream in pool.addresses().iter().flat_map(|pool| capture.streams_to(pool.port())) {
        let said = String::from_utf8_lossy(&stream.bytes).into_owned();
        ensure!(!said.contains('\n'), "a complete request was on the wire: {said}");
    }
    let record = agent.record(WITHIN, stratum)?;
    ensure!(text(&record, "/direction") == "egress", "{record}");
    ensure!(agent.stop()?.success());
    Ok(())
}

/// Only the pool speaks.
fn next_job(dialect: Dialect) -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let pool = before.pool(Manner::of(dialect))?;
    let miner = before.miner(&pool, dialect, 30_000)?;
    let agent = before.agent("enforce")?;
    let report: Report = miner.report(WITHIN)?;
    cut(&report, &agent)?;
    let record = agent.record(WITHIN, stratum)?;
    ensure!(text(&record, "/direction") == "ingress", "{record}");
    ensure!(agent.stop()?.success());
    Ok(())
}

fn journal_tells() -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let pool = before.pool(Manner::of(Dialect::Xmrig))?;
    let miner = before.miner(&pool, Dialect::Xmrig, 300)?;
    let pid = u64::from(miner.pid());
    let agent = before.agent("enforce")?;
    let report: Report = miner.report(WITHIN)?;
    cut(&report, &agent)?;
    let target = pool.addresses().first().context("the pool has no address")?.to_string();
    let open = agent.record(WITHIN, |record| text(record, "/kind") == "socket")?;
    ensure!(text(&open, "/dst") == target, "{open}");
    ensure!(text(&open, "/inspection") == "resumed", "{open}");
    ensure!(open.pointer("/bytes_sent").and_then(Value::as_u64) > Some(100), "{open}");
    let cut = agent.record(WITHIN, stratum)?;
    for record in [&open, &cut] {
        ensure!(record.pointer("/process/pid").and_then(Value::as_u64) == Some(pid), "{record}");
        ensure!(text(record, "/process/exe").ends_with("sentinel-lab"), "{record}");
        ensure!(text(record, "/process/comm") == "lab-miner", "{record}");
        ensure!(text(record, "/workload/pod_uid") == POD, "{record}");
    }
    ensure!(cut.get("cookie") == open.get("cookie"), "{cut}\n{open}");
    ensure!(text(&cut, "/countermeasure/result") == "destroyed", "{cut}");
    let said = summary(&agent)?;
    ensure!(said.contains("1 connections to 1 addresses by 1 processes; 0 could not"), "{said}");
    let output = Command::new(sentinel_program()?)
        .args(["status", "--format", "json", "--state-dir"])
        .arg(agent.folder())
        .output()?;
    let status: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(status.pointer("/at_start/connections") == Some(&1.into()), "{status}");
    ensure!(status.pointer("/at_start/resumed") == Some(&1.into()), "{status}");
    ensure!(agent.stop()?.success());
    Ok(())
}

/// JSON lines, a store and HTTP, all of which quote miners.
fn honest_goes_on() -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let listen = (before.lab.subnet().v4(PEER), 0).into();
    let mut sessions = Vec::new();
    for service in [Service::Log, Service::Store, Service::Http] {
        let server = before.lab.in_peer(|| HonestServer::start(service, &[listen]))?;
        let target = *server.addresses().first().context("the server has no address")?;
        let mut options = honest::Options::new(service, target);
        (options.rounds, options.interval_ms) = (80, 100);
        sessions.push((server, before.start("honest", &options.to_args(), &before.workload)?));
    }
    thread::sleep(Duration::from_millis(500));
    let agent = before.agent("enforce")?;
    let said = summary(&agent)?;
    ensure!(said.contains("are read from their next packet on"), "{said}");
    for (_server, running) in sessions {
        let report: honest::Report = running.report(WITHIN)?;
        ensure!(report.ok && report.rounds == 80, "{report:?}\n{}", agent.log());
    }
    ensure!(!agent.journal()?.iter().any(stratum), "{:?}", agent.journal()?);
    ensure!(agent.stop()?.success());
    Ok(())
}

fn restarted() -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let pool = before.pool(Manner::of(Dialect::StratumV1))?;
    let miner = before.miner(&pool, Dialect::StratumV1, 700)?;
    let first = before.agent("audit")?;
    let audited = |record: &Value| {
        text(record, "/kind") == "stratum" && text(record, "/verdict") == "audited"
    };
    first.record(WITHIN, audited)?;
    ensure!(first.stop()?.success());
    let heard = pool.record().requests();
    ensure!(pool.wait_requests(heard + 1, WITHIN), "an audit drops nothing");
    let second = before.agent("enforce")?;
    let report: Report = miner.report(WITHIN)?;
    cut(&report, &second)?;
    ensure!(second.stop()?.success());
    Ok(())
}

fn outside() -> Result<()> {
    let before = Before::set("sentinel-older")?;
    let elsewhere = TestCgroup::unique("sentinel-elsewhere")?;
    let pool = before.pool(Manner::of(Dialect::Xmrig))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let mut options: miner::Options = session(Dialect::Xmrig, target, Family::V4, Segments::Whole);
    (options.submits, options.hold_ms) = (20, 300);
    let miner = before.start("miner", &options.to_args(), &elsewhere)?;
    ensure!(pool.wait_requests(1, WITHIN), "the pool heard nothing");
    let agent = before.agent("enforce")?;
    let said = summary(&agent)?;
    ensure!(said.contains(" 0 connections to 0 addresses"), "{said}");
    let report: Report = miner.report(WITHIN)?;
    ensure!(report.ended == Ended::Completed, "{report:?}");
    ensure!(agent.stop()?.success());
    Ok(())
}
