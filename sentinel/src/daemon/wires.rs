//! Keeps the host's ends of workloads' wires judged while an allowlist is enforced, and tells how far
//! each workload is. A thread of its own: new workloads come at any time.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use sentinel_common::verdict::Mode;

use crate::api::Shared;
use crate::watch::links;
use crate::watch::scope::Scope;
use crate::watch::wires::{self, Backstop, Found};

/// How often the interfaces are listed: a new one is judged after this long at the latest.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often processes are looked at though no interface has changed: they may have come later.
const PROCESSES: Duration = Duration::from_secs(10);

/// The same while somebody is to come: until then only the node's policies count.
const AWAITED: Duration = Duration::from_secs(2);

/// Judges the wires that there are, then starts the thread that follows; it ends when what is returned
/// is dropped.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Sender<()>> {
    let (stop, stopped) = std::sync::mpsc::channel();
    let shared = Arc::clone(shared);
    let mut keeper = Keeper::default();
    keeper.look(&shared);
    thread::Builder::new()
        .name("wires".to_owned())
        .spawn(move || run(&shared, keeper, &stopped))?;
    Ok(stop)
}

fn run(shared: &Shared, mut keeper: Keeper, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
        keeper.look(shared);
    }
}

#[derive(Default)]
struct Keeper {
    /// The interfaces, and whether an allowlist was enforced, at the last look at processes.
    seen: Option<(Vec<links::Link>, bool)>,
    looked: Option<Instant>,
    /// At some wire's other end was nobody.
    awaits: bool,
    /// Complaints that were made.
    told: HashSet<String>,
}

impl Keeper {
    fn look(&mut self, shared: &Shared) {
        let enforces = shared.about().egress == Mode::Enforce;
        let links = match links::links() {
            Ok(links) => links,
            Err(error) => {
                return self.complain(format!("the interfaces cannot be listed: {error}"));
            }
        };
        let seen = Some((links, enforces));
        let patience = if self.awaits { AWAITED } else { PROCESSES };
        let is_recent = self.looked.is_some_and(|looked| looked.elapsed() < patience);
        if seen == self.seen && is_recent {
            return;
        }
        let about =
            shared.with_datapath(|datapath| (datapath.cgroup().to_owned(), datapath.sockets_gap()));
        let Some((folder, gap)) = about else { return };
        let idle = (!enforces).then(|| "nothing is enforced".to_owned());
        (self.seen, self.looked) = (seen, Some(Instant::now()));
        match wires::find(&mut Scope::new(&folder), gap.or(idle).as_deref()) {
            Ok(found) => {
                self.awaits = found.awaits_somebody();
                self.judge(shared, found, enforces);
            }
            Err(error) => self.complain(format!("workloads' wires cannot be found: {error}")),
        }
    }

    fn judge(&mut self, shared: &Shared, mut found: Found, enforces: bool) {
        let wires = if enforces { found.wires.as_slice() } else { &[] };
        match shared.with_datapath(|datapath| datapath.set_wires(wires)) {
            None => return,
            Some(Ok(refused)) => {
                for (_, error) in refused {
                    let error = error.to_string();
                    lower(&mut found, &error);
                    self.complain(error);
                }
            }
            Some(Err(error)) => {
                let error = error.to_string();
                lower(&mut found, &error);
                self.complain(error);
            }
        }
        shared.tell(|about| about.coverage = found.coverage);
    }

    /// Once: it is looked at every second.
    fn complain(&mut self, what: String) {
        if !self.told.contains(&what) {
            tracing::warn!("{what}");
            self.told.insert(what);
        }
    }
}

/// A wire that is not judged: which workload's it is matters less than that nobody is told too much.
fn lower(found: &mut Found, why: &str) {
    for coverage in &mut found.coverage {
        if coverage.backstop == Backstop::Full {
            coverage.backstop = Backstop::None;
            coverage.why = Some(why.to_owned());
        }
    }
}
