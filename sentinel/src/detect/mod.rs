//! Mining that cannot be read: a score from how a connection behaves, and from who holds it.
//!
//! A miner behind TLS still hands in shares: one small record each, all of one size, at moments that
//! chance sets (which is what mining is), each answered by one small record, with a larger one now
//! and then for new work. No single sign of it is proof, and each is a term of its own in the score,
//! so that a reader of the event sees what spoke for it. What is not known is left out of the sum.
//!
//! Pure: time and samples are arguments. What is sampled is `tcp_info`, in userspace, so that a packet
//! costs nothing.

mod context;
mod history;
mod settings;
mod shape;
mod term;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;

use sentinel_common::verdict::Mode;

pub use context::{Binary, Context, Cpu, Destination, Name};
pub use history::{KEPT, Sample};
pub use settings::{Settings, Weights};
pub use term::{Term, TermName};

use history::History;

/// Connections that are followed at a time, each with at most 2 KiB; more are counted and not followed.
pub const FLOWS: usize = 16_384;
/// From this score of the traffic alone on it is asked who holds a connection, or from the threshold
/// where that is lower.
const WORTH_ASKING: f64 = 0.6;
/// How much higher than when it was told of a score must be to be told of again.
const MARGIN: f64 = 0.2;
/// A connection that was to be destroyed and is still there is told of again after so long,
/// nanoseconds.
const AGAIN: u64 = 60_000_000_000;

/// A connection whose score reached the threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The socket's cookie.
    pub cookie: u64,
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// 0 to 1: the terms' mean by weight.
    pub score: f64,
    /// What it is made of.
    pub terms: Vec<Term>,
}

/// The connections that are followed.
#[derive(Debug, Default)]
pub struct Detector {
    settings: Settings,
    flows: HashMap<u64, Followed>,
    round: u64,
}

#[derive(Debug)]
struct Followed {
    history: History,
    round: u64,
    told: Option<Told>,
}

/// What was told of a connection.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The highest score.
    score: f64,
    /// What it led to.
    mode: Mode,
    /// When, in the samples' time.
    at: u64,
}

/// What came of one look at all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Connections whose traffic alone is worth asking who holds them.
    pub worth_asking: Vec<u64>,
    /// Connections that found no room.
    pub overflow: usize,
}

impl Detector {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Connections that are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether none is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Takes one look at all connections; those that are not in it are forgotten.
    pub fn observe(&mut self, samples: impl IntoIterator<Item = Sample>) -> Round {
        self.round += 1;
        let mut round = Round::default();
        for sample in samples {
            let is_full = self.flows.len() >= FLOWS;
            match self.flows.get_mut(&sample.cookie) {
                Some(flow) => {
                    flow.history.add(&sample);
                    flow.round = self.round;
                }
                None if is_full => round.overflow += 1,
                None => {
                    let history = History::begin(&sample);
                    let flow = Followed { history, round: self.round, told: None };
                    self.flows.insert(sample.cookie, flow);
                }
            }
        }
        let now = self.round;
        self.flows.retain(|_, flow| flow.round == now);
        let enough = WORTH_ASKING.min(self.settings.threshold);
        let worth = self.flows.iter().filter(|(_, flow)| {
            let known = Context { noise: flow.history.is_noise(), ..Context::default() };
            self.score(&flow.history, &known).is_some_and(|(score, _)| score >= enough)
        });
        round.worth_asking = worth.map(|(cookie, _)| *cookie).collect();
        round.worth_asking.sort_unstable();
        round
    }

    /// The score of a connection, given what is known of who holds it; `None` where too little was
    /// seen of it yet, or nothing.
    #[must_use]
    pub fn examine(&self, cookie: u64, context: &Context) -> Option<(f64, Vec<Term>)> {
        self.score(&self.flows.get(&cookie)?.history, context)
    }

    /// The same, and a finding where the threshold is reached and that is news: for the first time,
    /// with a score well above what was told, or because it leads to more than it did (`mode`). Under
    /// `Enforce` a connection that is still there a minute later is found again.
    pub fn judge(&mut self, cookie: u64, context: &Context, mode: Mode) -> Option<Finding> {
        let (score, terms) = self.examine(cookie, context)?;
        let flow = self.flows.get_mut(&cookie)?;
        let at = flow.history.seen();
        let is_news = flow.told.is_none_or(|told| {
            let outlived = mode == Mode::Enforce && at.saturating_sub(told.at) >= AGAIN;
            score >= told.score + MARGIN || mode > told.mode || outlived
        });
        if score < self.settings.threshold || !is_news {
            return None;
        }
        let highest = flow.told.map_or(score, |told| told.score.max(score));
        flow.told = Some(Told { score: highest, mode, at });
        let (local, remote) = flow.history.ends();
        Some(Finding { cookie, local, remote, score, terms })
    }

    fn score(&self, history: &History, context: &Context) -> Option<(f64, Vec<Term>)> {
        let Settings { weights, watch_for, .. } = &self.settings;
        let figures = history.figures(*watch_for)?;
        let mut terms = shape::terms(&figures, context.noise, weights);
        terms.extend(context.terms(weights));
        let weight: f64 = terms.iter().map(|term| term.weight).sum();
        let sum: f64 = terms.iter().map(|term| term.value * term.weight).sum();
        (weight > 0.0).then(|| (sum / weight, terms))
    }
}
