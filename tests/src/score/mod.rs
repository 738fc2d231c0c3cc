//! How well the score for mining that cannot be read tells miners from others: TLS sessions on
//! loopback, sampled by SOCK_DIAG as the agent does it, in compressed time.
//!
//! Real sockets, real records, real `tcp_info`; only the clock runs faster: what a pattern does in a
//! minute it does in a second here, and the detector is told of a minute. The bounds of the terms were
//! set by looking at the tuning seeds and patterns alone; the held-out ones are what is published.

mod pattern;
mod peer;
mod random;
pub mod remote;
mod report;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sentinel::detect::{Context, Cpu, Detector, Sample, Settings};
use sentinel::watch::inventory::{self, Protocols};

pub use pattern::{Kind, Pattern};
pub use report::{Row, table};

use peer::{Clock, Sessions};

/// Seconds between two looks at all sockets, as the agent's default has it.
const INTERVAL: f64 = 10.0;

/// Which seeds and patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// What the bounds were set by.
    Tuning,
    /// What nothing was set by.
    HeldOut,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which seeds and patterns.
    pub set: Set,
    /// Sessions of each pattern, each with parameters of its own.
    pub sessions: u32,
    /// How many seconds pass in one.
    pub scale: f64,
    /// How long sessions are watched, in seconds of theirs.
    pub seconds: f64,
}

/// What is known of a workload beside its traffic, for each column of the table.
pub(crate) const KNOWLEDGE: usize = 3;

/// The highest scores of one session: by traffic alone, with its workload idle, with it busy.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What the session was.
    pub pattern: Pattern,
    /// The scores; 0 where none was reached.
    pub scores: [f64; KNOWLEDGE],
}

/// Runs all sessions side by side and returns how each was scored.
///
/// # Errors
/// When sockets cannot be opened or listed.
pub fn run(options: &Options) -> Result<Vec<Outcome>> {
    let clock = Clock::new(options.scale);
    let sessions = Sessions::start(options, &clock).context("the sessions cannot be started")?;
    let mut detector = Detector::new(Settings::default());
    let mut best: HashMap<u64, [f64; KNOWLEDGE]> = HashMap::new();
    let mut next = INTERVAL;
    while next < options.seconds {
        clock.wait_until(next);
        next += INTERVAL;
        detector.observe(look(&sessions, &clock)?);
        for cookie in sessions.cookies() {
            let scores = best.entry(cookie).or_insert([0.0; KNOWLEDGE]);
            for (score, context) in scores.iter_mut().zip(knowledge()) {
                let reached = detector.examine(cookie, &context).map_or(0.0, |(score, _)| score);
                *score = score.max(reached);
            }
        }
    }
    let outcome = |(cookie, pattern)| Outcome {
        pattern,
        scores: best.get(&cookie).copied().unwrap_or_default(),
    };
    Ok(sessions.end().into_iter().map(outcome).collect())
}

/// One look at the client's ends, in the time of the sessions.
fn look(sessions: &Sessions, clock: &Clock) -> Result<Vec<Sample>> {
    let room = AtomicUsize::new(inventory::CONNECTIONS);
    let (open, _) = inventory::here(Protocols::Tcp, &room)?;
    let at = (clock.now() * 1e9) as u64;
    let ours = open.into_iter().filter(|open| sessions.has(open.socket.cookie));
    let samples = ours.filter_map(|open| {
        let mut traffic = open.traffic?;
        for ago in [&mut traffic.last_sent, &mut traffic.last_received] {
            *ago = (f64::from(*ago) * clock.scale()) as u32;
        }
        let (local, remote) = (open.socket.local?, open.socket.remote?);
        let noise = false;
        Some(Sample { at, cookie: open.socket.cookie, local, remote, traffic, noise })
    });
    Ok(samples.collect())
}

/// Nothing; a workload that leaves its two processors idle; one that keeps them busy.
fn knowledge() -> [Context; KNOWLEDGE] {
    let cpu = |cores| {
        let cpu = Cpu { cores, limit: 2.0, seconds: 300.0, waiting: 0.0 };
        Context { cpu: Some(cpu), ..Context::default() }
    };
    [Context::default(), cpu(0.05), cpu(1.8)]
}

/// Sleeps; a pause that is over already is none.
fn sleep_until(deadline: Instant) {
    thread::sleep(deadline.saturating_duration_since(Instant::now()).max(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small run on seeds of its own; the figures to publish are those of `cargo xtask bench score`.
    #[test]
    fn miners_behind_tls_are_told_from_others() {
        let options = Options { set: Set::HeldOut, sessions: 2, scale: 60.0, seconds: 700.0 };
        let outcomes = run(&options).unwrap();
        let told = |kind: Kind, column: usize| {
            let of_kind = outcomes.iter().filter(|outcome| outcome.pattern.kind() == kind);
            let told = of_kind.clone().filter(|one| one.scores[column] >= 0.7).count();
            (told, of_kind.count())
        };
        let rows = table(&outcomes);
        let (miners, of_miners) = told(Kind::Miner, 2);
        assert!(miners + 1 >= of_miners && of_miners >= 6, "{rows}");
        let (others, of_others) = told(Kind::Benign, 1);
        assert!(others <= 1 && of_others >= 14, "{rows}");
    }
}
