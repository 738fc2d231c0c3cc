//! Looks after what is learned of names: who is believed, and what no longer holds. A thread of its
//! own, since it reads files and enters every network namespace.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::{LearnedFigures, Shared};
use crate::config::Config;
use crate::names::{Swept, resolvers};
use crate::watch::inventory::{self, Protocols};

/// How often the files that name servers are read: a host that moves to another network asks others.
const LOOK: Duration = Duration::from_secs(2);
/// How often what is over is taken away.
const SWEEP: Duration = Duration::from_secs(30);
/// Shared addresses that the status names.
const NAMED: usize = 32;

/// Where the servers are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    configured: Vec<IpAddr>,
    files: Vec<PathBuf>,
}

impl Sources {
    pub(super) fn of(config: &Config) -> Self {
        let files = if config.discover_resolvers { resolvers::FILES.as_slice() } else { &[] };
        let files = files.iter().map(PathBuf::from).collect();
        Self { configured: config.resolvers.clone(), files }
    }
}

/// Makes the servers of these settings believed, and starts the thread; it ends when what is returned
/// is dropped.
pub(super) fn start(shared: &Arc<Shared>, config: &Config) -> io::Result<Sender<Sources>> {
    let (tell, told) = channel();
    let mut keeper = Keeper {
        shared: Arc::clone(shared),
        sources: Sources::of(config),
        believed: BTreeSet::new(),
        swept: Instant::now(),
    };
    // Before the agent says that it is ready: the first question may follow at once.
    keeper.believe();
    thread::Builder::new().name("learning".to_owned()).spawn(move || keeper.run(&told))?;
    Ok(tell)
}

struct Keeper {
    shared: Arc<Shared>,
    sources: Sources,
    believed: BTreeSet<IpAddr>,
    swept: Instant,
}

impl Keeper {
    fn run(mut self, told: &Receiver<Sources>) {
        loop {
            match told.recv_timeout(LOOK) {
                Ok(sources) => self.sources = sources,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.believe();
            if self.swept.elapsed() >= SWEEP {
                self.swept = Instant::now();
                self.sweep();
            }
        }
    }

    fn believe(&mut self) {
        let found = resolvers::discover(&self.sources.files, &self.sources.configured);
        if found == self.believed {
            return;
        }
        match self.shared.with_datapath(|datapath| datapath.set_resolvers(&found)) {
            Some(Ok(())) => {
                tracing::info!("answers of these servers are believed: {}", list(&found));
                self.believed = found;
            }
            Some(Err(error)) => tracing::error!("not all servers are believed: {error}"),
            None => {}
        }
    }

    fn sweep(&self) {
        let has_patterns = self.shared.with_datapath(|datapath| datapath.has_patterns());
        if has_patterns != Some(true) {
            self.shared.tell(|about| about.learned = None);
            self.shared.metrics().set_learned(0, 0);
            return;
        }
        let listing = inventory::connections(Protocols::All);
        let alive: HashSet<IpAddr> = listing
            .open
            .iter()
            .filter_map(|open| open.socket.remote)
            .map(|remote| remote.ip().to_canonical())
            .collect();
        if listing.left_out > 0 || !listing.failed.is_empty() {
            // An open connection may be among those: what it leads to stays.
            tracing::warn!(
                "what names lead to is not swept: not every connection of this host could be listed"
            );
            return;
        }
        match self.shared.with_datapath(|datapath| datapath.sweep(&alive)) {
            Some(Ok(swept)) => self.tell(&swept),
            Some(Err(error)) => {
                tracing::warn!("what names lead to could not be swept, and stays: {error}");
            }
            None => {}
        }
    }

    fn tell(&self, swept: &Swept) {
        let shared_count = swept.shared.len();
        self.shared.metrics().set_learned(swept.known, shared_count);
        let figures = LearnedFigures {
            resolvers: self.believed.iter().copied().collect(),
            pairs: swept.known,
            shared: swept.shared.iter().take(NAMED).map(|shared| shared.address).collect(),
            shared_count,
        };
        self.shared.tell(|about| about.learned = Some(figures));
    }
}

fn list(servers: &BTreeSet<IpAddr>) -> String {
    if servers.is_empty() {
        return "none".to_owned();
    }
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}
