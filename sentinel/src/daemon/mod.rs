//! `sentinel run`: parse, build, announce, spawn, wait for signals, drain.

mod agent;
mod announce;
mod cluster;
mod identity;
mod learning;
mod meter;
mod node;
mod objects;
mod peers;
mod prepare;
mod processes;
mod reader;
mod recheck;
mod reload;
mod sampler;
mod survey;
mod vigil;
mod wires;
mod workloads;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

pub use agent::{Agent, Parts, Summary};
pub use prepare::{PrepareError, Prepared, PreparedPolicy, PreparedSet, prepare};
pub use reader::Records;

use crate::api::ServeError;
use crate::config::{Config, ConfigError};
use crate::datapath::{self, DatapathError, OpenError, Options};
use crate::export::writer::Outputs;
use crate::watch::cgroup_namespace;
use crate::watch::files::Files;

/// How long at most nobody looks at the clock.
const LOOK: Duration = Duration::from_secs(60);

/// How long after an object has changed its followers are waited for.
const SETTLE: Duration = Duration::from_millis(50);

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A policy is wrong.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The kernel side cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The kernel refused the first policy or the signatures.
    #[error("the kernel refused what it was given: {0}")]
    Datapath(#[from] DatapathError),
    /// The API cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The journal cannot be opened.
    #[error("cannot open the journal {path}: {error}; choose another with --events")]
    Journal {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// The figures are broken.
    #[error("the metrics cannot be set up, this build is broken: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The system has no room.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl RunError {
    /// Whether the user's own files are to blame.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Prepare(error) if !matches!(error, PrepareError::Host(_)))
    }
}

/// Runs until a signal ends it. `reload` reads the configuration again, as at the start.
///
/// # Errors
/// When the agent cannot start.
pub fn run(
    config: Config,
    reload: impl Fn() -> Result<Config, ConfigError>,
) -> Result<(), RunError> {
    // Both before there are other threads, which would keep what they have.
    datapath::share_heap();
    if let Err(error) = cgroup_namespace::enter_hosts() {
        tracing::warn!("workloads will be misnamed or not found: {error}");
    }
    // Read first: a mistake in a policy is told before anything is attached.
    let prepared = prepare(&config)?;
    let outputs =
        Outputs::suitable(config.events.as_deref()).map_err(|error| RunError::Journal {
            path: config
                .events
                .as_deref()
                .unwrap_or(std::path::Path::new("-"))
                .display()
                .to_string(),
            error,
        })?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut files = Files::new(paths_of(&config));
        let (datapath, records) = datapath::open(&Options {
            cgroup: config.cgroup.clone(),
            pin: config.pin.clone(),
            refuse_raw: config.refuse_raw,
        })?;
        let parts = Parts { datapath, records, config, prepared, outputs };
        let mut agent = Agent::start(parts).await?;
        announce::ready(&agent);
        let mut others = Others { objects: agent.object_changes(), peers: agent.peer_changes() };
        // Some may have come while nobody listened.
        others.objects.mark_changed();
        others.peers.mark_changed();
        loop {
            let signal = signals.next(&mut files, &mut others, agent.next_expiry()).await;
            match signal {
                Signal::Stop => break,
                Signal::Nothing => continue,
                Signal::OtherPeers => {
                    agent.follow_peers().await;
                    continue;
                }
                Signal::Reload | Signal::Changed => {}
            }
            files.mark();
            match (reload(), signal) {
                (Ok(config), Signal::Changed) => {
                    files.follow(paths_of(&config));
                    agent.reload_changed(config).await;
                }
                (Ok(config), _) => {
                    files.follow(paths_of(&config));
                    agent.reload(config).await;
                }
                (Err(error), _) => agent.refused(&error.to_string()).await,
            }
        }
        announce::stopped(&agent.stop().await);
        Ok(())
    });
    // A thread that waits for a reader of standard output must not hold up the end.
    runtime.shutdown_background();
    done
}

/// Everything that is read again when it changes.
fn paths_of(config: &Config) -> Vec<PathBuf> {
    let Config { file, policies, feeds, signatures, .. } = config;
    file.iter().chain(policies).chain(feeds).chain(signatures).cloned().collect()
}

enum Signal {
    Reload,
    /// A file is not what it was, or a policy has ended.
    Changed,
    /// Pods that rules on workloads may mean came or went.
    OtherPeers,
    Nothing,
    Stop,
}

/// What changes besides files.
struct Others {
    objects: watch::Receiver<()>,
    peers: watch::Receiver<()>,
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What comes next; that a policy ends is a change as well.
    async fn next(
        &mut self,
        files: &mut Files,
        others: &mut Others,
        expiry: Option<Duration>,
    ) -> Signal {
        // A clock that is set meanwhile is noticed within this time.
        let ended = expiry.is_some_and(|left| left <= LOOK);
        let nap = expiry.map_or(LOOK, |left| left.min(LOOK));
        tokio::select! {
            () = sleep(nap) => if ended { Signal::Changed } else { Signal::Nothing },
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
            () = files.changed() => Signal::Changed,
            Ok(()) = others.objects.changed() => {
                // What is written together comes into force together.
                sleep(SETTLE).await;
                others.objects.mark_unchanged();
                Signal::Changed
            }
            Ok(()) = others.peers.changed() => {
                sleep(SETTLE).await;
                others.peers.mark_unchanged();
                Signal::OtherPeers
            }
        }
    }
}
