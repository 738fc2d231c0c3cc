//! The agent under show, as a child process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::show;
use super::signals::Signals;
use super::stage::Stage;
use crate::process::{Placement, Running};
use crate::sync::lock;

const READY_WITHIN: Duration = Duration::from_secs(15);
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Lines of its log shown when it fails.
const TAIL: usize = 20;

/// What the agent wrote, its last lines only.
#[derive(Default)]
struct Log {
    lines: VecDeque<String>,
    ready: bool,
}

pub(super) struct Agent {
    running: Option<Running>,
    log: Arc<Mutex<Log>>,
    pid: u32,
    ready_after: Duration,
}

impl Agent {
    /// Starts it on the stage's cgroup and waits until it says that it is ready.
    pub(super) fn start(
        program: &Path,
        stage: &Stage,
        extra: &[String],
        signals: &Signals,
    ) -> Result<Agent> {
        let mut command = Command::new(program);
        command.arg("run").arg("--cgroup").arg(stage.group_path());
        command.args(["--mode", "enforce", "--listen", "127.0.0.1:0", "--events"]);
        command.arg(stage.journal()).args(extra);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut running = Placement::default().dies_with_thread().spawn(command)?;
        let log = Arc::new(Mutex::new(Log::default()));
        if let Some(table) = running.child().stdout.take() {
            follow(table, &log, true);
        }
        if let Some(diagnostics) = running.child().stderr.take() {
            follow(diagnostics, &log, false);
        }
        let pid = running.pid();
        let mut agent = Agent { running: Some(running), log, pid, ready_after: Duration::ZERO };
        agent.wait_ready(signals)?;
        agent.ready_after = begun.elapsed();
        Ok(agent)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Asks it to end; an error if it does not, or not well.
    pub(super) fn stop(mut self) -> Result<()> {
        let running = self.running.take().context("the agent has ended before")?;
        let status = running.stop(STOP_WITHIN)?;
        if !status.success() {
            bail!("sentinel ended with {status}; its last words:\n{}", self.tail());
        }
        Ok(())
    }

    fn wait_ready(&mut self, signals: &Signals) -> Result<()> {
        let log = Arc::clone(&self.log);
        let running = self.running.as_mut().context("the agent has ended before")?;
        let ready = signals.until(READY_WITHIN, || {
            if lock(&log).ready {
                return Ok(Some(None));
            }
            Ok(running.ended()?.map(Some))
        })?;
        match ready {
            Some(None) => Ok(()),
            Some(Some(status)) => {
                // Its last lines may still be on their way through the pipe.
                thread::sleep(Duration::from_millis(50));
                bail!("sentinel ended at once with {status}; its last words:\n{}", self.tail())
            }
            None => {
                bail!(
                    "sentinel was not ready within {READY_WITHIN:?}; its last words:\n{}",
                    self.tail()
                )
            }
        }
    }

    fn tail(&self) -> String {
        let log = lock(&self.log);
        let lines: Vec<String> = log.lines.iter().map(|line| format!("    {line}")).collect();
        lines.join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // On the way out after an error: dropping kills it if it does not end by itself.
            let _ = running.stop(STOP_WITHIN);
        }
    }
}

/// Reads one of the agent's outputs to its end in a thread of its own.
fn follow(output: impl Read + Send + 'static, log: &Arc<Mutex<Log>>, live: bool) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if live {
                show::from_agent(&line);
            }
            let mut log = lock(&log);
            log.ready |= !live && says_ready(&line);
            if log.lines.len() == TAIL {
                log.lines.pop_front();
            }
            log.lines.push_back(line);
        }
    });
}

/// True if `ready` is one of the words.
fn says_ready(line: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("ready"))
}
