//! The agent as a child process, for the live tests: `sentinel run` with a journal to read.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::cgroup::TestCgroup;
use crate::process::{Placement, Running};
use crate::sync::lock;

/// The journal's name in the agent's folder.
const JOURNAL: &str = "journal.jsonl";
/// Set in guests whose cgroups are laid out otherwise.
pub const LAYOUT: &str = "SENTINEL_LAYOUT";
/// An emulated machine whose host has much else to do takes more than a minute.
const READY_WITHIN: Duration = Duration::from_secs(180);
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// The `sentinel` program: `$SENTINEL_BIN`, or the one beside the running binary's folder.
///
/// # Errors
/// When it is in neither place.
pub fn sentinel_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SENTINEL_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("the running binary has no path")?;
    let near = own.ancestors().skip(1).take(2).map(|folder| folder.join("sentinel"));
    near.into_iter().find(|path| path.is_file()).context(
        "sentinel is not beside this binary: build it (cargo build -p sentinel) or set SENTINEL_BIN",
    )
}

/// A running agent and what it wrote.
pub struct Agent {
    running: Running,
    folder: TempDir,
    log: Arc<Mutex<String>>,
    metrics: Option<String>,
}

impl Agent {
    /// Starts `sentinel run` on a cgroup, with these arguments besides, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start or is not ready in time; its log is in the message.
    pub fn start(cgroup: &TestCgroup, extra: &[&str]) -> Result<Self> {
        Self::start_from(Placement::default(), cgroup, extra)
    }

    /// The same from a place of its own, such as another network namespace.
    ///
    /// # Errors
    /// As for [`Agent::start`].
    pub fn start_from(place: Placement<'_>, cgroup: &TestCgroup, extra: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-test-").tempdir();
        let folder = folder.context("no folder for the agent's files")?;
        let mut command = Command::new(sentinel_program()?);
        command.arg("run").arg("--cgroup").arg(cgroup.path()).arg("--events");
        command.arg(folder.path().join(JOURNAL)).arg("--state-dir").arg(folder.path());
        command.args(["--listen", "127.0.0.1:0"]).args(extra);
        // Nobody tags a group but the test that is about it.
        if std::env::var_os(LAYOUT).is_some() && !extra.contains(&"--root-fallback") {
            command.args(["--root-fallback", "accept"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = place.spawn(command)?;
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, is_ready) = mpsc::channel();
        if let Some(stderr) = running.child().stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if line.starts_with("sentinel: ready:") {
                        let _ = ready.send(line.clone());
                    }
                    let mut log = lock(&log);
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        let mut agent = Self { running, folder, log, metrics: None };
        match is_ready.recv_timeout(READY_WITHIN) {
            Ok(line) => {
                agent.metrics = line
                    .split_once("http://")
                    .and_then(|(_, rest)| rest.split_once('/'))
                    .map(|(address, _)| address.to_owned());
                Ok(agent)
            }
            Err(_) => bail!("the agent is not ready; its log:\n{}", agent.log()),
        }
    }

    /// What it wrote to its diagnostics.
    #[must_use]
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Has it read its files again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&self) -> Result<()> {
        self.running.hang_up()
    }

    /// Its folder of state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn written(&self) -> String {
        fs::read_to_string(self.folder.path().join(JOURNAL)).unwrap_or_default()
    }

    /// The journal so far.
    ///
    /// # Errors
    /// When a line is no JSON.
    pub fn journal(&self) -> Result<Vec<Value>> {
        let text = self.written();
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let lines = complete.lines();
        lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// The first journal record that this accepts, waited for.
    ///
    /// # Errors
    /// When none comes in time: the journal is in the message.
    pub fn record(&self, within: Duration, accept: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = self.journal()?.into_iter().find(|record| accept(record)) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let journal = self.written();
                bail!("no such record; the journal:\n{journal}\nthe log:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A page of its HTTP listener: status line and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<String> {
        let address = self.metrics.as_deref().context("its ready line names no address")?;
        let mut stream = TcpStream::connect(address).context("the agent does not listen")?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// One sample of its metrics, by its name with labels as written.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn metric(&self, sample: &str) -> Result<f64> {
        let page = self.get("/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(sample));
        let value = line.with_context(|| format!("no sample {sample} in:\n{page}"))?;
        value.trim().parse().with_context(|| format!("{sample} is no number"))
    }

    /// Asks it to end; how it ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(self) -> Result<ExitStatus> {
        self.running.stop(STOP_WITHIN)
    }
}
