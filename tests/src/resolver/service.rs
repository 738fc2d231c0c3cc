//! A program that goes where names lead: looks one up, connects, and holds the connection for a while.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Client, addresses};

/// Between two lookups.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that are held, so that whoever lists open ones finds some.
const HELD: usize = 32;

/// Where it goes.
#[derive(Debug, Clone, Args)]
pub struct Visits {
    /// Whom it asks.
    pub server: IpAddr,
    /// Port that it connects to.
    pub port: u16,
    /// The names, one after another until stdin ends.
    #[arg(required = true)]
    pub names: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Visited {
    /// Lookups, each followed by a connection.
    pub visits: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// What the first failure was.
    pub error: Option<String>,
}

/// Goes from name to name until stdin ends.
#[must_use]
pub fn visit(visits: &Visits) -> Visited {
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    thread::spawn(move || {
        // Nothing is sent: its end is the message.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Ordering::Release);
    });
    let mut visited = Visited::default();
    let mut held = VecDeque::new();
    for name in visits.names.iter().cycle() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        visited.visits += 1;
        match one(visits, name) {
            Ok(stream) => held.push_back(stream),
            Err(error) => {
                visited.failed += 1;
                visited.error.get_or_insert_with(|| format!("{name}: {error:#}"));
            }
        }
        if held.len() > HELD {
            held.pop_front();
        }
        thread::sleep(PAUSE);
    }
    visited
}

fn one(visits: &Visits, name: &str) -> Result<TcpStream> {
    let found = addresses(&Client::new(visits.server, true)?.ask(name)?);
    let address = *found.first().context("no address")?;
    let to = SocketAddr::new(address, visits.port);
    Ok(TcpStream::connect_timeout(&to, Duration::from_secs(5))?)
}
