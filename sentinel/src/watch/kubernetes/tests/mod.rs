//! An API server that is away for an hour, which passes while nobody waits: the clock stands unless there is
//! nothing else to do. The agent's client asks, down to where a request would go out; only the wire is made up.

mod server;

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::attribution::cluster::Cluster;
use server::Server;

const SECOND: Duration = Duration::from_secs(1);
/// The longest wait, give or take a quarter, and the list that is needed anew.
const RECOVERED: Duration = Duration::from_secs(41);

/// A node's agent, as far as it asks: what it was told is kept as the agent keeps it.
struct Node {
    reports: mpsc::Receiver<Report>,
    cluster: Cluster,
    failures: usize,
    task: JoinHandle<()>,
    _asked: watch::Sender<Asked>,
}

impl Node {
    fn start(server: &Server) -> Self {
        let (sender, asked) = watch::channel(Asked::default());
        let (reports, received) = mpsc::channel(4096);
        let client = server.client();
        let settings = Settings { node: "node-0".into(), kubeconfig: None, services: true };
        let task =
            tokio::spawn(async move { follow_at(&client, &settings, &asked, &reports).await });
        let cluster = Cluster::default();
        Self { reports: received, cluster, failures: 0, task, _asked: sender }
    }

    /// Takes what was told so far; how many reports told something.
    fn take(&mut self) -> usize {
        let mut told = 0;
        while let Ok(report) = self.reports.try_recv() {
            match report.told {
                Ok(Some(Told::Cluster(it))) => {
                    told += 1;
                    assert_eq!(self.cluster.take(it), 0);
                }
                Ok(_) => {}
                Err(_) => self.failures += 1,
            }
        }
        told
    }

    fn pods(&self) -> usize {
        self.cluster.counts().0
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets the clock run in steps, and takes what is told meanwhile, which no queue holds for an hour.
async fn pass(time: Duration, nodes: &mut [Node]) -> usize {
    let (until, mut told) = (Instant::now() + time, 0);
    while Instant::now() < until {
        sleep(SECOND).await;
        told += nodes.iter_mut().map(Node::take).sum::<usize>();
    }
    told
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_a_server_is_asked_through_seldom_and_forgets_nothing() {
    let server = Server::default();
    server.set_pods(3);
    let mut nodes = [Node::start(&server)];
    // Longer than a watch lasts: that one ends is no failure.
    pass(600 * SECOND, &mut nodes).await;
    assert_eq!((nodes[0].pods(), nodes[0].failures), (3, 0));
    let lists = server.lists("/api/v1/pods");
    assert_eq!(lists, 1, "a watch goes on where the one before ended");

    server.leave();
    let left = Instant::now();
    let told = pass(3600 * SECOND, &mut nodes).await;
    assert_eq!((told, nodes[0].pods()), (0, 3), "what was told last is what is known");
    for path in server::WATCHED {
        let asked = server.asked(path, left);
        // 1, 2, 4, 8 and 16 s, then 30 s, all give or take a quarter.
        assert!((96..=168).contains(&asked.len()), "{path}: {} times in an hour", asked.len());
    }
    assert!(nodes[0].failures >= 96 * server::WATCHED.len(), "each failure is reported");

    server.set_pods(5);
    server.forget();
    server.come_back();
    let back = Instant::now();
    while nodes[0].pods() != 5 {
        assert!(back.elapsed() < RECOVERED, "not heard of after {:?}", back.elapsed());
        pass(SECOND, &mut nodes).await;
    }
    pass(RECOVERED, &mut nodes).await;
    let failures = nodes[0].failures;
    pass(600 * SECOND, &mut nodes).await;
    assert_eq!(nodes[0].failures, failures, "it is asked as before");
    let since = server.asked("/api/v1/pods", back).len();
    assert!(since <= 8, "{since} questions in ten minutes after its return");
}

#[tokio::test(start_paused = true)]
async fn many_nodes_do_not_ask_at_one_moment() {
    const NODES: usize = 20;
    let server = Server::default();
    let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::start(&server)).collect();
    pass(30 * SECOND, &mut nodes).await;
    server.leave();
    let left = Instant::now();
    pass(3600 * SECOND, &mut nodes).await;
    let asked = server.asked("/api/v1/pods", left);
    let settled = |at: &&Instant| at.duration_since(left) >= 60 * SECOND;
    let mut by_second = std::collections::BTreeMap::<u64, usize>::new();
    for at in asked.iter().filter(settled) {
        *by_second.entry(at.duration_since(left).as_secs()).or_default() += 1;
    }
    let most = by_second.values().copied().max().unwrap_or_default();
    // Two in three seconds, were they spread evenly.
    assert!((1..=NODES / 2).contains(&most), "{most} of {NODES} nodes in one second");
    assert!(by_second.len() > 1200, "asked in {} seconds of 3540", by_second.len());
}
