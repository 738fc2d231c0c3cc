//! A mining pool that answers by dialect and remembers every byte: the witness of the tests.

mod answers;
mod connection;
mod record;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::server::{Server, TICK};
use crate::sync::lock;
use crate::transcript::Dialect;

pub use record::{PoolConnection, PoolRecord};

/// How the pool behaves.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Whose answers it gives.
    pub dialect: Dialect,
    /// Never answers: a sinkhole.
    pub silent: bool,
    /// A line to say first, before the miner speaks.
    pub greeting: Option<String>,
    /// Sends a new job this often once the miner is logged in.
    pub job_every: Option<Duration>,
}

impl Manner {
    /// An ordinary pool of a dialect, with a new job twice a second.
    pub fn of(dialect: Dialect) -> Manner {
        let job_every = Some(Duration::from_millis(500));
        Manner { dialect, silent: false, greeting: None, job_every }
    }

    /// A pool that accepts and then never says anything.
    pub fn sinkhole(dialect: Dialect) -> Manner {
        Manner { silent: true, job_every: None, ..Manner::of(dialect) }
    }

    /// A pool that speaks first.
    pub fn greeting(dialect: Dialect) -> Manner {
        let line = r#"{"id":null,"method":"client.show_message","params":["welcome"]}"#;
        Manner { greeting: Some(format!("{line}\n")), ..Manner::of(dialect) }
    }
}

/// A running pool; dropped, it closes every connection.
#[derive(Debug)]
pub struct Pool {
    // Before the record, so that its threads have ended when the record goes.
    server: Server,
    record: Arc<Mutex<PoolRecord>>,
}

impl Pool {
    /// Listens in the calling thread's namespace: call it through [`crate::netlab::Lab::in_peer`].
    pub fn start(listen: &[SocketAddr], manner: Manner) -> Result<Pool> {
        let record = Arc::new(Mutex::new(PoolRecord::default()));
        let shared = Arc::clone(&record);
        let server = Server::start(listen, move |stream, stop| {
            connection::serve(stream, stop, &manner, &shared);
        })?;
        Ok(Pool { server, record })
    }

    /// Where the pool listens, with the ports the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// A copy of everything received so far.
    pub fn record(&self) -> PoolRecord {
        lock(&self.record).clone()
    }

    /// Waits until this many complete requests came in all; false if they did not.
    pub fn wait_requests(&self, count: usize, within: Duration) -> bool {
        self.wait(within, |record| record.requests() >= count)
    }

    /// Waits until every connection accepted so far has ended; false if one stays open.
    pub fn wait_ended(&self, within: Duration) -> bool {
        self.wait(within, |record| record.connections.iter().all(|it| it.ended.is_some()))
    }

    fn wait(&self, within: Duration, done: impl Fn(&PoolRecord) -> bool) -> bool {
        let deadline = Instant::now() + within;
        while !done(&lock(&self.record)) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(TICK / 4);
        }
        true
    }
}
