//! `GET /sockets`: the connections that are open now, whose they are, and what is thought of them.

use sentinel_common::verdict::{Reason, Verdict};
use serde::Serialize;

use super::Shared;
use crate::engine::{described, workload_of};
use crate::event::line::{Process, Workload};
use crate::event::word::Words;
use crate::watch::ages::Age;
use crate::watch::clock;
use crate::watch::inventory::{self, Protocols};
use crate::watch::roster::{Entry, Roster};
use crate::watch::scope::Scope;

/// Connections in one answer; a line of it takes about 700 bytes.
const ANSWER: usize = 32_768;

/// The connections that are open now.
#[derive(Clone, Debug, Serialize)]
pub struct Sockets {
    /// When they were listed, RFC 3339, UTC.
    pub time: String,
    /// When the agent started, RFC 3339, UTC.
    pub started: String,
    /// What something speaks against is first, then the oldest.
    pub connections: Vec<Connection>,
    /// How many more there are.
    pub left_out: usize,
    /// Network namespaces that could not be looked into, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// This host's end, `address:port`.
    pub src: String,
    /// The other end, `address:port`.
    pub dst: String,
    /// `tcp` or `udp`.
    pub proto: &'static str,
    /// Whether this host opened it (`outbound`) or listens on its port (`inbound`).
    pub direction: &'static str,
    /// It was open when the agent started.
    pub older_than_agent: bool,
    /// It is at least so old.
    pub age_at_least_seconds: u64,
    /// Payload bytes sent over it so far; TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Payload bytes received over it so far; TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// The gravest that was found on it, or what would become of it today.
    pub verdict: &'static str,
    /// Why.
    pub reason: &'static str,
    /// The feed that names its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// Its last score for encrypted mining, 0 to 1, where its traffic was worth asking about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// What that belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The socket's cookie.
    pub cookie: u64,
}

impl Sockets {
    /// Lists them. Enters every network namespace and walks `/proc`: not for an async thread. `None`
    /// when the agent is detached already.
    #[must_use]
    pub fn of(shared: &Shared) -> Option<Self> {
        let folder = shared.with_datapath(|datapath| datapath.cgroup().to_owned())?;
        let listing = inventory::connections(Protocols::All);
        let now = clock::now();
        shared.with_ages(|ages| ages.look(now.now, &listing.open, Protocols::All));
        let roster = Roster::of(listing, &mut Scope::new(&folder));
        let ages: Vec<Age> = shared.with_ages(|ages| {
            roster.entries.iter().map(|entry| ages.of(now.now, &entry.open)).collect()
        });
        let judged = roster.entries.iter().zip(ages);
        let mut all: Vec<(Verdict, Connection)> =
            judged.map(|(entry, age)| connection(shared, now, entry, age)).collect();
        all.sort_by(|(verdict, one), (other_verdict, other)| {
            let key = |one: &Connection| (one.older_than_agent, one.age_at_least_seconds);
            (other_verdict, key(other)).cmp(&(verdict, key(one)))
        });
        let left_out = roster.left_out + all.len().saturating_sub(ANSWER);
        Some(Self {
            time: now.rfc3339(),
            started: shared.about().started,
            connections: all.into_iter().take(ANSWER).map(|(_, one)| one).collect(),
            left_out,
            failed: roster.failed.iter().map(ToString::to_string).collect(),
        })
    }
}

fn connection(
    shared: &Shared,
    now: crate::engine::Clock,
    entry: &Entry,
    age: Age,
) -> (Verdict, Connection) {
    let Entry { open, maker, .. } = entry;
    let socket = &open.socket;
    let remark = shared.remark_of(socket.cookie);
    let judged = socket.remote.filter(|_| open.outbound);
    let judged =
        judged.map(|remote| shared.judge().judge(maker.cgroup.as_deref(), remote, socket.protocol));
    let today = judged.as_ref().map_or((Verdict::Allowed, Reason::Unremarkable), |judgement| {
        (judgement.verdict, judgement.reason)
    });
    let (verdict, reason) = remark.finding.filter(|(found, _)| *found >= today.0).unwrap_or(today);
    let text = |end: Option<std::net::SocketAddr>| end.map(|end| end.to_string());
    let pods = shared.pods().now();
    let connection = Connection {
        src: text(socket.local).unwrap_or_default(),
        dst: text(socket.remote).unwrap_or_default(),
        proto: if open.is_tcp() { "tcp" } else { "udp" },
        direction: if open.outbound { "outbound" } else { "inbound" },
        older_than_agent: age.older_than_agent,
        age_at_least_seconds: age.at_least,
        bytes_sent: open.traffic.map(|traffic| traffic.bytes_sent),
        bytes_received: open.traffic.map(|traffic| traffic.bytes_received),
        verdict: verdict.word(),
        reason: reason.word(),
        feed: judged.and_then(|judgement| judgement.feed),
        score: remark.score.map(|score| (score * 1000.0).round() / 1000.0),
        process: maker.process.as_ref().ok().map(|process| described(now, process)),
        workload: workload_of(&pods, open.cgroup, maker.cgroup.as_deref()),
        cookie: socket.cookie,
    };
    (verdict, connection)
}
