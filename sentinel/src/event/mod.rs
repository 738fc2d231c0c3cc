//! What the agent knows of an event, and the journal's lines made of it.

pub mod hook;
pub mod line;
pub mod node;
pub mod process;
pub mod socket;
pub mod suspicion;
pub mod word;

use std::net::SocketAddr;

use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::verdict::{Reason, Verdict};

/// One event of the kernel, every field of it valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEvent {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The socket's cookie; 0 when unknown.
    pub cookie: u64,
    /// The socket's cgroup; 0 when unknown.
    pub cgroup: u64,
    /// Tokens the speaking side has said, one bit each.
    pub tokens: u64,
    /// Tokens the other side has said.
    pub peer_tokens: u64,
    /// Who opened the socket.
    pub owner: Option<Owner>,
    /// This host's end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: Option<SocketAddr>,
    /// The rule that matched: of the signatures for `Stratum`, of the allowlist (from 1) for `Egress`,
    /// and the feed's number (from 1) where the reason is a feed's.
    pub rule: Option<u32>,
    /// For `Stratum`, number of the signature set that `rule` and the tokens are of.
    pub signatures: u32,
    /// Generation of the policy that judged.
    pub generation: u32,
    /// Bytes of this direction read before the verdict.
    pub bytes: u32,
    /// What it tells of.
    pub kind: Kind,
    /// What was done.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Which program saw it.
    pub hook: Hook,
    /// IP protocol number.
    pub protocol: u8,
    /// Which side spoke.
    pub direction: Direction,
    /// The name that was asked for, lower-case and dotted, of a `Dns` or `Tls` event.
    pub name: Option<String>,
    /// Another process than the owner has made the socket or used it before.
    pub passed: bool,
    /// `cgroup` is the owner's: which one the socket was made in is not known.
    pub is_callers: bool,
    /// What was said, as far as the excerpt shows.
    pub said: Said,
    /// The names by which its workload had asked for the other end's address, the last first: no part of
    /// the record, but of those before it.
    pub names: Vec<String>,
}

impl KernelEvent {
    /// Whether a policy's rule made the verdict.
    #[must_use]
    pub fn is_of_a_policy(&self) -> bool {
        match self.reason {
            Reason::ServerName => true,
            Reason::PoolAddress => false,
            _ => matches!(self.kind, Kind::Egress | Kind::Ingress),
        }
    }
}

/// Who opened a socket, as the kernel saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cgroup it ran in then.
    pub cgroup: u64,
    /// Start of the process, nanoseconds since boot; 0 when unknown.
    pub start_time: u64,
    /// Process id in the agent's own pid namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// The task's name: whatever it likes to call itself.
    pub comm: String,
}

/// What a message names. A string that was cut ends in `…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The request's method.
    pub method: Option<String>,
    /// Wallet or account.
    pub login: Option<String>,
    /// The miner's name for itself.
    pub agent: Option<String>,
    /// The machine's name at the pool.
    pub worker: Option<String>,
}
