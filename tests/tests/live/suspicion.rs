//! Mining that cannot be read, with a real agent, a real kernel and real `tcp_info`: a TLS miner beside a
//! TLS chat, each of whose sessions passes twenty seconds in one. The agent's own clock is compressed
//! by its configuration alone.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::miner::Ended;
use sentinel_tests::netlab::Lab;
use sentinel_tests::process::{Placement, Running, lab_program};
use sentinel_tests::score::Pattern;
use sentinel_tests::score::remote::{Client, Plan, Report, SessionServer};
use serde_json::Value;

use crate::stage::{PEER, WITHIN};
use crate::trial;

/// How fast time passes.
#[derive(Clone, Copy)]
struct Pace {
    /// The agent's configuration.
    config: &'static str,
    /// Seconds of a session in one.
    scale: f64,
    /// How long a session is, in seconds of its own.
    seconds: f64,
    /// How long the agent may take to find it, and a session to end.
    within: Duration,
}

/// A twentieth of the agent's defaults, which are ten seconds and five minutes; 30 of our seconds. On a
/// machine that others keep busy the miner's processor time is not much: the threshold leaves room
/// for that, and the chat, which keeps none busy, stays far below.
const FAST: Pace = Pace {
    config: "encryptedMining: {interval: 500ms, watchFor: 15s, threshold: 0.6}\n",
    scale: 20.0,
    seconds: 600.0,
    within: WITHIN,
};
/// Longer than the test.
const ENDLESS: Pace = Pace { seconds: 2400.0, ..FAST };
/// The defaults and the clock on the wall: a quarter of an hour.
const REAL: Pace = Pace {
    config: "# the defaults\n",
    scale: 1.0,
    seconds: 840.0,
    within: Duration::from_secs(900),
};
/// One that pools of the captures listen on.
const POOL_PORT: u16 = 14_433;
/// What is known of a miner that began under the agent's eyes.
const TERMS: [&str; 8] =
    ["longLived", "lowRate", "periodic", "recordSizes", "destination", "names", "cpu", "binary"];

pub fn trials() -> Vec<Trial> {
    let mut trials =
        vec![trial("suspicion/block/the_miner_alone_is_cut_also_when_it_was_first", cut)];
    // Half a minute more of a machine that is emulated would show nothing new.
    if std::env::var_os("SENTINEL_VM").is_none() {
        let name = "suspicion/alert/one_event_with_its_terms_and_nothing_is_done";
        trials.push(trial(name, || told(FAST)));
    }
    // A quarter of an hour is for those who ask for it.
    if std::env::var_os("SENTINEL_REAL_TIME").is_some() {
        trials.push(trial("suspicion/real_time", || told(REAL)));
    }
    trials
}

/// A pool and a chat server on the peer's side, and room for their clients.
struct Scene {
    files: tempfile::TempDir,
    pace: Pace,
    lab: Lab,
    pool: SessionServer,
    chat: SessionServer,
    mining: TestCgroup,
    chatting: TestCgroup,
    cgroup: TestCgroup,
}

impl Scene {
    fn set(name: &str, pace: Pace) -> Result<Self> {
        let files = tempfile::tempdir()?;
        std::fs::write(files.path().join("config.yaml"), pace.config)?;
        let lab = Lab::new(name)?;
        let server = |pattern, port| {
            let listen = SocketAddr::from((lab.subnet().v4(PEER), port));
            let trust = files.path().join(format!("{port}.der"));
            lab.in_peer(|| SessionServer::start(listen, plan(pattern, pace), &trust))
        };
        let (pool, chat) = (server(Pattern::Xmrig, POOL_PORT)?, server(Pattern::Chat, 443)?);
        let cgroup = TestCgroup::unique(name)?;
        let (mining, chatting) = (cgroup.child("mining")?, cgroup.child("chatting")?);
        Ok(Self { files, pace, lab, pool, chat, mining, chatting, cgroup })
    }

    fn agent(&self, arguments: &[&str]) -> Result<Agent> {
        let config = self.files.path().join("config.yaml");
        let config = config.to_str().context("the folder's name is no text")?;
        Agent::start(
            &self.cgroup,
            &[&["--config", config, "--mode", "enforce"], arguments].concat(),
        )
    }

    fn miner(&self) -> Result<Running> {
        self.client(&self.mining, &self.pool, Pattern::Xmrig)
    }

    fn chatter(&self) -> Result<Running> {
        self.client(&self.chatting, &self.chat, Pattern::Chat)
    }

    fn client(
        &self,
        cgroup: &TestCgroup,
        server: &SessionServer,
        pattern: Pattern,
    ) -> Result<Running> {
        let target = server.address()?;
        let trust = self.files.path().join(format!("{}.der", target.port()));
        let busy = pattern == Pattern::Xmrig;
        let client = Client { target, trust, busy, plan: plan(pattern, self.pace) };
        let mut command = Command::new(lab_program()?);
        command.arg("session").args(client.to_args());
        Placement::default().cgroup(cgroup).netns(self.lab.node()).spawn_reporting(command)
    }
}

fn plan(pattern: Pattern, pace: Pace) -> Plan {
    let Pace { scale, seconds, .. } = pace;
    Plan { pattern, scale, seconds, number: 3 }
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn number(record: &Value, pointer: &str) -> f64 {
    record.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn suspicion(record: &Value) -> bool {
    text(record, "/kind") == "suspicion"
}

fn told(pace: Pace) -> Result<()> {
    let scene = Scene::set("sentinel-told", pace)?;
    // Enforcing, and still only told of: a score never blocks by itself.
    let agent = scene.agent(&[])?;
    let (miner, chatter) = (scene.miner()?, scene.chatter()?);
    let pid = u64::from(miner.pid());
    let event = agent.record(pace.within, suspicion)?;
    check(&event, &TERMS)?;
    ensure!(text(&event, "/verdict") == "audited", "{event}");
    ensure!(text(&event, "/dst") == scene.pool.address()?.to_string(), "{event}");
    ensure!(event.pointer("/countermeasure").is_none(), "{event}");
    ensure!(event.pointer("/process/pid").and_then(Value::as_u64) == Some(pid), "{event}");
    ensure!(text(&event, "/workload/cgroup").ends_with("/mining"), "{event}");
    listed(&scene, &agent)?;
    let mined: Report = miner.report(pace.within)?;
    ensure!(mined.ended == Ended::Completed, "{mined:?}\n{}", agent.log());
    ensure!(text(&event, "/src") == mined.local.context("no address")?.to_string(), "{event}");
    let chatted: Report = chatter.report(pace.within)?;
    ensure!(chatted.ended == Ended::Completed, "{chatted:?}\n{}", agent.log());
    let events: Vec<Value> = agent.journal()?.into_iter().filter(suspicion).collect();
    ensure!(events.len() == 1, "{events:?}");
    let counted = agent.metric("sentinel_events_total{kind=\"suspicion\",verdict=\"audited\"}")?;
    ensure!(counted == 1.0, "{counted}");
    ensure!(agent.stop()?.success());
    Ok(())
}

/// Every term is there with its value, weight and words, and the score is their mean by weight.
fn check(event: &Value, expected: &[&str]) -> Result<()> {
    ensure!(text(event, "/reason") == "encrypted_mining", "{event}");
    let terms = event.pointer("/terms").and_then(Value::as_array).context("no terms")?;
    let names: Vec<&str> = terms.iter().map(|term| text(term, "/name")).collect();
    ensure!(names == expected, "{event}");
    let (mut sum, mut weight) = (0.0, 0.0);
    for term in terms {
        let (value, by) = (number(term, "/value"), number(term, "/weight"));
        ensure!((0.0..=1.0).contains(&value) && by > 0.0, "{event}");
        ensure!(!text(term, "/detail").is_empty(), "{event}");
        sum += value * by;
        weight += by;
    }
    let score = number(event, "/score");
    ensure!((score - sum / weight).abs() < 0.002 && score >= 0.6, "{event}");
    Ok(())
}

/// `sentinel sockets` says of both connections what is thought of them.
fn listed(scene: &Scene, agent: &Agent) -> Result<()> {
    let ask = |format: &str| {
        Command::new(sentinel_program()?)
            .args(["sockets", "--format", format, "--state-dir"])
            .arg(agent.folder())
            .output()
            .context("sentinel sockets does not start")
    };
    let output = ask("json")?;
    ensure!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let all = answer.pointer("/connections").and_then(Value::as_array).context("no list")?;
    let to = |server: &SessionServer| {
        let address = server.address()?.to_string();
        let found = all.iter().find(|one| text(one, "/dst") == address);
        found.with_context(|| format!("{address} is not in {answer}"))
    };
    let (mining, chatting) = (to(&scene.pool)?, to(&scene.chat)?);
    ensure!(text(mining, "/verdict") == "audited", "{mining}");
    ensure!(text(mining, "/reason") == "encrypted_mining", "{mining}");
    ensure!(number(mining, "/score") >= 0.5, "{mining}");
    ensure!(text(chatting, "/verdict") == "allowed", "{chatting}");
    for one in [mining, chatting] {
        ensure!(one.pointer("/older_than_agent") == Some(&false.into()), "{one}");
        ensure!(number(one, "/age_at_least_seconds") >= 12.0, "{one}");
        ensure!(number(one, "/bytes_sent") > 100.0, "{one}");
        ensure!(number(one, "/bytes_received") > 100.0, "{one}");
        ensure!(text(one, "/process/exe").ends_with("sentinel-lab"), "{one}");
        ensure!(text(one, "/process/comm") == "lab-session", "{one}");
    }
    ensure!(text(chatting, "/workload/cgroup").ends_with("/chatting"), "{chatting}");
    let table = String::from_utf8(ask("table")?.stdout)?;
    ensure!(table.starts_with("AGE") || table.starts_with(" "), "{table}");
    ensure!(table.contains("audited (encrypted_mining, score 0."), "{table}");
    Ok(())
}

/// The miner was there before the agent: what its handshake said nobody knows, and its traffic is
/// enough.
fn cut() -> Result<()> {
    let scene = Scene::set("sentinel-suspect", ENDLESS)?;
    let (miner, mut chatter) = (scene.miner()?, scene.chatter()?);
    wait_for(&scene.pool)?;
    let agent = scene.agent(&["--encrypted-mining", "block"])?;
    let older = |record: &Value| {
        text(record, "/kind") == "socket" && text(record, "/dst").ends_with(":14433")
    };
    let open = agent.record(WITHIN, older)?;
    ensure!(open.pointer("/older_than_agent") == Some(&true.into()), "{open}");
    ensure!(open.pointer("/age_at_least_seconds").is_some(), "{open}");
    let mined: Report = miner.report(WITHIN)?;
    ensure!(mined.ended == Ended::Cut, "{mined:?}\n{:?}\n{}", agent.journal()?, agent.log());
    ensure!(mined.errno.as_deref() == Some("ECONNABORTED"), "{mined:?}");
    let event = agent.record(WITHIN, suspicion)?;
    let known: Vec<&str> = TERMS.into_iter().filter(|name| *name != "names").collect();
    check(&event, &known)?;
    ensure!(text(&event, "/verdict") == "blocked", "{event}");
    ensure!(text(&event, "/countermeasure/result") == "destroyed", "{event}");
    // The peer is the witness.
    let seen = scene.pool.seen();
    let [witness] = &seen[..] else { bail!("{seen:?}") };
    ensure!(witness.ended.as_deref() == Some("ECONNRESET"), "{witness:?}");
    ensure!(witness.messages >= 8, "{witness:?}");
    // Another look or two, and the chat goes on.
    thread::sleep(Duration::from_secs(2));
    ensure!(scene.chat.seen().iter().all(|one| one.ended.is_none()), "{:?}", scene.chat.seen());
    ensure!(chatter.ended()?.is_none(), "the chat has ended");
    let events: Vec<Value> = agent.journal()?.into_iter().filter(suspicion).collect();
    ensure!(events.len() == 1, "{events:?}");
    ensure!(agent.stop()?.success());
    Ok(())
}

/// Until a connection is there.
fn wait_for(server: &SessionServer) -> Result<()> {
    let deadline = Instant::now() + WITHIN;
    while server.seen().is_empty() {
        ensure!(Instant::now() < deadline, "nobody came");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
