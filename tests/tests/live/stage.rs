//! The stage that most tests share: a laboratory, a cgroup, an enforcing agent.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::miner::{self, Family, Segments};
use sentinel_tests::netlab::Lab;
use sentinel_tests::process::{Placement, lab_program};
use sentinel_tests::transcript::Dialect;
use tempfile::NamedTempFile;

/// The host of the peer that pools and servers listen on.
pub const PEER: u8 = 2;
/// Long enough for a client that hangs to be seen hanging.
pub const WITHIN: Duration = Duration::from_secs(60);

pub struct Stage {
    pub lab: Lab,
    pub agent: Agent,
    pub workload: TestCgroup,
    /// Dropped last: its children are gone by then.
    pub cgroup: TestCgroup,
}

/// A file that is gone with the test.
pub struct File(NamedTempFile);

impl File {
    /// A file with this text; its name begins like this.
    pub fn new(name: &str, text: &str) -> Result<Self> {
        let file = tempfile::Builder::new().prefix(name).tempfile()?;
        fs::write(&file, text).with_context(|| file.path().display().to_string())?;
        Ok(Self(file))
    }

    pub fn path(&self) -> Result<&str> {
        self.0.path().to_str().context("the path is not UTF-8")
    }
}

static STAGE: Mutex<Option<Stage>> = Mutex::new(None);

impl Stage {
    /// A stage of its own.
    pub fn set(name: &str, arguments: &[&str]) -> Result<Self> {
        let lab = Lab::new(name)?;
        Self::set_in(lab, name, arguments)
    }

    /// A stage in this laboratory.
    pub fn set_in(lab: Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let cgroup = TestCgroup::unique(name)?;
        let workload = cgroup.child("workload")?;
        let agent = Agent::start(&cgroup, arguments)?;
        Ok(Self { lab, agent, workload, cgroup })
    }

    /// An address on the peer for a family; port 0 is any.
    pub fn peer(&self, family: Family, host: u8, port: u16) -> SocketAddr {
        let subnet = self.lab.subnet();
        let address: IpAddr = match family {
            Family::V6 => subnet.v6(host).into(),
            Family::V4 | Family::Mapped => subnet.v4(host).into(),
        };
        SocketAddr::new(address, port)
    }

    /// Runs `sentinel-lab` with these arguments as a workload, and returns what it reports.
    pub fn act<T: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        arguments: &[String],
    ) -> Result<T> {
        self.act_in(&self.workload, verb, arguments)
    }

    /// The same in another cgroup.
    pub fn act_in<T: serde::de::DeserializeOwned>(
        &self,
        cgroup: &TestCgroup,
        verb: &str,
        arguments: &[String],
    ) -> Result<T> {
        let mut command = Command::new(lab_program()?);
        command.arg(verb).args(arguments);
        let placement = Placement::default().cgroup(cgroup).netns(self.lab.node());
        placement.spawn_reporting(command)?.report(WITHIN)
    }

    /// A miner-like session as a workload.
    pub fn mine(&self, options: &miner::Options) -> Result<miner::Report> {
        self.act("miner", &options.to_args())
    }
}

/// The shared stage: enforcing, no allowlist.
pub fn shared() -> Result<MutexGuard<'static, Option<Stage>>> {
    let mut guard = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        *guard = Some(Stage::set("sentinel-live", &["--mode", "enforce"])?);
    }
    Ok(guard)
}

/// What the shared stage holds.
pub fn of<'a>(guard: &'a MutexGuard<'static, Option<Stage>>) -> Result<&'a Stage> {
    guard.as_ref().context("the stage was not set")
}

/// Takes the shared stage down.
pub fn strike() {
    let stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Stage { lab, agent, workload, cgroup }) = stage {
        if let Err(error) = agent.stop() {
            eprintln!("the agent did not end well: {error:#}");
        }
        drop((lab, workload, cgroup));
    }
}

/// A plain session of a dialect, cut into these writes.
pub fn session(
    dialect: Dialect,
    target: SocketAddr,
    family: Family,
    segments: Segments,
) -> miner::Options {
    let mut options = miner::Options::new(dialect, target);
    options.family = Some(family);
    options.segments = segments;
    options.answer_ms = 400;
    options
}
