//! The whole agent but the kernel: records in, journal, metrics and status out. Needs no root.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails does so by panicking"
)]

mod fake;
mod node;
mod reload;
mod signatures;
mod sockets;

use std::io::{self, Read, Write};
use std::mem::offset_of;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sentinel::config::{Config, ConfigFile, EnforcementMode, MetadataService, NodeFile};
use sentinel::daemon::{Agent, Parts, Records, prepare};
use sentinel::export::journal::Journal;
use sentinel::export::writer::Outputs;
use sentinel_common::event::{Event, Kind};
use sentinel_common::flow::Owner;
use sentinel_common::verdict::{Mode, Reason, Verdict};
use serde_json::Value;
use tokio::sync::mpsc;

use fake::{Fake, Told};

impl Drop for Fake {
    fn drop(&mut self) {
        self.0.lock().unwrap().detached = true;
    }
}

/// A ring that yields what the test puts into it, and then nothing.
struct Ring(mpsc::UnboundedReceiver<io::Result<Bytes>>);

impl Records for Ring {
    async fn next(&mut self) -> io::Result<Bytes> {
        match self.0.recv().await {
            Some(record) => record,
            None => std::future::pending().await,
        }
    }
}

/// A record as the kernel writes one.
struct Record(Vec<u8>);

impl Record {
    fn stratum(verdict: Verdict, local: SocketAddr, remote: SocketAddr) -> Self {
        let mut record = Self(vec![0; size_of::<Event>()]);
        record.put(offset_of!(Event, time), &1_u64.to_ne_bytes());
        record.put(offset_of!(Event, tokens), &u64::MAX.to_ne_bytes());
        record.put(offset_of!(Event, generation), &1_u32.to_ne_bytes());
        record.put(offset_of!(Event, signatures), &1_u32.to_ne_bytes());
        record.put(
            offset_of!(Event, kind),
            &[Kind::Stratum as u8, verdict as u8, Reason::Stratum as u8],
        );
        record.put(offset_of!(Event, protocol), &[6]);
        record.end(offset_of!(Event, local), offset_of!(Event, local_port), local);
        record.end(offset_of!(Event, remote), offset_of!(Event, remote_port), remote);
        let said = br#"{"id":1,"method":"login","params":{"login":"48ed","agent":"XMRig/6"}}"#;
        record.put(offset_of!(Event, excerpt), said);
        record.put(offset_of!(Event, excerpt_len), &(said.len() as u16).to_ne_bytes());
        record.owner(std::process::id());
        record
    }

    fn put(&mut self, offset: usize, value: &[u8]) {
        self.0[offset..offset + value.len()].copy_from_slice(value);
    }

    fn end(&mut self, address: usize, port: usize, end: SocketAddr) {
        let SocketAddr::V4(v4) = end else { panic!("the test speaks IPv4") };
        self.put(address, &v4.ip().to_ipv6_mapped().octets());
        self.put(port, &end.port().to_ne_bytes());
    }

    fn owner(&mut self, pid: u32) {
        let owner = offset_of!(Event, owner);
        self.put(owner + offset_of!(Owner, tgid), &pid.to_ne_bytes());
        self.put(owner + offset_of!(Owner, comm), b"honest-name\0");
    }
}

struct Bench {
    folder: tempfile::TempDir,
    told: Arc<Mutex<Told>>,
    ring: mpsc::UnboundedSender<io::Result<Bytes>>,
    agent: Agent,
}

impl Bench {
    async fn start(policies: Vec<PathBuf>) -> Self {
        // The tests may run in a cloud.
        let node = NodeFile { metadata_service: Some(MetadataService::Off), ..NodeFile::default() };
        Self::with(ConfigFile { policies, node, ..ConfigFile::default() }).await
    }

    async fn with(file: ConfigFile) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = enforcing(ConfigFile {
            listen: "127.0.0.1:0".parse().ok(),
            state_dir: Some(folder.path().join("state")),
            ..file
        });
        let told = Arc::new(Mutex::new(Told::default()));
        let (ring, records) = mpsc::unbounded_channel();
        let journal = Journal::file(folder.path().join("events.json")).unwrap();
        let parts = Parts {
            datapath: Box::new(Fake(Arc::clone(&told))),
            records: Ring(records),
            prepared: prepare(&config).unwrap(),
            config,
            outputs: Outputs { journal: Some(journal), table: None },
        };
        let agent = Agent::start(parts).await.unwrap();
        Self { folder, told, ring, agent }
    }

    fn send(&self, record: Record) {
        self.ring.send(Ok(record.0.into())).unwrap();
    }

    fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("events.json")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let address = self.agent.address().unwrap();
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || get(address, &path)).await.unwrap()
    }

    async fn eventually(&self, what: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        for _ in 0..200 {
            let lines = self.journal();
            if what(&lines) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come: {:#?}", self.journal());
    }
}

/// Settings under which what is found is blocked.
fn enforcing(file: ConfigFile) -> Config {
    let typed = ConfigFile { mode: Some(EnforcementMode::Enforce), ..ConfigFile::default() };
    Config::new(typed, file)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn of_kind(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["kind"] == kind).cloned().collect()
}

fn stratum(line: &Value) -> bool {
    line["kind"] == "stratum"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miners_record_becomes_a_line_with_everything_in_it() {
    let bench = Bench::start(Vec::new()).await;
    let pool = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut miner = TcpStream::connect(pool.local_addr().unwrap()).unwrap();
    let (local, remote) = (miner.local_addr().unwrap(), miner.peer_addr().unwrap());
    bench.send(Record::stratum(Verdict::Blocked, local, remote));
    let lines = bench.eventually(|lines| lines.iter().any(stratum)).await;
    let line = lines.iter().find(|line| stratum(line)).unwrap();
    assert_eq!(line["verdict"], "blocked");
    assert_eq!(line["dst"], remote.to_string());
    assert_eq!(line["process"]["pid"], std::process::id());
    let exe = std::env::current_exe().unwrap();
    assert_eq!(line["process"]["exe"], exe.to_str().unwrap());
    assert_eq!(line["stratum"]["login"], "48ed");
    assert_eq!(line["stratum"]["agent"], "XMRig/6");
    assert!(line["stratum"]["dialect"].is_string(), "{line}");
    match line["countermeasure"]["result"].as_str() {
        Some("destroyed") => {
            let error = miner.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
        Some("failed") => eprintln!("skipped: the end of the socket: {}", line["countermeasure"]),
        _ => panic!("{line}"),
    }
    let told = Arc::clone(&bench.told);
    assert_eq!(told.lock().unwrap().policies[0].modes.stratum, Mode::Enforce);
    assert_eq!(told.lock().unwrap().policies[0].modes.egress, Mode::Off);
    assert!(told.lock().unwrap().rules > 0);
    bench.agent.stop().await;
    assert!(told.lock().unwrap().detached);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_probes_tell_the_same() {
    let bench = Bench::start(Vec::new()).await;
    assert_eq!(bench.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(bench.get("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(bench.get("/status").await.0, 404, "processes and paths are not for the network");
    bench.ring.send(Ok(Bytes::from_static(b"short"))).unwrap();
    let here: SocketAddr = "192.0.2.9:1".parse().unwrap();
    bench.send(Record::stratum(Verdict::Audited, here, here));
    bench.eventually(|lines| lines.iter().any(stratum)).await;
    let (_, text) = bench.get("/metrics").await;
    for line in [
        "sentinel_packets_total{reason=\"stratum\",verdict=\"blocked\"} 12",
        "sentinel_decode_errors_total{kind=\"short\"} 1",
        "sentinel_events_total{kind=\"stratum\",verdict=\"audited\"} 1",
        "sentinel_policy_generation 1",
        "sentinel_pending_events 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let state = bench.folder.path().join("state");
    let status = tokio::task::spawn_blocking(move || sentinel::status::fetch(&state))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["programs"][0]["program"], "egress");
    assert_eq!(status["packets"][0]["count"], 12);
    bench.ring.send(Err(io::Error::other("gone"))).unwrap();
    for _ in 0..100 {
        if bench.get("/readyz").await.0 == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.get("/readyz").await.0, 503);
    bench.agent.stop().await;
}

/// Looks healthy and names nobody: that is no agent that is ready.
#[tokio::test(flavor = "multi_thread")]
async fn events_without_processes_are_no_health() {
    const GONE: u32 = 0x3fff_ffff;
    let bench = Bench::start(Vec::new()).await;
    let here: SocketAddr = "192.0.2.9:1".parse().unwrap();
    for port in 0..49 {
        assert_eq!(bench.get("/readyz").await.0, 200, "after {port} events");
        let mut record = Record::stratum(Verdict::Audited, here, (here.ip(), 2000 + port).into());
        record.owner(GONE);
        bench.send(record);
        let told =
            |lines: &[Value]| lines.iter().filter(|line| stratum(line)).count() > port.into();
        bench.eventually(told).await;
    }
    bench.send(Record::stratum(Verdict::Audited, here, here));
    bench.eventually(|lines| lines.iter().filter(|line| stratum(line)).count() == 50).await;
    let (code, why) = bench.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(why.starts_with("49 of the last 50 events name no process"), "{why}");
    bench.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_policy_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let good = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: shop}\n\
                spec: {mode: enforce, egress: [{toCIDRs: [198.51.100.0/24]}]}\n";
    std::fs::write(&path, good).unwrap();
    let mut bench = Bench::start(vec![path.clone()]).await;
    let config = || enforcing(ConfigFile { policies: vec![path.clone()], ..ConfigFile::default() });
    assert_eq!(bench.told.lock().unwrap().policies[0].modes.egress, Mode::Enforce);
    std::fs::write(&path, good.replace("toCIDRs", "toCIDR")).unwrap();
    bench.agent.reload(config()).await;
    assert_eq!(bench.agent.status().generation, 1);
    let (_, text) = bench.get("/metrics").await;
    assert!(text.contains("sentinel_policy_load_failures_total 1\n"));
    std::fs::write(&path, good).unwrap();
    bench.agent.reload(config()).await;
    assert_eq!(bench.agent.status().generation, 2);
    assert_eq!(bench.agent.status().policy_error, None);
    let lines = bench.eventually(|lines| of_kind(lines, "policy").len() >= 3).await;
    let lines = of_kind(&lines, "policy");
    let results: Vec<&str> = lines.iter().filter_map(|line| line["result"].as_str()).collect();
    assert_eq!(results, ["applied", "refused", "applied"]);
    assert!(lines[1]["error"].as_str().unwrap().contains("toCIDRs"), "{}", lines[1]);
    bench.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_are_written_before_the_end() {
    let bench = Bench::start(Vec::new()).await;
    for port in 1..=50_u16 {
        let remote = SocketAddr::from(([192, 0, 2, 7], port));
        bench.send(Record::stratum(Verdict::Audited, remote, remote));
    }
    let Bench { folder, agent, .. } = bench;
    agent.stop().await;
    let text = std::fs::read_to_string(folder.path().join("events.json")).unwrap();
    let lines = text.lines().filter(|line| line.contains("\"stratum\"")).count();
    assert_eq!(lines, 50);
    assert!(!folder.path().join("state/sentinel.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_taken_together_with_the_policy_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pools.txt");
    std::fs::write(&path, "# name: mine\npool.example\n203.0.113.0/24\n").unwrap();
    let mut bench = Bench::start(Vec::new()).await;
    let config = |builtin_feed| {
        let feeds = vec![path.clone()];
        let file = ConfigFile { feeds, builtin_feed: Some(builtin_feed), ..ConfigFile::default() };
        Config::new(ConfigFile::default(), file)
    };
    // The list that comes with the agent, from the start.
    assert!(bench.told.lock().unwrap().feeds[0].domain("eu.nanopool.org").is_some());
    bench.agent.reload(config(false)).await;
    let told = |at: usize| Arc::clone(&bench.told.lock().unwrap().feeds[at]);
    assert!(told(1).domain("eu.nanopool.org").is_none());
    assert_eq!(told(1).domain("eu.pool.example").unwrap().feed.name, "mine");
    assert_eq!(bench.agent.status().feeds.len(), 1);
    let (_, text) = bench.get("/metrics").await;
    assert!(text.contains("sentinel_feed_entries{kind=\"prefix\"} 1\n"), "{text}");
    // A wrong line: nothing reaches the kernel, and the journal says which.
    std::fs::write(&path, "pool.example\n0.0.0.0/0\n").unwrap();
    bench.agent.reload(config(true)).await;
    assert_eq!(bench.told.lock().unwrap().feeds.len(), 2);
    assert_eq!(bench.agent.status().feeds.len(), 1);
    let refused = |line: &Value| line["result"] == "refused";
    let lines = bench.eventually(|lines| lines.iter().any(refused)).await;
    let line = lines.iter().find(|line| refused(line)).unwrap();
    assert!(line["error"].as_str().unwrap().contains("pools.txt:2:1: "), "{line}");
    // The kernel refuses the policy: the feeds before are put back.
    std::fs::write(&path, "other.example\n").unwrap();
    bench.told.lock().unwrap().refuses = true;
    bench.agent.reload(config(false)).await;
    let told = Arc::clone(&bench.told);
    let feeds: Vec<bool> = {
        let told = told.lock().unwrap();
        told.feeds.iter().map(|feeds| feeds.domain("pool.example").is_some()).collect()
    };
    assert_eq!(feeds, [false, true, false, true]);
    assert_eq!(bench.agent.status().feeds[0].name, "mine");
    bench.agent.stop().await;
}
