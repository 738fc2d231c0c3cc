//! The journal's line on a connection that was open before the agent was.

use schemars::JsonSchema;
use sentinel_common::verdict::{Reason, Verdict};
use serde::Serialize;

use super::line::{Process, Workload};
use super::word::{Word, word_enum};

/// A connection out of this host that was open when the agent started. What is said on it from then
/// on is read like on any other; `verdict` only tells whether it could be opened today.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OpenSocket {
    /// When it was listed, RFC 3339, UTC.
    pub time: String,
    /// Always `socket`.
    pub kind: Word<SocketKind>,
    /// `audited` where the policy or a feed speaks against its address, else `allowed`.
    pub verdict: Word<Verdict>,
    /// Why.
    pub reason: Word<Reason>,
    /// This host's end, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// The other end, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// `tcp` or `udp`.
    pub proto: String,
    /// Always true: when it was opened nobody knows.
    pub older_than_agent: bool,
    /// Seconds since the side that has been silent for longer last spoke: it is at least so old. TCP
    /// only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_at_least_seconds: Option<u64>,
    /// Payload bytes sent over it so far; TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Payload bytes received over it so far; TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// Whether the kernel reads it from now on.
    pub inspection: Word<Inspection>,
    /// The feed that names its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// The policy whose rule allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// That rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// What that belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The socket's cookie.
    pub cookie: u64,
}

word_enum! {
    /// The kind of an [`OpenSocket`] line.
    SocketKind {
        /// The only one.
        Socket => "socket",
    }
}

word_enum! {
    /// Whether a connection older than the agent is read.
    Inspection {
        /// From its next packet on.
        Resumed => "resumed",
        /// Nothing has been said yet, or since the hooks are there: read from its first byte.
        FromStart => "from_start",
        /// No process could be found that holds it.
        Unowned => "unowned",
        /// Its process was gone before the socket could be had.
        Gone => "gone",
        /// The kernel refused.
        Refused => "refused",
        /// It is not TCP.
        NotRead => "not_read",
    }
}
