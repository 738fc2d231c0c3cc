//! A mining session is cut: by the kernel, in every segmentation, before a request is out.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::miner::{Ended, Family, Report, Segments};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::sniffer::{Capture, Sniffer};
use sentinel_tests::transcript::{self, Dialect, Variant};
use serde_json::Value;

use crate::stage::{self, PEER, Stage, session};
use crate::trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for dialect in Dialect::COMMON {
        for family in [Family::V4, Family::V6, Family::Mapped] {
            for segments in segmentations() {
                let name = format!("catch/{}/{family:?}/{segments}", dialect.name());
                trials.push(trial(name, move || cut(dialect, family, segments)));
            }
        }
        let name = format!("catch/{}/every_split", dialect.name());
        trials.push(trial(name, move || every_split(dialect)));
    }
    trials.push(trial("catch/the_journal_says_who_where_and_why", journal_tells));
    trials.push(trial("catch/each_dialect_by_its_name", dialects_by_name));
    trials.push(trial("catch/the_client_gets_an_error_at_once", error_at_once));
    trials.push(trial("catch/a_pool_that_speaks_first", greeting_pool));
    trials.push(trial("catch/outside_the_cgroup_nothing_is_touched", outside));
    trials.push(trial("catch/audit_reports_and_drops_nothing", audit));
    trials.push(trial("catch/loopback_too", loopback));
    trials
}

/// An emulated machine is ten times slower, and what differs there is the kernel, not the reader.
fn segmentations() -> &'static [&'static str] {
    if in_vm() { &["whole", "bytes"] } else { &["whole", "bytes", "1,2,3", "30"] }
}

fn in_vm() -> bool {
    std::env::var_os("SENTINEL_VM").is_some()
}

fn segmentation(text: &str) -> Result<Segments> {
    text.parse().map_err(|error| anyhow::anyhow!("{text}: {error}"))
}

/// One session against one pool, watched from the peer's side.
fn watched(
    stage: &Stage,
    dialect: Dialect,
    family: Family,
    segments: Segments,
) -> Result<(Report, Pool, Capture)> {
    let sniffer = Sniffer::start(&stage.lab)?;
    let listen = stage.peer(family, PEER, 0);
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let report = stage.mine(&session(dialect, target, family, segments))?;
    let capture = sniffer.finish()?;
    Ok((report, pool, capture))
}

/// No complete request line on the wire, by the capture; none at the pool, by the pool.
fn nothing_complete(pool: &Pool, capture: &Capture) -> Result<()> {
    ensure!(pool.record().requests() == 0, "the pool received {:?}", pool.record().lines());
    for address in pool.addresses() {
        for stream in capture.streams_to(address.port()) {
            let text = String::from_utf8_lossy(&stream.bytes).into_owned();
            let complete = text.split_inclusive('\n').any(|line| {
                let whole =
                    serde_json::from_str::<Value>(line.trim()).is_ok_and(|value| value.is_object());
                whole || (line.ends_with('\n') && !line.trim().is_empty())
            });
            ensure!(!complete, "a complete request was on the wire: {text}");
        }
    }
    Ok(())
}

fn cut(dialect: Dialect, family: Family, segments: &str) -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let (report, pool, capture) = watched(stage, dialect, family, segmentation(segments)?)?;
    nothing_complete(&pool, &capture)?;
    ensure!(
        report.ended == Ended::Cut,
        "the session ended otherwise: {report:?}\n{}",
        stage.agent.log()
    );
    ensure!(report.answers == 0, "the pool answered: {report:?}");
    Ok(())
}

/// The first request cut in two at every place.
fn every_split(dialect: Dialect) -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let line =
        transcript::opening(dialect, &Variant::default()).first().cloned().unwrap_or_default();
    let sniffer = Sniffer::start(&stage.lab)?;
    let listen = stage.peer(Family::V4, PEER, 0);
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let step = if in_vm() { 17 } else { 1 };
    for at in (1..line.len()).step_by(step) {
        let report = stage.mine(&session(dialect, target, Family::V4, Segments::At(vec![at])))?;
        ensure!(report.ended == Ended::Cut, "split at {at}: {report:?}");
    }
    nothing_complete(&pool, &sniffer.finish()?)
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn journal_tells() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let (report, pool, _) = watched(stage, Dialect::Xmrig, Family::V4, Segments::Whole)?;
    let local = report.local.context("the client had no address")?.to_string();
    let target = pool.addresses().first().context("the pool has no address")?.to_string();
    let record = stage.agent.record(Duration::from_secs(5), |record| {
        text(record, "/kind") == "stratum" && text(record, "/src") == local
    })?;
    ensure!(
        text(&record, "/verdict") == "blocked" && text(&record, "/reason") == "stratum",
        "{record}"
    );
    ensure!(text(&record, "/dst") == target, "{record}");
    ensure!(text(&record, "/process/comm").starts_with("lab-miner"), "{record}");
    ensure!(text(&record, "/process/exe").ends_with("sentinel-lab"), "{record}");
    ensure!(record.pointer("/process/uid").and_then(Value::as_u64) == Some(0), "{record}");
    ensure!(
        record.pointer("/process/pid").and_then(Value::as_u64).is_some_and(|pid| pid > 1),
        "{record}"
    );
    ensure!(text(&record, "/workload/cgroup").ends_with("/workload"), "{record}");
    ensure!(text(&record, "/stratum/dialect").contains("monero"), "{record}");
    ensure!(text(&record, "/stratum/agent").contains("XMRig"), "{record}");
    ensure!(!text(&record, "/stratum/login").is_empty(), "{record}");
    Ok(())
}

/// The kernel stops at the first rule that holds; the record still names the dialect that was spoken.
fn dialects_by_name() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let names = ["bitcoin-v1", "monero", "ethproxy", "ethereum-stratum"];
    for (dialect, name) in Dialect::COMMON.into_iter().zip(names) {
        let (report, _, _) = watched(stage, dialect, Family::V4, Segments::Whole)?;
        let local = report.local.context("the client had no address")?.to_string();
        let record = stage.agent.record(Duration::from_secs(5), |record| {
            text(record, "/kind") == "stratum" && text(record, "/src") == local
        })?;
        ensure!(text(&record, "/stratum/dialect") == name, "{}: {record}", dialect.name());
    }
    Ok(())
}

fn error_at_once() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let (report, _, _) = watched(stage, Dialect::StratumV1, Family::V4, Segments::Whole)?;
    ensure!(report.errno.as_deref() == Some("ECONNABORTED"), "{report:?}");
    ensure!(report.noticed_ms.is_some_and(|after| after < 400), "{report:?}");
    Ok(())
}

fn greeting_pool() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let sniffer = Sniffer::start(&stage.lab)?;
    let listen = stage.peer(Family::V4, PEER, 0);
    let dialect = Dialect::StratumV1;
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::greeting(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let report = stage.mine(&session(dialect, target, Family::V4, Segments::Whole))?;
    nothing_complete(&pool, &sniffer.finish()?)?;
    ensure!(report.ended == Ended::Cut, "{report:?}");
    Ok(())
}

fn outside() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let elsewhere = sentinel_tests::cgroup::TestCgroup::unique("sentinel-outside")?;
    let listen = stage.peer(Family::V4, PEER, 0);
    let dialect = Dialect::StratumV1;
    let pool = stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let options = session(dialect, target, Family::V4, Segments::Whole);
    let report: Report = stage.act_in(&elsewhere, "miner", &options.to_args())?;
    ensure!(report.ended == Ended::Completed, "{report:?}");
    ensure!(pool.record().requests() > 0, "the pool received nothing");
    Ok(())
}

fn audit() -> Result<()> {
    let stage = Stage::set("sentinel-audit", &["--mode", "audit"])?;
    let (report, pool, _) = watched(&stage, Dialect::Xmrig, Family::V6, Segments::Bytes)?;
    ensure!(report.ended == Ended::Completed, "{report:?}");
    ensure!(pool.record().requests() > 1, "the pool received {:?}", pool.record().lines());
    let record =
        stage.agent.record(Duration::from_secs(5), |record| text(record, "/kind") == "stratum")?;
    ensure!(text(&record, "/verdict") == "audited", "{record}");
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// A tunnel's plain end is on this host: loopback is read like any other way out.
fn loopback() -> Result<()> {
    let guard = stage::shared()?;
    let stage = stage::of(&guard)?;
    let listen = "127.0.0.1:0".parse()?;
    let dialect = Dialect::Ethproxy;
    let pool = stage.lab.in_node(|| Pool::start(&[listen], Manner::of(dialect)))?;
    let target = *pool.addresses().first().context("the pool has no address")?;
    let report = stage.mine(&session(dialect, target, Family::V4, Segments::Whole))?;
    ensure!(report.ended == Ended::Cut, "{report:?}");
    ensure!(pool.record().requests() == 0, "the pool received {:?}", pool.record().lines());
    Ok(())
}
