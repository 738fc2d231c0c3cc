//! Looks at every open connection now and then, and has those judged that cannot be read. A thread of
//! its own: a look enters every network namespace.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use sentinel_common::verdict::{Mode, Reason};
use tokio::sync::mpsc;

use crate::api::Shared;
use crate::attribution::Attribution;
use crate::datapath::ServerName;
use crate::detect::{Context, Cpu, Destination, Detector, Name, Sample, Settings};
use crate::engine::{Input, Suspect};
use crate::watch::holders::{self, Holder};
use crate::watch::inventory::{self, Open, Protocols};
use crate::watch::scope::Scope;
use crate::watch::{clock, facts};

/// Looks that a connection is suspected for before it is told of: its workload's use of the processor
/// is measured meanwhile.
const PATIENCE: u32 = 3;
/// A measurement of the processor begins anew after so long, nanoseconds.
const MEASUREMENT: u64 = 600_000_000_000;
/// Ports that pools of the captures and of the miners' documentation listen on, and few others.
const POOL_PORTS: [u16; 17] = [
    3333, 3334, 3335, 4444, 5555, 6666, 7777, 8888, 9999, 10128, 10343, 13333, 14433, 14444, 16666,
    18888, 20580,
];

/// Starts the thread; it ends when what is returned is dropped.
pub(super) fn start(
    shared: &Arc<Shared>,
    inputs: &mpsc::Sender<Input>,
    settings: Settings,
    interval: Duration,
) -> io::Result<Sender<()>> {
    let (stop, stopped) = channel();
    let (shared, inputs) = (Arc::clone(shared), inputs.clone());
    thread::Builder::new()
        .name("sampler".to_owned())
        .spawn(move || run(&shared, &inputs, settings, interval, &stopped))?;
    Ok(stop)
}

fn run(
    shared: &Shared,
    inputs: &mpsc::Sender<Input>,
    settings: Settings,
    interval: Duration,
    stopped: &Receiver<()>,
) {
    let Some(folder) = shared.with_datapath(|datapath| datapath.cgroup().to_owned()) else {
        return;
    };
    let mut sampler = Sampler {
        detector: Detector::new(settings),
        scope: Scope::new(&folder),
        suspected: HashMap::new(),
    };
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
        let mode = shared.about().encrypted_mining;
        if mode == Mode::Off {
            sampler.detector.observe([]);
            continue;
        }
        for suspect in sampler.look(shared, mode) {
            if inputs.blocking_send(Input::Suspicion(Box::new(suspect))).is_err() {
                return;
            }
        }
    }
}

struct Sampler {
    detector: Detector,
    scope: Scope,
    suspected: HashMap<u64, Suspected>,
}

/// What is kept of a connection whose traffic looks like mining.
struct Suspected {
    looks: u32,
    maker: Attribution,
    /// When its workload's use of the processor was first read, and what it was, microseconds.
    cpu: Option<(u64, u64)>,
}

impl Sampler {
    fn look(&mut self, shared: &Shared, mode: Mode) -> Vec<Suspect> {
        let listing = inventory::connections(Protocols::Tcp);
        let now = clock::now().now;
        let open: HashMap<u64, Open> = listing
            .open
            .into_iter()
            .filter(|open| open.outbound && self.scope.watches(open.cgroup))
            .map(|open| (open.socket.cookie, open))
            .collect();
        let round = self.detector.observe(open.values().filter_map(|open| sample(open, now)));
        shared.metrics().set_followed(self.detector.len());
        shared.metrics().lost_many("detector", (round.overflow + listing.left_out) as u64);
        let worth: HashSet<u64> = round.worth_asking.iter().copied().collect();
        self.suspected.retain(|cookie, _| worth.contains(cookie));
        let asked: Vec<&Open> =
            round.worth_asking.iter().filter_map(|cookie| open.get(cookie)).collect();
        self.find_makers(&asked);
        let found = asked.into_iter().filter_map(|open| self.judge(shared, open, now, mode));
        found.collect()
    }

    /// Who holds those that are suspected for the first time.
    fn find_makers(&mut self, asked: &[&Open]) {
        let new = asked.iter().filter(|open| !self.suspected.contains_key(&open.socket.cookie));
        let new: Vec<&&Open> = new.collect();
        let inodes: HashSet<u32> =
            new.iter().map(|open| open.inode).filter(|inode| *inode != 0).collect();
        let holders: HashMap<u32, Holder> = holders::find(&inodes);
        for open in new {
            let holder = holders.get(&open.inode).copied();
            let Some(maker) = self.scope.maker(open, holder) else { continue };
            let suspected = Suspected { looks: 0, maker, cpu: None };
            self.suspected.insert(open.socket.cookie, suspected);
        }
        self.scope.forget_processes();
    }

    fn judge(&mut self, shared: &Shared, open: &Open, now: u64, mode: Mode) -> Option<Suspect> {
        let suspected = self.suspected.get_mut(&open.socket.cookie)?;
        suspected.looks += 1;
        let folder = suspected.maker.cgroup.as_deref().and_then(|path| self.scope.folder(path));
        let usage = folder.as_deref().and_then(facts::cpu_usage);
        let begun = suspected.cpu.filter(|(at, _)| now.saturating_sub(*at) < MEASUREMENT);
        let cpu = begun.zip(usage).zip(folder).and_then(|(((at, before), usage), folder)| {
            let seconds = now.saturating_sub(at) as f64 / 1e9;
            let cores = usage.saturating_sub(before) as f64 / 1e6 / seconds;
            let cpu = Cpu { cores, limit: facts::cpu_limit(&folder), seconds };
            (seconds > 1.0 && !(cpu.is_idle() && facts::has_compute_card())).then_some(cpu)
        });
        suspected.cpu = begun.or(usage.map(|usage| (now, usage)));
        if suspected.looks < PATIENCE {
            return None;
        }
        let context = Context { cpu, ..context(shared, open, &suspected.maker) };
        let maker = suspected.maker.clone();
        let finding = self.detector.judge(open.socket.cookie, &context)?;
        Some(Suspect { finding, maker, cgroup: open.cgroup, mode })
    }
}

fn sample(open: &Open, at: u64) -> Option<Sample> {
    let (local, remote) = (open.socket.local?, open.socket.remote?);
    let cookie = open.socket.cookie;
    // The plain end of a tunnel is read; this host talks to itself in many ways.
    let is_local = remote.ip().is_loopback();
    (!is_local).then_some(Sample { at, cookie, local, remote, traffic: open.traffic? })
}

/// All that is known beside traffic and processor.
fn context(shared: &Shared, open: &Open, maker: &Attribution) -> Context {
    let judge = shared.judge();
    let cookie = open.socket.cookie;
    let destination = open.socket.remote.and_then(|remote| {
        let judgement = judge.judge(maker.cgroup.as_deref(), remote, open.socket.protocol);
        match (judgement.feed, judgement.reason) {
            (Some(feed), _) => Some(Destination::Feed(feed)),
            (None, Reason::Allowlisted) => Some(Destination::Allowed),
            (None, Reason::NotAllowlisted) => Some(Destination::NotAllowed),
            (None, _) if POOL_PORTS.contains(&remote.port()) => {
                Some(Destination::PoolPort(remote.port()))
            }
            (None, _) => None,
        }
    });
    let name = shared.with_datapath(|datapath| datapath.server_name(cookie));
    let name = match name {
        Some(Ok(name)) => name,
        Some(Err(error)) => {
            tracing::debug!("the name of socket {cookie} cannot be read: {error}");
            None
        }
        None => None,
    };
    let name = name.map(|asked| match asked {
        ServerName::Named(name) if judge.pool_name(&name).is_some() => Name::Pool(name),
        ServerName::Named(name) => Name::Other(name),
        ServerName::Nobody => Name::Nobody,
    });
    let clock = clock::now();
    let unix = i128::from(clock.now) + clock.monotonic_to_unix;
    let process = maker.process.as_ref().ok();
    let binary = process.and_then(|process| facts::binary(process, unix, clock.boot_to_unix));
    Context { destination, name, binary, noise: shared.is_noise(cookie), cpu: None }
}
