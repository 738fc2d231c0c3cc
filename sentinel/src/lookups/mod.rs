//! Which names led workloads to the addresses they go to: from the answers that the kernel tells of.
//!
//! ```text
//! ring (Lookup) -> decode -> Lookups -> names of an event, of an audit's cut, of an open connection
//! ```
//!
//! Whatever was answered before a connection was opened is in the ring before its event is, so a table
//! that takes records in their order knows the name in time. A name counts for the workload (cgroup)
//! that asked for it, and for as long as the kernel lets the answer open its addresses.

mod message;
mod table;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use message::tests::message as answer_of;
pub use message::{Answer, read};
pub use table::{ADDRESSES, Forgotten, NAMES, SERVERS};

/// What the agent may lose of lookups: what the table has no room for, what answers hold beyond the part
/// that is told, and answers whose question names no host.
pub const LOSSES: [&str; 3] = [TABLE, TRUNCATED, UNREADABLE];
/// See [`LOSSES`].
pub const TABLE: &str = "lookup_table";
/// See [`LOSSES`].
pub const TRUNCATED: &str = "lookup_truncated";
/// See [`LOSSES`].
pub const UNREADABLE: &str = "lookup_unreadable";

/// One lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// When its answer came, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The asking socket's cgroup.
    pub cgroup: u64,
    /// Who answered.
    pub server: IpAddr,
    /// Over which IP protocol.
    pub protocol: u8,
    /// Whether the answer was longer than what is told of it.
    pub truncated: bool,
    /// What was answered.
    pub answer: Answer,
}

/// Of which addresses somebody asks the names: cgroup and address.
pub type Question = Vec<(u64, IpAddr)>;

/// A server that answered: its address, over which IP protocol, and how often.
pub type Server = (IpAddr, u8, u64);

/// What is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The names of each, in the order of the question; the last that was asked for first.
    pub names: Vec<Vec<String>>,
    /// The servers that answered each cgroup of the question: address, IP protocol, answers.
    pub servers: Vec<(u64, Vec<Server>)>,
}

/// All lookups; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lookups(Arc<Mutex<table::Table>>);

impl Lookups {
    /// Takes a lookup.
    #[must_use]
    pub fn take(&self, lookup: &Lookup) -> Forgotten {
        self.table().take(lookup)
    }

    /// The names by which a workload had asked for this address at this time (nanoseconds of
    /// `CLOCK_MONOTONIC`) and whose answers still hold, the last first.
    #[must_use]
    pub fn names(&self, cgroup: u64, address: IpAddr, now: u64) -> Vec<String> {
        self.table().names(cgroup, address.to_canonical(), now)
    }

    /// What is known of these addresses now.
    #[must_use]
    pub fn known(&self, question: &Question, now: u64) -> Known {
        let table = self.table();
        let names = question.iter();
        let names = names.map(|(cgroup, address)| table.names(*cgroup, *address, now)).collect();
        let mut cgroups: Vec<u64> = question.iter().map(|(cgroup, _)| *cgroup).collect();
        cgroups.sort_unstable();
        cgroups.dedup();
        let servers = cgroups.into_iter().map(|cgroup| (cgroup, table.servers(cgroup)));
        Known { names, servers: servers.collect() }
    }

    fn table(&self) -> MutexGuard<'_, table::Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
