//! What enforcement would have blocked: counted from the events of policies under audit, and looked for
//! among the connections that are open.
//!
//! An event names the first policy that would cut, and a socket tells of each destination once. Counts
//! begin anew whenever the policies change: what they say of a destination may be another thing then.

mod log;
mod open;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_common::flow::Direction;
use sentinel_common::verdict::Mode;
use serde::{Deserialize, Serialize};

pub use log::{CUTS, RULES};
pub use open::{Known, open};

use crate::policy::PolicySet;

/// Something the engine noticed about a policy under audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It would have blocked this.
    Hit(Hit),
    /// A cgroup's path.
    Workload {
        /// Its id.
        cgroup: u64,
        /// Its path from the cgroup2 root.
        path: String,
    },
}

/// What would have been blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When, Unix time in nanoseconds.
    pub time: i128,
    /// Generation of the policies that judged.
    pub generation: u32,
    /// The policy's name.
    pub policy: String,
    /// Its rule and where that stands.
    pub rule: String,
    /// The workload's cgroup; 0 when unknown.
    pub cgroup: u64,
    /// What was to be reached, or who called.
    pub end: End,
    /// The names by which the workload had asked for its address, the last first.
    pub names: Vec<String>,
}

/// One end of what would be cut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The other end.
    pub address: IpAddr,
    /// The port that rules name; 0 where there is none.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Which way it goes.
    pub ingress: bool,
}

impl End {
    /// The direction.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.ingress { Direction::Ingress } else { Direction::Egress }
    }
}

/// What the policies under audit would have cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Since when it is counted, RFC 3339.
    pub since: String,
    /// The policies under audit.
    pub policies: Vec<OfPolicy>,
}

/// What one policy would have cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfPolicy {
    /// Its name.
    pub policy: String,
    /// Where it stands, `file:line`.
    pub place: String,
    /// Events.
    pub hits: u64,
    /// By rule.
    pub rules: Vec<OfRule>,
    /// By workload and destination, the most frequent first.
    pub cuts: Vec<Cut>,
    /// Events for whose destination there was no room.
    pub unlisted: u64,
}

/// What one rule would have cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRule {
    /// The rule and its place, or `no rule` and the policy's.
    pub rule: String,
    /// Events.
    pub hits: u64,
    /// The last of them.
    pub last: String,
}

/// A destination of a workload that would be cut, or a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The workload's cgroup path, or `cgroup ID` where nobody knows it.
    pub workload: String,
    /// `egress` or `ingress`.
    pub direction: String,
    /// The other end.
    pub address: IpAddr,
    /// The port that rules name; 0 where there is none.
    pub port: u16,
    /// `tcp`, `udp`, or another protocol.
    pub protocol: String,
    /// The rule and its place.
    pub rule: String,
    /// Events; 0 for a connection that is open and was before it was counted.
    pub hits: u64,
    /// When the first was seen, RFC 3339.
    pub first: String,
    /// When the last was seen.
    pub last: String,
    /// The names by which the workload had asked for this address; more than one share it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
    /// Events that no lookup of the workload explains.
    #[serde(default)]
    pub unnamed: u64,
}

/// The count; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Audits(Arc<Mutex<log::Log>>);

impl Audits {
    /// These policies are in force from this time (Unix, nanoseconds) and generation on. Returns whether
    /// they are others than before.
    pub fn applied(&self, set: &Arc<PolicySet>, cap: Mode, generation: u32, now: i128) -> bool {
        self.log().applied(set, cap, generation, now)
    }

    /// Takes a note.
    pub fn note(&self, noted: Noted) {
        self.log().note(noted);
    }

    /// What was counted.
    #[must_use]
    pub fn report(&self) -> Report {
        self.log().report()
    }

    /// The policies in force, and the most that is done.
    #[must_use]
    pub fn policies(&self) -> (Arc<PolicySet>, Mode) {
        self.log().policies()
    }

    fn log(&self) -> MutexGuard<'_, log::Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Adds what was found open and no event told of.
    pub fn add(&mut self, policy: &str, cut: Cut) {
        let Some(of) = self.policies.iter_mut().find(|of| of.policy == policy) else { return };
        let same = |known: &&mut Cut| {
            (&known.workload, &known.direction, known.address, known.port, &known.protocol)
                == (&cut.workload, &cut.direction, cut.address, cut.port, &cut.protocol)
        };
        if of.cuts.iter_mut().find(same).is_none() {
            of.cuts.push(cut);
        }
    }

    /// Whether enforcement would cut anything.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.policies.iter().all(|of| of.hits == 0 && of.cuts.is_empty())
    }
}
