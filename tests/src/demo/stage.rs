//! Everything the show needs, gone when dropped.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::show::Show;
use super::signals::Signals;
use crate::cgroup::TestCgroup;
use crate::honest::{self, HonestServer, Service};
use crate::miner;
use crate::netlab::{Lab, PEER_HOSTS};
use crate::pool::{Manner, Pool, PoolRecord};
use crate::process::{Placement, Running, lab_program};
use crate::transcript::Dialect;

/// The Monero pool hides on the port of HTTPS.
pub(super) const XMRIG_PORT: u16 = 443;
/// The Bitcoin pool.
pub(super) const V1_PORT: u16 = 14444;
/// The honest shop.
pub(super) const SHOP_PORT: u16 = 8080;

const SESSION_WITHIN: Duration = Duration::from_secs(20);

/// Fields are dropped from first to last: servers, then inner before outer cgroups.
pub(super) struct Stage {
    xmrig: Pool,
    v1: Pool,
    _shop: HonestServer,
    shop_group: TestCgroup,
    miner_group: TestCgroup,
    group: TestCgroup,
    lab: Lab,
    scratch: Scratch,
}

/// A directory for the journal.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind only if someone else holds it; the demo has nothing to add to that.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    pub(super) fn build(show: &mut Show) -> Result<Stage> {
        let lab = Lab::new("demo")?;
        let subnet = lab.subnet();
        let [host, ..] = PEER_HOSTS;
        show.step(
            "network",
            &format!(
                "two namespaces: node {} <-> peer {} (and IPv6 {} <-> {})",
                subnet.v4(1),
                subnet.v4(host),
                subnet.v6(1),
                subnet.v6(host)
            ),
        );
        let listen = |port| [(subnet.v4(host), port).into(), (subnet.v6(host), port).into()];
        let pool = |port, dialect| lab.in_peer(|| Pool::start(&listen(port), Manner::of(dialect)));
        let xmrig = pool(XMRIG_PORT, Dialect::Xmrig)?;
        let v1 = pool(V1_PORT, Dialect::StratumV1)?;
        let shop = lab.in_peer(|| HonestServer::start(Service::Http, &listen(SHOP_PORT)))?;
        show.step("peer", &format!(
            "a Monero pool on port {XMRIG_PORT}, a Bitcoin pool on {V1_PORT}, a shop on {SHOP_PORT}"));
        let group = TestCgroup::new("sentinel-demo")?;
        let (shop_group, miner_group) = (group.child("shop")?, group.child("miner")?);
        show.step("node", &format!("cgroups {0}/shop and {0}/miner", group.path().display()));
        let scratch = std::env::temp_dir().join(format!("sentinel-demo-{}", std::process::id()));
        fs::create_dir(&scratch)
            .with_context(|| format!("{} cannot be made", scratch.display()))?;
        let scratch = Scratch(scratch);
        Ok(Stage { xmrig, v1, _shop: shop, shop_group, miner_group, group, lab, scratch })
    }

    pub(super) fn lab(&self) -> &Lab {
        &self.lab
    }

    pub(super) fn v4(&self, port: u16) -> SocketAddr {
        let [host, ..] = PEER_HOSTS;
        (self.lab.subnet().v4(host), port).into()
    }

    pub(super) fn v6(&self, port: u16) -> SocketAddr {
        let [host, ..] = PEER_HOSTS;
        (self.lab.subnet().v6(host), port).into()
    }

    /// The directory of the cgroup that the agent watches.
    pub(super) fn group_path(&self) -> &Path {
        self.group.path()
    }

    /// The same for people.
    pub(super) fn group(&self) -> String {
        format!("cgroup {}", self.group.path().file_name().unwrap_or_default().display())
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.scratch.0.join("events.jsonl")
    }

    pub(super) fn pool_record(&self, dialect: Dialect) -> PoolRecord {
        if dialect == Dialect::Xmrig { self.xmrig.record() } else { self.v1.record() }
    }

    /// How to look around while everything is kept.
    pub(super) fn hint(&self) -> String {
        let (net, group) = (self.lab.node().path(), self.miner_group.path());
        let (net, group) = (net.display(), group.display());
        format!(
            "a shell on the node, in the miner's cgroup:\n    sh -c 'echo $$ > {group}/cgroup.procs; \
             exec nsenter --net={net} sh'\n    the journal: {}",
            self.journal().display()
        )
    }

    /// One miner-like session in a process of its own.
    pub(super) fn mine(
        &self,
        options: &miner::Options,
        signals: &Signals,
    ) -> Result<miner::Report> {
        let mut command = Command::new(lab_program()?);
        command.arg("miner").args(options.to_args());
        let running = self.place(&self.miner_group).spawn_reporting(command)?;
        finished(running, signals)
    }

    /// Three rounds at the shop.
    pub(super) fn visit_shop(&self, signals: &Signals) -> Result<honest::Report> {
        let options = honest::Options::new(Service::Http, super::shop_address(self));
        let running = self.place(&self.shop_group).spawn_reporting(shop_command(&options)?)?;
        finished(running, signals)
    }

    /// A client that shops until it is told to end.
    pub(super) fn open_shop_client(&self) -> Result<Running> {
        let mut options = honest::Options::new(Service::Http, super::shop_address(self));
        (options.until_stdin_ends, options.interval_ms) = (true, 50);
        let mut command = shop_command(&options)?;
        command.stdin(Stdio::piped());
        self.place(&self.shop_group).spawn_reporting(command)
    }

    /// Tells the client to end and hears how it went.
    pub(super) fn close_shop_client(&self, mut client: Running) -> Result<honest::Report> {
        drop(client.child().stdin.take());
        client.report(SESSION_WITHIN)
    }

    fn place<'a>(&'a self, group: &'a TestCgroup) -> Placement<'a> {
        Placement::default().cgroup(group).netns(self.lab.node()).dies_with_thread()
    }
}

fn shop_command(options: &honest::Options) -> Result<Command> {
    let mut command = Command::new(lab_program()?);
    command.arg("honest").args(options.to_args()).stdin(Stdio::null());
    Ok(command)
}

fn finished<T: DeserializeOwned>(mut running: Running, signals: &Signals) -> Result<T> {
    signals.until(SESSION_WITHIN, || running.ended())?;
    running.report(Duration::ZERO)
}
