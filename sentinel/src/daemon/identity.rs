//! Who is who: what the container runtimes and Kubernetes tell, brought to all that ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_common::verdict::Mode;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::cluster::ClusterView;
use super::node;
use super::objects::{PolicyObjects, remembered};
use super::peers::PeerTable;
use super::recheck;
use super::workloads::Workloads;
use crate::api::{RuntimeFigures, Shared};
use crate::attribution::peers::{self, Kinds, Peer, Peers};
use crate::attribution::pods::{Directory, KnownPods, Listing, Pods};
use crate::config::Config;
use crate::engine::{Fact, Input};
use crate::export::policy_status;
use crate::remembered::Remembered;
use crate::watch::cri::{CriError, Report, SOCKETS, follow};
use crate::watch::{clock, kubernetes};

/// Reports that may wait; a runtime is not asked again before its last one is taken.
const REPORTS: usize = 8;
/// What Kubernetes told that may wait; it is not read on before there is room.
const TOLD: usize = 256;

/// The questions to the runtimes: they end when this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    changed: watch::Sender<()>,
    /// Aborts its tasks when it goes.
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Says that a container came or went.
    pub(super) fn changed(&self) -> watch::Sender<()> {
        self.changed.clone()
    }
}

/// What is told of to others than the engine.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Of policies.
    pub(super) objects: Arc<PolicyObjects>,
    /// Of pods and services, for rules on workloads.
    pub(super) peers: Arc<PeerTable>,
}

impl Told {
    /// As the agent before knew it.
    pub(super) fn of(config: &Config) -> Self {
        let objects = PolicyObjects::new(&config.state_dir, remembered(config));
        let here = Pods::remembered(Remembered::pods(&config.state_dir).read());
        let peers = PeerTable::new(&config.state_dir, Kinds::of(&here));
        Self { objects: Arc::new(objects), peers: Arc::new(peers) }
    }
}

/// Asks these runtimes, or those that are found.
pub(super) fn start(
    shared: &Arc<Shared>,
    workloads: &Arc<Workloads>,
    inputs: &mpsc::Sender<Input>,
    brought_to: Told,
    config: &Config,
) -> Watch {
    let Told { objects, peers } = brought_to;
    let found = || SOCKETS.map(PathBuf::from).to_vec();
    let sockets = config.cri.as_deref();
    let (sockets, named) = sockets.map_or_else(|| (found(), false), |named| (named.to_vec(), true));
    let (changed, _) = watch::channel(());
    let (reports, received) = mpsc::channel(REPORTS);
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(follow(socket, changed.subscribe(), reports.clone()));
    }
    tasks.spawn(node::ask_metadata(Arc::clone(shared), config.node.clone()));
    let (told, tells) = mpsc::channel(TOLD);
    let settings = kubernetes::Settings::find(&config.kubernetes, |name| std::env::var(name).ok());
    let cluster = ClusterView::new(shared, inputs, settings.as_ref(), &objects);
    if let Some(settings) = settings {
        tasks.spawn(policy_status::tell(settings.clone(), Arc::clone(shared), objects));
        tasks.spawn(kubernetes::follow(settings, cluster.asked(), told));
    }
    let registry = Registry {
        shared: Arc::clone(shared),
        workloads: Arc::clone(workloads),
        inputs: inputs.clone(),
        named,
        listings: BTreeMap::new(),
        figures: BTreeMap::new(),
        cluster,
        peers,
        file: Remembered::pods(&config.state_dir),
        kept: KnownPods::default(),
        kept_of: Arc::default(),
        own: Own::default(),
    };
    tasks.spawn(registry.run(received, tells));
    Watch { changed, _tasks: tasks }
}

/// The pods that the agent before knew.
pub(super) fn remembered_pods(config: &Config) -> Directory {
    let pods = Directory::default();
    pods.set(Arc::new(Pods::remembered(Remembered::pods(&config.state_dir).read())));
    pods
}

struct Registry {
    shared: Arc<Shared>,
    workloads: Arc<Workloads>,
    inputs: mpsc::Sender<Input>,
    /// Someone said that these runtimes are there.
    named: bool,
    /// What each has told last: its containers run on while it is restarted.
    listings: BTreeMap<PathBuf, Listing>,
    figures: BTreeMap<PathBuf, RuntimeFigures>,
    cluster: ClusterView,
    peers: Arc<PeerTable>,
    /// For the next agent, and what it says.
    file: Remembered<KnownPods>,
    kept: KnownPods,
    /// The table that this was made of.
    kept_of: Arc<Pods>,
    own: Own,
}

/// This node's pods, as rules on workloads and policies tell them apart.
#[derive(Default)]
struct Own {
    peers: Vec<Arc<Peer>>,
    kinds: Kinds,
    /// The table that they were made of.
    of: Arc<Pods>,
}

impl Registry {
    async fn run(
        mut self,
        mut reports: mpsc::Receiver<Report>,
        mut tells: mpsc::Receiver<kubernetes::Report>,
    ) {
        loop {
            let mut is_news = false;
            tokio::select! {
                Some(report) = reports.recv() => {
                    self.shared.metrics().runtimes().count(report.calls);
                    self.note(report);
                    is_news = true;
                }
                Some(report) = tells.recv() => {
                    self.cluster.note(report);
                    // What comes with it is told with it: a list of thousands is not told one by one.
                    while let Ok(report) = tells.try_recv() {
                        self.cluster.note(report);
                    }
                }
                () = self.cluster.is_due() => {}
            }
            let other_services = self.cluster.publish().await;
            let other_pods = self.cluster.has_other_pods() || is_news;
            if other_pods {
                self.publish().await;
            }
            if other_pods || other_services {
                self.publish_peers();
                self.keep();
            }
            self.peers.refresh();
        }
    }

    /// Notes what a runtime tells, and says so where that is news.
    fn note(&mut self, report: Report) {
        let Report { socket, told, .. } = report;
        let before = self.figures.get(&socket).cloned().unwrap_or_default();
        let mut now = RuntimeFigures { socket: socket.display().to_string(), ..before.clone() };
        now.error = None;
        match told {
            Ok((runtime, listing)) => {
                let live = listing.values().filter(|one| one.live);
                let (containers, pods): (Vec<_>, Vec<_>) = live.partition(|one| one.name.is_some());
                (now.state, now.runtime) = ("answers", Some(runtime));
                (now.pods, now.containers) = (pods.len(), containers.len());
                self.listings.insert(socket.clone(), listing);
            }
            Err(CriError::Absent(_)) if !self.named && before.runtime.is_none() => {
                now.state = "absent";
            }
            Err(error) => (now.state, now.error) = ("fails", Some(error.to_string())),
        }
        if now.state != before.state {
            tell(&socket, &now);
        }
        self.figures.insert(socket, now);
    }

    /// Brings the table to everyone, where it says anything new.
    async fn publish(&self) {
        let figures: Vec<RuntimeFigures> = self.figures.values().cloned().collect();
        let answering = figures.iter().filter(|one| one.state == "answers").count();
        self.shared.tell(|about| about.runtimes = figures);
        let listings: Vec<Listing> = self.listings.values().cloned().collect();
        let before = self.shared.pods().now();
        let listings = self.cluster.join(&listings);
        let (pods, left_out) = Pods::listed(&listings, &before, clock::now().now);
        self.shared.metrics().runtimes().set(answering, pods.counts());
        if pods.says_the_same(&before) {
            return;
        }
        if left_out > 0 {
            self.shared.metrics().lost_many("pods", left_out as u64);
            tracing::warn!("{left_out} containers find no room: their events name no pod");
        }
        let pods = Arc::new(pods);
        self.shared.pods().set(Arc::clone(&pods));
        self.bind(&pods).await;
        if self.inputs.send(Input::Fact(Fact::Pods(pods))).await.is_err() {
            tracing::debug!("the agent ended before its pods were told");
        }
    }

    /// Says whom rules on workloads may mean. Until everyone that is asked has told of all, those that the
    /// agent before knew may be there still.
    fn publish_peers(&mut self) {
        let pods = self.shared.pods().now();
        // Services change far more often than pods do.
        if !Arc::ptr_eq(&pods, &self.own.of) {
            let (peers, kinds) = (peers::of_pods(&pods), Kinds::of(&pods));
            self.own = Own { peers, kinds, of: pods };
        }
        let known = Peers::of(&self.own.peers, self.cluster.peers());
        self.peers.set(&known, &self.own.kinds, self.is_complete());
    }

    /// Has the next agent begin with these pods. Until everyone has told of all, the file says more.
    fn keep(&mut self) {
        let pods = self.shared.pods().now();
        if !self.is_complete() || Arc::ptr_eq(&pods, &self.kept_of) {
            return;
        }
        let known = pods.known();
        if known != self.kept {
            self.file.write(&known);
            self.kept = known;
        }
        self.kept_of = pods;
    }

    /// Whether everyone that is asked has told of all.
    fn is_complete(&self) -> bool {
        let has_told = |one: &RuntimeFigures| one.state != "fails" || one.runtime.is_some();
        let runtimes = !self.listings.is_empty() && self.figures.values().all(has_told);
        self.cluster.is_complete(runtimes)
    }

    /// Has the policies on pods follow them. What a pod opened before its policies were known is looked
    /// through once they are.
    async fn bind(&self, pods: &Arc<Pods>) {
        let (shared, workloads) = (Arc::clone(&self.shared), Arc::clone(&self.workloads));
        let pods = Arc::clone(pods);
        // A large policy may be on its way to the kernel, and is waited for.
        let bound = spawn_blocking(move || workloads.know(&shared, &pods)).await;
        if bound.unwrap_or_default() > 0 && self.shared.about().mode == Mode::Enforce {
            recheck::start(&self.shared, &self.inputs);
        }
    }
}

fn tell(socket: &Path, now: &RuntimeFigures) {
    let socket = socket.display();
    match (&now.error, &now.runtime) {
        (Some(error), _) => tracing::warn!(
            "the container runtime at {socket} does not tell which pods there are: {error}"
        ),
        (None, Some(runtime)) if now.state == "answers" => {
            tracing::info!("{runtime} at {socket} tells of {} pods", now.pods);
        }
        (None, _) => {}
    }
}
