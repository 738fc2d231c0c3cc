//! The journal's line on a connection that cannot be read and behaves like a miner's.

use schemars::JsonSchema;
use sentinel_common::event::Kind;
use sentinel_common::verdict::{Reason, Verdict};
use serde::Serialize;

use super::line::{Countermeasure, Process, Workload};
use super::word::Word;
use crate::detect::TermName;

/// A connection that cannot be read and whose score reached the threshold: a suspicion, no proof.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Suspicion {
    /// When it was judged, RFC 3339, UTC.
    pub time: String,
    /// Always `suspicion`.
    pub kind: Word<Kind>,
    /// `blocked` where its socket is destroyed, else `audited`.
    pub verdict: Word<Verdict>,
    /// Always `encrypted_mining`.
    pub reason: Word<Reason>,
    /// This host's end, `address:port`.
    pub src: String,
    /// The other end, `address:port`.
    pub dst: String,
    /// Always `tcp`.
    pub proto: String,
    /// 0 to 1: the sum of value times weight over the terms, by the sum of their weights.
    pub score: f64,
    /// What the score is made of. What is not known is not in it.
    pub terms: Vec<Term>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// What that belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// What was done beyond the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countermeasure: Option<Countermeasure>,
    /// The socket's cookie.
    pub cookie: u64,
}

/// One term of a score.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Term {
    /// What it looks at.
    pub name: Word<TermName>,
    /// 0, nothing speaks for mining, to 1.
    pub value: f64,
    /// How much it counts.
    pub weight: f64,
    /// What it was made of.
    pub detail: String,
}
