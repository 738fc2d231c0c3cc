//! The laboratory itself, without any agent: what is sent is what the pool receives, and the
//! sniffer sees exactly that.

mod trial;

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Arguments;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::honest::{self, HonestServer, Service};
use sentinel_tests::miner::{self, Ended, Family, Options, Segments};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::process::{Placement, lab_program};
use sentinel_tests::sniffer::Sniffer;
use sentinel_tests::transcript::{self, Dialect, Escapes, Ids, Leading, Spacing, Variant};
use trial::trial;

/// One laboratory serves the tests that only open connections.
static LAB: LazyLock<Result<Lab>> = LazyLock::new(|| Lab::new("selftest"));

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &dialect in Dialect::all() {
        trials.push(trial(format!("{}/speaks", dialect.name()), move || speaks(dialect)));
    }
    for dialect in Dialect::COMMON {
        for family in [Family::V4, Family::V6, Family::Mapped] {
            for segments in ["whole", "bytes", "1", "17", "24,25,40"] {
                let name = format!("{}/{family:?}/{segments}", dialect.name());
                trials.push(trial(name, move || session(dialect, family, segments)));
            }
        }
        trials.push(trial(format!("{}/variants", dialect.name()), move || variants(dialect)));
        trials.push(trial(format!("{}/silent", dialect.name()), move || silent(dialect)));
        trials.push(trial(format!("{}/greeting", dialect.name()), move || greeting(dialect)));
    }
    for service in Service::ALL {
        let name = format!("honest/{}", service.name());
        trials.push(trial(name, move || honest_pair(service)));
    }
    trials.extend([
        trial("refused", refused),
        trial("closed", closed),
        trial("process", process),
        trial("cgroup", cgroup),
        trial("labs_side_by_side", labs_side_by_side),
        trial("lab_survives_panic", lab_survives_panic),
        trial("sniffer", sniffer),
    ]);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn lab() -> Result<&'static Lab> {
    LAB.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn at(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// A pool on both families of the first peer address; v6 first.
fn pool(lab: &Lab, manner: Manner) -> Result<Pool> {
    let listen = [at(lab.subnet().v6(2), 0), at(lab.subnet().v4(2), 0)];
    lab.in_peer(|| Pool::start(&listen, manner))
}

fn options(pool: &Pool, dialect: Dialect, family: Family) -> Result<Options> {
    let v6 = family == Family::V6;
    let target = pool.addresses().iter().find(|address| address.is_ipv6() == v6);
    let mut options = Options::new(dialect, *target.context("the pool has no such address")?);
    options.family = Some(family);
    Ok(options)
}

fn session(dialect: Dialect, family: Family, segments: &str) -> Result<()> {
    let lab = lab()?;
    let sniffer = Sniffer::start(lab)?;
    let pool = pool(lab, Manner::of(dialect))?;
    let mut options = options(&pool, dialect, family)?;
    options.segments = segments.parse().map_err(anyhow::Error::msg)?;
    let sent = transcript::session(dialect, &options.variant);
    let bytewise = options.segments == Segments::Bytes;
    options.delay_ms = if bytewise { 0 } else { 2 };
    let report = lab.in_node(|| miner::run(&options))?;
    ensure!(report.succeeded(), "the miner ended as {report:?}");
    ensure!(pool.wait_ended(Duration::from_secs(2)), "the pool did not see the end");
    let record = pool.record();
    let trimmed: Vec<&str> = sent.iter().map(|line| line.trim_end()).collect();
    ensure!(record.lines() == trimmed, "the pool received {:?}", record.lines());
    ensure!(record.requests() == sent.len(), "the pool counts {} requests", record.requests());
    let capture = sniffer.finish()?;
    ensure!(capture.dropped == 0, "the sniffer lost {} frames", capture.dropped);
    let source = report.local.context("no local address")?;
    let seen = capture.streams(source.port(), options.target.port());
    let [stream] = seen.as_slice() else { bail!("{} streams on the wire", seen.len()) };
    ensure!(stream.bytes == record.bytes(), "the wire and the pool differ");
    ensure!(stream.src.is_ipv6() == (family == Family::V6), "wrong family: {}", stream.src);
    ensure!(stream.bytes.len() as u64 == report.bytes_written, "the miner counts otherwise");
    let single = !bytewise || stream.segments >= stream.bytes.len();
    ensure!(single, "{} bytes in {} segments", stream.bytes.len(), stream.segments);
    Ok(())
}

/// A session as the transcripts have it, answered by their pool.
fn speaks(dialect: Dialect) -> Result<()> {
    let lab = lab()?;
    let pool = pool(lab, Manner::of(dialect))?;
    let mut options = options(&pool, dialect, Family::V4)?;
    options.answer_ms = 100;
    let sent = transcript::session(dialect, &options.variant).concat();
    let report = lab.in_node(|| miner::run(&options))?;
    ensure!(matches!(report.ended, Ended::Completed | Ended::Unanswered), "{report:?}");
    ensure!(pool.wait_ended(Duration::from_secs(2)), "the pool did not see the end");
    ensure!(pool.record().bytes() == sent.as_bytes(), "the session arrived changed");
    // Ergo's node acknowledges a solution by a status line alone.
    ensure!(report.bytes_read > 0 || dialect == Dialect::ErgoNode, "the pool said nothing");
    Ok(())
}

fn variants(dialect: Dialect) -> Result<()> {
    let lab = lab()?;
    let plain = Variant::default();
    let spellings = [
        Variant { reversed: true, spacing: Spacing::Wide, ..plain },
        Variant { escapes: Escapes::All, ids: Ids::String, ..plain },
        Variant { escapes: Escapes::MethodChar, ids: Ids::Float, crlf: true, ..plain },
        Variant { leading: Leading::Decoy, ids: Ids::Null, padding: 9000, ..plain },
        Variant { leading: Leading::Newlines, duplicate_method: true, ..plain },
    ];
    for variant in spellings {
        let pool = pool(lab, Manner::of(dialect))?;
        let mut options = options(&pool, dialect, Family::V4)?;
        (options.variant, options.pipelined) = (variant, true);
        let report = lab.in_node(|| miner::run(&options))?;
        ensure!(report.succeeded(), "{variant:?}: {report:?}");
        ensure!(pool.wait_ended(Duration::from_secs(2)), "the pool did not see the end");
        let sent = transcript::session(dialect, &variant).concat();
        ensure!(pool.record().bytes() == sent.as_bytes(), "{variant:?} arrived changed");
    }
    Ok(())
}

fn silent(dialect: Dialect) -> Result<()> {
    let lab = lab()?;
    let pool = pool(lab, Manner::sinkhole(dialect))?;
    let mut options = options(&pool, dialect, Family::V4)?;
    options.answer_ms = 30;
    let report = lab.in_node(|| miner::run(&options))?;
    ensure!(report.ended == Ended::Unanswered && report.bytes_read == 0, "{report:?}");
    let sent = transcript::session(dialect, &options.variant).len();
    ensure!(pool.wait_requests(sent, Duration::from_secs(1)), "requests are missing");
    Ok(())
}

fn greeting(dialect: Dialect) -> Result<()> {
    let lab = lab()?;
    let pool = pool(lab, Manner::greeting(dialect))?;
    let mut options = options(&pool, dialect, Family::V6)?;
    options.hold_ms = 600;
    let report = lab.in_node(|| miner::run(&options))?;
    ensure!(report.succeeded() && report.notifications >= 2, "{report:?}");
    Ok(())
}

fn honest_pair(service: Service) -> Result<()> {
    let lab = lab()?;
    for (host, hard) in [(lab.subnet().v4(3), false), (lab.subnet().v4(4), true)] {
        let listen = [at(host, 0), at(lab.subnet().v6(3), 0)];
        let server = lab.in_peer(|| HonestServer::start(service, &listen))?;
        for &target in server.addresses() {
            let mut options = honest::Options::new(service, target);
            options.hard = hard;
            let report = lab.in_node(|| Ok(honest::run(&options)))?;
            ensure!(report.ok && report.rounds_ok == 3, "{report:?}");
            ensure!(report.bytes_read > 0 && report.bytes_written > 0, "{report:?}");
        }
    }
    Ok(())
}

fn refused() -> Result<()> {
    let lab = lab()?;
    let options = Options::new(Dialect::Xmrig, at(lab.subnet().v4(4), 9));
    let report = lab.in_node(|| miner::run(&options))?;
    ensure!(report.ended == Ended::Refused, "{report:?}");
    ensure!(report.errno.as_deref() == Some("ECONNREFUSED"), "{report:?}");
    Ok(())
}

fn closed() -> Result<()> {
    let lab = lab()?;
    let pool = pool(lab, Manner::of(Dialect::StratumV1))?;
    let mut options = options(&pool, Dialect::StratumV1, Family::V4)?;
    options.hold_ms = 5000;
    let report = std::thread::scope(|scope| {
        let miner = scope.spawn(|| lab.in_node(|| miner::run(&options)));
        let opened = pool.wait_requests(3, Duration::from_secs(2));
        drop(pool);
        ensure!(opened, "the miner did not open its session");
        miner.join().map_err(|_| anyhow::anyhow!("the miner panicked"))?
    })?;
    ensure!(report.ended == Ended::Closed && report.elapsed_ms < 4000, "{report:?}");
    Ok(())
}

fn process() -> Result<()> {
    let lab = lab()?;
    let group = TestCgroup::unique("sentinel-selftest")?;
    let pool = pool(lab, Manner::of(Dialect::Xmrig))?;
    let mut options = options(&pool, Dialect::Xmrig, Family::Mapped)?;
    (options.segments, options.hold_ms) = (Segments::At(vec![30]), 100);
    let mut command = Command::new(lab_program()?);
    command.arg("miner").args(options.to_args());
    let place = Placement::default().cgroup(&group).netns(lab.node());
    let running = place.spawn_reporting(command)?;
    let listed = std::fs::read_to_string(group.path().join("cgroup.procs"))?;
    ensure!(listed.trim() == running.pid().to_string(), "the group holds {listed:?}");
    let report: miner::Report = running.report(Duration::from_secs(5))?;
    ensure!(report.succeeded(), "{report:?}");

    // The same by the program's own means.
    let mut command = Command::new(lab_program()?);
    command.arg("--cgroup").arg(group.path()).arg("--netns").arg(lab.node().path());
    command.arg("miner").args(options.to_args());
    let running = Placement::default().spawn_reporting(command)?;
    let report: miner::Report = running.report(Duration::from_secs(5))?;
    ensure!(report.succeeded(), "{report:?}");
    ensure!(pool.record().requests() == 4, "the pool counts {}", pool.record().requests());
    Ok(())
}

fn cgroup() -> Result<()> {
    let outer = TestCgroup::unique("sentinel-selftest")?;
    let inner = outer.child("a/b")?;
    let paths = [outer.path().to_owned(), inner.path().to_owned()];
    ensure!(inner.id()? != outer.id()? && inner.path().ends_with("a/b"), "{inner:?}");
    let mut command = Command::new(lab_program()?);
    command.args(["serve", "http", "127.0.0.1:0"]).stdin(Stdio::piped());
    let running = inner.run(command)?;
    let pid = running.pid();
    // Forgotten, so that only the group can end it; its zombie stays until this process ends.
    std::mem::forget(running);
    drop(inner);
    drop(outer);
    ensure!(paths.iter().all(|path| !path.exists()), "the groups are still there");
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ensure!(status.contains(") Z "), "the process still runs: {status}");
    Ok(())
}

fn labs_side_by_side() -> Result<()> {
    let labs = [Lab::with_subnet("left", Subnet::numbered(7))?, Lab::new("right")?];
    let pools: Result<Vec<Pool>> =
        labs.iter().map(|lab| pool(lab, Manner::of(Dialect::Ethproxy))).collect();
    for (lab, pool) in labs.iter().zip(&pools?) {
        let options = options(pool, Dialect::Ethproxy, Family::V6)?;
        let report = lab.in_node(|| miner::run(&options))?;
        ensure!(report.succeeded(), "{}: {report:?}", lab.name());
        ensure!(pool.record().connections.len() == 1, "the laboratories are not apart");
    }
    Ok(())
}

fn lab_survives_panic() -> Result<()> {
    let path = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&path);
    let outcome =
        std::thread::Builder::new().name("panics on purpose".into()).spawn(move || {
            let lab = Lab::new("panics");
            if let (Ok(lab), Ok(mut seen)) = (&lab, seen.lock()) {
                *seen = Some(std::fs::metadata(lab.node().path()).map(|meta| {
                    use std::os::unix::fs::MetadataExt;
                    meta.ino()
                }));
            }
            // Not a panic!() so that the hook prints nothing.
            std::panic::resume_unwind(Box::new("on purpose"));
        })?;
    ensure!(outcome.join().is_err(), "the thread was to panic");
    let inode = path.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.take();
    let inode = inode.context("no laboratory was built")??;
    let held = std::fs::read_dir("/proc/self/fd")?.flatten().any(|entry| {
        let link = std::fs::read_link(entry.path()).unwrap_or_default();
        link.to_string_lossy() == format!("net:[{inode}]")
    });
    ensure!(!held, "a descriptor still holds the namespace");
    Ok(())
}

fn sniffer() -> Result<()> {
    let lab = Lab::with_subnet("sniffer", Subnet::numbered(8))?;
    let listen = [at(lab.subnet().v4(2), 0)];
    let server = lab.in_peer(|| HonestServer::start(Service::Bulk, &listen))?;
    let [target] = server.addresses() else { bail!("the server has no address") };
    let sniffer = Sniffer::start(&lab)?;
    let mut options = honest::Options::new(Service::Bulk, *target);
    (options.rounds, options.megabytes) = (1, 16);
    let report = lab.in_node(|| Ok(honest::run(&options)))?;
    ensure!(report.ok, "{report:?}");
    let capture = sniffer.finish()?;
    let (to, from) =
        (capture.streams_to(target.port()), capture.frames_to(lab.subnet().v4(1).into()));
    let [stream] = to.as_slice() else { bail!("{} streams on the wire", to.len()) };
    ensure!(capture.dropped == 0, "{} frames lost", capture.dropped);
    ensure!(stream.bytes.len() as u64 == report.bytes_written, "{} bytes", stream.bytes.len());
    ensure!(capture.frames_to(target.ip()) > 0 && from > 0, "frames are missing");
    ensure!(capture.frames_to(lab.subnet().v4(4).into()) == 0, "frames to nobody");
    let file = std::env::temp_dir().join(format!("sentinel-lab-{}.pcap", std::process::id()));
    capture.write_pcap(&file)?;
    let written = std::fs::metadata(&file)?.len();
    std::fs::remove_file(&file)?;
    let wanted: usize = capture.frames.iter().map(|frame| frame.bytes.len() + 16).sum();
    ensure!(written == wanted as u64 + 24, "the file has {written} bytes");
    Ok(())
}
