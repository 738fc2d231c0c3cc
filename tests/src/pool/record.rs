//! What a pool received.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything a pool received, connection by connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PoolRecord {
    /// In order of arrival.
    pub connections: Vec<PoolConnection>,
}

/// One connection to a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PoolConnection {
    /// The miner's address.
    pub peer: SocketAddr,
    /// The pool's address.
    pub local: SocketAddr,
    /// Every byte received, in order.
    pub bytes: Vec<u8>,
    /// Lines sent back.
    pub replies: usize,
    /// How the connection ended: `closed`, or an error's name; none while it is open.
    pub ended: Option<String>,
}

impl PoolConnection {
    /// The complete lines received, without their line ends.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let ended = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        ended.map(|line| line.trim_end().to_owned()).collect()
    }

    /// The complete requests received: lines, and a last line without an end that is whole JSON.
    pub fn requests(&self) -> usize {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut requests = 0;
        for line in text.split_inclusive('\n').filter(|line| !line.trim().is_empty()) {
            let value = line.trim_start_matches('\u{feff}').trim();
            let whole = || serde_json::from_str::<Value>(value).is_ok_and(|it| !it.is_number());
            requests += usize::from(line.ends_with('\n') || whole());
        }
        requests
    }
}

impl PoolRecord {
    /// All bytes received, connections joined.
    pub fn bytes(&self) -> Vec<u8> {
        self.connections.iter().flat_map(|it| it.bytes.iter().copied()).collect()
    }

    /// All complete lines received.
    pub fn lines(&self) -> Vec<String> {
        self.connections.iter().flat_map(PoolConnection::lines).collect()
    }

    /// The number of complete requests received.
    pub fn requests(&self) -> usize {
        self.connections.iter().map(PoolConnection::requests).sum()
    }

    /// The connection that came from this port.
    pub fn from_port(&self, port: u16) -> Option<&PoolConnection> {
        self.connections.iter().rev().find(|it| it.peer.port() == port)
    }
}
