//! How a miner-like session ended.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The ways in which a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Everything was said and every request was answered.
    Completed,
    /// Everything was said, but answers are missing.
    Unanswered,
    /// The connection was never made.
    Refused,
    /// An error ended the connection.
    Cut,
    /// The other side closed the connection.
    Closed,
}

/// What a miner-like session experienced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// The error's name if one came, such as `ECONNABORTED`.
    pub errno: Option<String>,
    /// This side's address; none if the connection was refused.
    pub local: Option<SocketAddr>,
    /// The pool's address.
    pub target: SocketAddr,
    /// Bytes the kernel accepted for sending.
    pub bytes_written: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// Lines handed over in full.
    pub lines_written: u32,
    /// Answers to requests received.
    pub answers: u32,
    /// Notifications (new jobs and the like) received.
    pub notifications: u32,
    /// From the last accepted write to the moment the end was noticed.
    pub noticed_ms: Option<u64>,
    /// From the start of connect() to the end.
    pub elapsed_ms: u64,
}

impl Report {
    /// True if the pool served this session.
    pub fn succeeded(&self) -> bool {
        self.ended == Ended::Completed
    }
}
