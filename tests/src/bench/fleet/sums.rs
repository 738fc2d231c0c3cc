//! What one node's figures come to for all of them.

use super::super::figure::Figure;
use super::Measured;
use super::size::Size;

const MEGABYTE: f64 = 1e6;
/// A kubelet renews its own Lease this often: what an API server of so many nodes bears already.
const KUBELET_RENEWS: f64 = 10.0;
/// How long all nodes take to ask again after a server was away: the agent's first wait is a second, its
/// last 30.
const RESTART: f64 = 30.0;
/// Seconds between two scrapes.
const SCRAPE: f64 = 30.0;

struct Rows(Vec<Figure>);

impl Rows {
    fn heading(&mut self, name: impl Into<String>) {
        self.0.push(Figure { name: name.into(), value: 0.0, unit: "", budget: None });
    }

    fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push(Figure { name: name.into(), value, unit, budget: None });
    }

    fn within(&mut self, name: impl Into<String>, value: f64, unit: &'static str, budget: f64) {
        self.0.push(Figure { name: name.into(), value, unit, budget: Some(budget) });
    }
}

pub(super) fn rows(
    size: &Size,
    alone: &Measured,
    follower: &Measured,
    leader: &Measured,
) -> Vec<Figure> {
    let mut rows = Rows(Vec::new());
    node(&mut rows, size, alone, follower);
    server(&mut rows, size, follower, leader);
    others(&mut rows, size, alone, follower);
    rows.0
}

fn node(rows: &mut Rows, size: &Size, alone: &Measured, it: &Measured) {
    let core = |it: &Measured| it.running_cpu / it.seconds * 100.0;
    rows.heading(format!(
        "one node of {} x {} pods, {} services, {} policies, {} slice changes/s, {} s",
        size.nodes, size.pods, size.services, size.policies, size.slice_changes, it.seconds
    ));
    rows.add("start: objects listed", it.start.list_bytes as f64 / MEGABYTE, "MB");
    rows.add("start: processor time, with loading the programs", it.start_cpu, "s");
    rows.add("events taken", it.running.events as f64 / it.seconds, "/s");
    rows.add("events received", it.running.event_bytes as f64 / it.seconds / 1e3, "kB/s");
    rows.add("processor without Kubernetes", core(alone), "% of a core");
    rows.within("processor", core(it), "% of a core", 1.0);
    rows.add("processor, a minute of fleet time", it.running_cpu / it.seconds * 60.0, "s");
    rows.add("memory without Kubernetes", alone.resident as f64 / MEGABYTE, "MB");
    rows.within("memory", it.resident as f64 / MEGABYTE, "MB", 100.0);
    // The chart's limit.
    rows.within("memory at most", it.peak as f64 / MEGABYTE, "MB", 512.0 * 1.048_576);
}

fn server(rows: &mut Rows, size: &Size, it: &Measured, leader: &Measured) {
    let nodes = f64::from(size.nodes);
    let rate = |count: u64| count as f64 / it.seconds;
    rows.heading("the API server, all nodes");
    rows.add("watches open", nodes * it.start.watches as f64, "watches");
    rows.within("sent to watches", nodes * rate(it.running.event_bytes) / MEGABYTE, "MB/s", 100.0);
    rows.add("lists when all nodes start", nodes * it.start.list_bytes as f64 / 1e9, "GB");
    let listed = nodes * it.start.list_bytes as f64 / RESTART / MEGABYTE;
    rows.add(format!("the same, over the {RESTART} s that they wait"), listed, "MB/s");
    let renewals = nodes / KUBELET_RENEWS;
    rows.within(
        "Leases written (kubelets: as the budget)",
        nodes * rate(it.running.lease_writes),
        "/s",
        renewals,
    );
    rows.within(
        "Leases read, by those that do not write for all",
        nodes * rate(it.running.lease_reads),
        "/s",
        50.0,
    );
    let by_leader = leader.running.lease_bytes as f64 / leader.seconds / MEGABYTE;
    rows.within("Leases listed, by the one that does", by_leader, "MB/s", 0.5);
    rows.add("statuses written by it", leader.running.status_writes as f64 / leader.seconds, "/s");
    rows.within("its processor", leader.running_cpu / leader.seconds * 100.0, "% of a core", 5.0);
    rows.within("its memory", leader.resident as f64 / MEGABYTE, "MB", 100.0);
}

fn others(rows: &mut Rows, size: &Size, alone: &Measured, it: &Measured) {
    let nodes = f64::from(size.nodes);
    rows.heading("Prometheus, all nodes");
    rows.add("series of a node without Kubernetes", alone.series as f64, "series");
    rows.add("series of a node", it.series as f64, "series");
    rows.within("series", nodes * it.series as f64 / 1e6, "million", 2.0);
    rows.add(format!("samples, scraped every {SCRAPE} s"), nodes * it.series as f64 / SCRAPE, "/s");
}
