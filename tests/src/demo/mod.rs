//! The show: a pool, an honest shop and a miner on a private network, without and with sentinel.

mod agent;
mod journal;
mod show;
mod signals;
mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::honest;
use crate::miner::{Ended, Options as MinerOptions, Report, Segments};
use crate::sniffer::Sniffer;
use crate::transcript::Dialect;

use agent::Agent;
use show::Show;
use signals::Signals;
use stage::{SHOP_PORT, Stage, V1_PORT, XMRIG_PORT};

/// How long the shop's client runs before the agent starts and after it ended.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// How long the journal may take to tell of a catch.
const JOURNAL_WITHIN: Duration = Duration::from_secs(2);

/// See sentinel cut a miner and leave an honest program alone, on a private network.
#[derive(Debug, Parser)]
#[command(name = "sentinel-demo", version)]
pub struct Options {
    /// The sentinel program.
    #[arg(long, value_name = "PATH")]
    sentinel: PathBuf,
    /// Seconds to watch the honest shop go on after the miners were cut.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Leave everything running at the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// More arguments for `sentinel run`.
    #[arg(last = true, value_name = "SENTINEL ARGS")]
    extra: Vec<String>,
}

/// What one miner-like session came to, seen from three sides.
#[derive(Debug)]
struct Attempt {
    report: Report,
    /// Complete requests the pool received from it.
    requests: usize,
    /// Payload bytes that passed the wire, as the sniffer put them together.
    on_wire: usize,
}

impl Attempt {
    /// True if the pool got no request and the miner no answer, and not for lack of a pool.
    fn blocked(&self) -> bool {
        let reached = self.report.ended != Ended::Refused;
        let forbidden = self.report.errno.as_deref() == Some("EPERM");
        self.requests == 0 && self.report.answers == 0 && (reached || forbidden)
    }
}

/// Plays the show; true if the miner was blocked and the honest client untouched.
pub fn run(options: &Options) -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        bail!("the demo makes namespaces and cgroups: run it as root, with sudo for example");
    }
    if !options.sentinel.is_file() {
        bail!("{} is no program: build sentinel first", options.sentinel.display());
    }
    let signals = Signals::catch()?;
    let mut show = Show::new();
    show.title("sentinel demo: a mining pool, an honest shop and a miner on a private network");
    let stage = Stage::build(&mut show)?;

    show.part("Without sentinel");
    let before = first_look(&stage, &mut show, &signals)?;

    show.part("With sentinel");
    let mut shop = stage.open_shop_client()?;
    signals.pause(AFTERWARDS)?;
    let agent = Agent::start(&options.sentinel, &stage, &options.extra, &signals)?;
    let (pid, took) = (agent.pid(), agent.ready_after().as_millis());
    show.step("sentinel", &format!("runs on {} (pid {pid}), ready after {took} ms", stage.group()));
    let blocked = catches(&stage, &mut show, &signals)?;
    signals.pause(Duration::from_secs(options.seconds))?;
    if shop.ended()?.is_some() {
        bail!("the honest client ended before its time");
    }
    if options.keep {
        show.keep(&stage.hint());
        signals.wait();
    }
    agent.stop()?;
    show.step("sentinel", "asked to stop (SIGTERM), ended cleanly");
    // The shop goes on for a moment without it; by now a signal may have ended --keep.
    thread::sleep(AFTERWARDS);
    let during = stage.close_shop_client(shop)?;
    show.honest("client", &during, "one connection open since before sentinel, others new");

    let untouched = before.ok && during.ok;
    let (fine, all) = (before.requests_ok + during.requests_ok, before.requests + during.requests);
    show.verdict(blocked, untouched, &format!("{fine} of {all} requests"));
    Ok(blocked && untouched)
}

/// Shows that without the agent everyone gets through.
fn first_look(stage: &Stage, show: &mut Show, signals: &Signals) -> Result<honest::Report> {
    let shop = stage.visit_shop(signals)?;
    show.honest("client", &shop, "pages and forms, some quoting mining requests as text");
    for options in sessions(stage) {
        let attempt = attempt(stage, &options, signals)?;
        show.attempt(&options, &attempt);
        if !attempt.report.succeeded() {
            bail!("the miner does not get through even without sentinel: {:?}", attempt.report);
        }
    }
    if !shop.ok {
        bail!("the honest client fails even without sentinel: {:?}", shop.error);
    }
    Ok(shop)
}

/// Runs the miners against the agent; true if all were blocked and the journal knows.
fn catches(stage: &Stage, show: &mut Show, signals: &Signals) -> Result<bool> {
    let mut blocked = true;
    for (index, options) in sessions(stage).iter().enumerate() {
        let attempt = attempt(stage, options, signals)?;
        let port = attempt.report.local.map(|local| local.port());
        show.attempt(options, &attempt);
        blocked &= attempt.blocked();
        let event = journal::wait_blocked(&stage.journal(), port, JOURNAL_WITHIN, signals)?;
        show.event(event.as_ref(), index == 0);
    }
    Ok(blocked)
}

/// XMRig's login in one piece, and Bitcoin stratum byte by byte over IPv6.
fn sessions(stage: &Stage) -> [MinerOptions; 2] {
    let xmrig = MinerOptions::new(Dialect::Xmrig, stage.v4(XMRIG_PORT));
    let mut v1 = MinerOptions::new(Dialect::StratumV1, stage.v6(V1_PORT));
    v1.segments = Segments::Bytes;
    [xmrig, v1]
}

fn attempt(stage: &Stage, options: &MinerOptions, signals: &Signals) -> Result<Attempt> {
    let sniffer = Sniffer::start(stage.lab())?;
    let report = stage.mine(options, signals)?;
    let capture = sniffer.finish()?;
    let port = report.local.as_ref().map(SocketAddr::port);
    let record = stage.pool_record(options.dialect);
    let requests = port.and_then(|port| record.from_port(port)).map_or(0, |it| it.requests());
    let on_wire = port.map_or(0, |port| capture.payload(port, options.target.port()).len());
    if capture.dropped > 0 {
        return Err(anyhow::anyhow!("{} frames were lost", capture.dropped))
            .context("the sniffer's evidence is incomplete");
    }
    Ok(Attempt { report, requests, on_wire })
}

/// The shop's address, for the show.
fn shop_address(stage: &Stage) -> SocketAddr {
    stage.v4(SHOP_PORT)
}
