//! Container runtimes, asked over the Container Runtime Interface which pods and containers there are:
//! a full list at once, again when something is known to have changed, and now and then anyway. One
//! that hangs, restarts or is not there yet is asked again, ever more seldom.

mod client;
mod look;
mod messages;

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::Streaming;

pub use client::CriError;

use super::backoff::Backoff;
use crate::attribution::pods::Listing;
use client::{Client, VERSION};
use look::Look;
use messages::{Event, Version};

/// Where runtimes listen when nobody says: containerd, CRI-O, cri-dockerd, k3s.
pub const SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// How long a list counts when nothing is known to have changed.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long one that fails is left alone, at first and at most.
const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_secs(30);
/// Whether a socket is there costs nothing to find out.
const ABSENT: Duration = Duration::from_secs(4);
/// How long after a change is looked: what follows it at once is seen with it.
const SETTLE: Duration = Duration::from_millis(20);
/// And once more after this: a runtime notes some things after it has done them.
const AFTERMATH: Duration = Duration::from_millis(500);

/// What became of the calls since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Answered.
    pub answered: u64,
    /// Answered with an error, or not possible.
    pub failed: u64,
    /// Not answered in time.
    pub timed_out: u64,
}

impl Calls {
    fn count<T>(&mut self, outcome: Result<T, CriError>) -> Result<T, CriError> {
        match &outcome {
            // That something is gone is an answer.
            Ok(_) | Err(CriError::Gone(_)) => self.answered += 1,
            Err(CriError::Timeout(_)) => self.timed_out += 1,
            Err(CriError::Absent(_)) => {}
            Err(_) => self.failed += 1,
        }
        outcome
    }
}

/// What is known of a runtime.
#[derive(Debug)]
pub struct Report {
    /// Its socket.
    pub socket: PathBuf,
    /// What it lists with its name and version, or why it does not.
    pub told: Result<(String, Listing), CriError>,
    /// The calls that it took.
    pub calls: Calls,
}

/// Asks a runtime until nobody wants its reports. `changed` says that something has.
pub async fn follow(
    socket: PathBuf,
    mut changed: watch::Receiver<()>,
    reports: mpsc::Sender<Report>,
) {
    let mut backoff = Backoff::new(FIRST, LAST);
    loop {
        let mut calls = Calls::default();
        let session = session(&socket, &mut changed, &reports, &mut backoff, &mut calls);
        let Err(why) = session.await else { return };
        let wait = backoff.next(why.is_likely_to_last());
        let is_absent = matches!(why, CriError::Absent(_));
        let wait = if is_absent { wait.min(ABSENT) } else { wait };
        tracing::debug!("{} is asked again in {wait:?}: {why}", socket.display());
        if reports.send(Report { socket: socket.clone(), told: Err(why), calls }).await.is_err() {
            return;
        }
        sleep(wait).await;
    }
}

/// Ends well when nobody wants reports any more.
async fn session(
    socket: &Path,
    changed: &mut watch::Receiver<()>,
    reports: &mpsc::Sender<Report>,
    backoff: &mut Backoff,
    calls: &mut Calls,
) -> Result<(), CriError> {
    let mut client = calls.count(Client::connect(socket).await)?;
    let version: Version = calls.count(client.ask(&VERSION).await)?;
    let runtime = format!("{} {}", version.runtime_name, version.runtime_version);
    // Old ones do not tell: then the lists must do.
    let mut events = client.events().await.ok();
    let mut look = Look::default();
    let mut again = false;
    loop {
        changed.mark_unchanged();
        let listing = look.list(&mut client, calls).await?;
        backoff.reset();
        let told = Ok((runtime.clone(), listing));
        let report = Report { socket: socket.to_owned(), told, calls: std::mem::take(calls) };
        if reports.send(report).await.is_err() {
            return Ok(());
        }
        let nap = if again { AFTERMATH } else { INTERVAL };
        let waited = timeout(nap, news(changed, &mut events)).await;
        again = waited.is_ok();
        match waited {
            Ok(true) => sleep(SETTLE).await,
            Ok(false) => return Ok(()),
            Err(_) => {}
        }
    }
}

/// Waits for a sign that something has changed; `false` when nobody will give one any more.
async fn news(changed: &mut watch::Receiver<()>, events: &mut Option<Streaming<Event>>) -> bool {
    loop {
        let told = async {
            match events.as_mut() {
                Some(stream) => stream.message().await,
                None => pending().await,
            }
        };
        tokio::select! {
            signal = changed.changed() => return signal.is_ok(),
            event = told => match event {
                Ok(Some(_)) => return true,
                // The lists will show what is the matter.
                Ok(None) | Err(_) => *events = None,
            },
        }
    }
}
