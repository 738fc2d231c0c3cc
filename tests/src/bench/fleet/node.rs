//! The node that is run: the agent itself, in a process of its own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::cgroup::TestCgroup;

/// Clock ticks of a second, as `/proc` counts them on every Linux that there is.
const TICKS: f64 = 100.0;

/// An agent on a cgroup of its own.
pub(super) struct Node {
    agent: Agent,
    _cgroup: TestCgroup,
    _folders: Vec<TempDir>,
}

impl Node {
    /// One that asks nobody.
    pub(super) fn alone() -> Result<Self> {
        Self::start(&json!({"cri": []}))
    }

    /// One that asks the API server at this port.
    pub(super) fn in_fleet(port: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "fleet",
            "clusters": [{"name": "fleet", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "fleet", "user": {"token": "none"}}],
            "contexts": [{"name": "fleet",
                "context": {"cluster": "fleet", "user": "fleet", "namespace": "kube-system"}}]});
        fs::write(&kubeconfig, config.to_string())?;
        let kubernetes = json!({"node": "node-0", "kubeconfig": kubeconfig});
        let mut node = Self::start(&json!({"cri": [], "kubernetes": kubernetes}))?;
        node._folders.push(folder);
        Ok(node)
    }

    fn start(config: &serde_json::Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file: PathBuf = folder.path().join("sentinel.yaml");
        fs::write(&file, config.to_string())?;
        let cgroup = TestCgroup::unique("sentinel-fleet")?;
        let file = file.to_str().context("the temporary folder's name is no text")?;
        let agent = Agent::start(&cgroup, &["--mode", "enforce", "--config", file])?;
        Ok(Self { agent, _cgroup: cgroup, _folders: vec![folder] })
    }

    /// What it said that it could not do.
    pub(super) fn complaints(&self) -> String {
        let log = self.agent.log();
        let bad = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let mut bad: Vec<&str> = bad.collect();
        bad.truncate(5);
        bad.iter().map(|line| format!("  {line}\n")).collect()
    }

    fn proc(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.agent.pid());
        fs::read_to_string(&path).with_context(|| format!("the agent ended: no {path}"))
    }

    /// What it has used of a processor.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |index: usize| -> Option<f64> { fields.get(index)?.parse().ok() };
        let (user, system) = ticks(11).zip(ticks(12)).context("no times in stat")?;
        Ok((user + system) / TICKS)
    }

    /// Bytes that it has, and that it had at most.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let status = self.proc("status")?;
        let of = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        of("VmRSS:").zip(of("VmHWM:")).context("no memory in status")
    }

    /// Samples of its page of metrics.
    pub(super) fn series(&self) -> Result<usize> {
        let page = self.agent.get("/metrics")?;
        let (_, body) = page.split_once("\r\n\r\n").context("no page of metrics")?;
        Ok(body
            .lines()
            .filter(|line| line.starts_with("sentinel_") || line.starts_with("process_"))
            .count())
    }
}
