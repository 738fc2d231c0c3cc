//! `cargo xtask bench fleet`: one node of a large fleet. The agent as it is shipped watches an API server of
//! ours that tells it of all the others; what it costs is read from its process, what it asks is counted
//! at the server, and what all nodes ask is that many times as much.

mod node;
mod objects;
mod query;
mod server;
mod size;
mod sums;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::routing::any;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

pub use size::Size;

use super::figure::Figure;
use node::Node;
use objects::Kind;
use server::{Counters, Fleet};
use size::REPLACED_EVERY;

/// How long an agent has, before anything is measured, once nothing was listed for that long.
const SETTLE: Duration = Duration::from_secs(15);
/// How long it has for the lists.
const LISTS: Duration = Duration::from_secs(120);
/// What it costs to do nothing is measured for this long.
const SHORT: Duration = Duration::from_secs(20);
/// Seconds between two changes of objects that seldom change.
const POLICY_EVERY: u64 = 10;
const NAMESPACE_EVERY: u64 = 20;
const SERVICE_EVERY: u64 = 5;

/// What the server counted.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    lists: u64,
    list_bytes: u64,
    watches: u64,
    events: u64,
    event_bytes: u64,
    lease_reads: u64,
    lease_lists: u64,
    lease_bytes: u64,
    lease_writes: u64,
    status_writes: u64,
}

impl Asked {
    fn now(counters: &Counters) -> Self {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            lists: of(&counters.lists),
            list_bytes: of(&counters.list_bytes),
            watches: of(&counters.watches),
            events: of(&counters.events),
            event_bytes: of(&counters.event_bytes),
            lease_reads: of(&counters.lease_reads),
            lease_lists: of(&counters.lease_lists),
            lease_bytes: of(&counters.lease_bytes),
            lease_writes: of(&counters.lease_writes),
            status_writes: of(&counters.status_writes),
        }
    }

    /// What came since.
    const fn since(self, before: Self) -> Self {
        Self {
            lists: self.lists - before.lists,
            list_bytes: self.list_bytes - before.list_bytes,
            watches: self.watches - before.watches,
            events: self.events - before.events,
            event_bytes: self.event_bytes - before.event_bytes,
            lease_reads: self.lease_reads - before.lease_reads,
            lease_lists: self.lease_lists - before.lease_lists,
            lease_bytes: self.lease_bytes - before.lease_bytes,
            lease_writes: self.lease_writes - before.lease_writes,
            status_writes: self.status_writes - before.status_writes,
        }
    }
}

/// What one agent cost and asked.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// Until the lists were read.
    start: Asked,
    /// While the fleet changed.
    running: Asked,
    seconds: f64,
    start_cpu: f64,
    running_cpu: f64,
    resident: u64,
    peak: u64,
    series: usize,
}

/// Runs one node of the fleet: without Kubernetes, as one among many, and as the one that writes for all.
///
/// # Errors
/// When the agent does not start here.
pub fn run(size: Size) -> Result<Vec<Figure>> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    eprintln!("without Kubernetes");
    let alone = measure(&Node::alone()?, None, SHORT)?;
    let among = |led: bool, lasting: Duration| -> Result<Measured> {
        let fleet = Arc::new(Fleet::new(size, led));
        let port = serve(&runtime, Arc::clone(&fleet))?;
        let node = Node::in_fleet(port)?;
        let measured = measure(&node, Some(&fleet), lasting)?;
        eprint!("{}", node.complaints());
        Ok(measured)
    };
    eprintln!("a node among {}", size.nodes);
    let lasting = Duration::from_secs(size.seconds.into());
    let follower = among(true, lasting)?;
    eprintln!("the node that writes the status of policies");
    let leader = among(false, lasting)?;
    runtime.shutdown_background();
    Ok(sums::rows(&size, &alone, &follower, &leader))
}

fn measure(node: &Node, fleet: Option<&Arc<Fleet>>, lasting: Duration) -> Result<Measured> {
    let asked = || fleet.map_or_else(Asked::default, |fleet| Asked::now(&fleet.counters));
    let (begun, mut before) = (Instant::now(), None);
    while before != Some(asked().lists) && begun.elapsed() < LISTS {
        before = Some(asked().lists);
        std::thread::sleep(SETTLE);
    }
    let (start, start_cpu) = (asked(), node.cpu_seconds()?);
    std::thread::sleep(lasting);
    let (end, end_cpu) = (asked(), node.cpu_seconds()?);
    let (resident, peak) = node.memory()?;
    Ok(Measured {
        start,
        running: end.since(start),
        seconds: lasting.as_secs_f64(),
        start_cpu,
        running_cpu: end_cpu - start_cpu,
        resident,
        peak,
        series: node.series()?,
    })
}

/// Serves the fleet on loopback, and has it change; the port.
fn serve(runtime: &Runtime, fleet: Arc<Fleet>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port on loopback")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let changing = Arc::clone(&fleet);
    let handler = move |request| server::answer(Arc::clone(&fleet), request);
    let router = axum::Router::new().fallback(any(handler));
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router).await
    });
    let size = changing.size;
    let every = |seconds: u64| Duration::from_secs(seconds);
    let per_second = Duration::from_secs(1) / size.slice_changes.max(1);
    let pods = Duration::from_secs(REPLACED_EVERY.into()) / 4;
    let rates = [
        (Kind::Slices, per_second),
        (Kind::Pods, pods),
        (Kind::Policies, every(POLICY_EVERY)),
        (Kind::Namespaces, every(NAMESPACE_EVERY)),
        (Kind::Services, every(SERVICE_EVERY)),
    ];
    for (kind, period) in rates {
        runtime.spawn(change(Arc::clone(&changing), kind, period));
    }
    Ok(port)
}

/// Changes one object of a kind after another; a pod goes through its four states before the next does.
async fn change(fleet: Arc<Fleet>, kind: Kind, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let count = kind.count(&fleet.size).max(1);
    for turn in 0_u32.. {
        ticks.tick().await;
        let number = match kind {
            Kind::Pods => turn / 4 % count,
            // Not neighbours: one service's slices do not all change at once.
            _ => (u64::from(turn) * 7919 % u64::from(count)) as u32,
        };
        fleet.change(kind, number);
    }
}
