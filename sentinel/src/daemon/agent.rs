//! The running agent: its tasks, how it takes a new policy, how it ends. Knows no terminal, no
//! signals and no kernel, so that a test can run one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sentinel_common::verdict::{Loss, Mode, loss_counter};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::RunError;
use super::identity::Told;
use super::learning::Sources;
use super::prepare::{Prepared, PreparedPolicy, figures, names, policy_rules};
use super::reader::{Records, read};
use super::workloads::{self, Workloads};
use super::{identity, learning, node, processes, sampler, survey, vigil, wires};
use crate::api::{About, HookFigures, Servers, Shared, Status, in_force};
use crate::attribution::pods::{Directory, Pods};
use crate::config::Config;
use crate::datapath::Datapath;
use crate::engine::{Fact, Input, Names, SignatureSet, State, step};
use crate::event::line::SignatureFigures;
use crate::executor::Executor;
use crate::export::metrics::Metrics;
use crate::export::writer::Outputs;
use crate::policy::{ByPolicy, Judge};
use crate::signature::Sets;
use crate::watch::clock;

/// Inputs that may wait for the engine. A reader that finds no room waits, and the ring counts what
/// it cannot hold.
const INPUTS: usize = 4096;
/// How often the engine looks at its deadlines.
const TICK: Duration = Duration::from_millis(50);
/// How often the kernel's losses are looked at.
const LOSSES: Duration = Duration::from_secs(5);
/// How long the last events may wait for their answers.
const DRAIN: Duration = Duration::from_millis(400);
/// How long the last lines may take to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// What an agent is made of.
pub struct Parts<R> {
    /// The kernel, or what stands in for it.
    pub datapath: Box<dyn Datapath>,
    /// Where events come from.
    pub records: R,
    /// Settings.
    pub config: Config,
    /// The first policy.
    pub prepared: Prepared,
    /// Where events go.
    pub outputs: Outputs,
}

/// A running agent.
pub struct Agent {
    pub(super) shared: Arc<Shared>,
    pub(super) config: Config,
    /// What the numbers in force stand for.
    pub(super) names: Names,
    /// The policies in force.
    pub(super) policy: PreparedPolicy,
    /// Which policies are on which cgroup.
    pub(super) workloads: Arc<Workloads>,
    /// What is told of policies and pods.
    pub(super) told: Told,
    /// The signature sets that events may still be of.
    pub(super) sets: Sets,
    pub(super) inputs: mpsc::Sender<Input>,
    waiting: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    reader: JoinHandle<()>,
    engine: JoinHandle<()>,
    servers: Servers,
    /// Ends the looks at wires, at hooks and at connections when it is dropped.
    threads: [std::sync::mpsc::Sender<()>; 3],
    /// Has new servers believed; ends the thread that looks after them when it is dropped.
    pub(super) learning: std::sync::mpsc::Sender<Sources>,
    /// Ends the watch over cgroups when it is dropped.
    watcher: workloads::Watcher,
    /// Ends the questions to runtimes when it is dropped.
    identity: identity::Watch,
    /// Ends the news of processes, likewise.
    processes: std::sync::mpsc::Sender<()>,
}

/// What an agent did, for its last line.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The last status.
    pub status: Status,
}

impl Agent {
    /// Puts the signatures and the first policy in force and starts all tasks.
    ///
    /// # Errors
    /// When something cannot be had; what was attached is detached again.
    pub async fn start<R: Records>(parts: Parts<R>) -> Result<Self, RunError> {
        let Parts { mut datapath, mut records, config, prepared, outputs } = parts;
        let now = clock::now();
        let metrics = Metrics::new((now.unix() / 1_000_000) as f64 / 1000.0)?;
        let Prepared { policy, signatures } = prepared;
        let number = datapath.set_signatures(&signatures.compiled.signatures)?;
        datapath.set_feeds(&policy.feeds)?;
        let pods = identity::remembered_pods(&config);
        let workloads = Arc::new(Workloads::of(datapath.cgroup(), &pods.now()));
        let plan = workloads.plan(&policy, &config);
        let generation = datapath.set_policy(&plan.image)?;
        let numbers = plan.numbers().to_vec();
        workloads.applied(plan);
        let about = about(&config, &policy, now.rfc3339(), figures(number, &signatures));
        let set = about.signatures.clone();
        count(&metrics, &set, generation, &policy);
        let since = datapath.pinned().filter(|it| it.taken_over).map_or(0, |_| generation);
        let judge = judge(&policy, numbers.clone(), config.mode, pods.clone());
        let shared = Arc::new(Shared::new(datapath, about, judge, metrics.clone(), pods));
        shared.audit(&policy.set, config.mode, generation);
        let servers = Servers::start(&shared, &config.state_dir, config.listen).await?;

        let (inputs, received) = mpsc::channel(INPUTS);
        node::learn(&shared, &config);
        let executor = Executor::start(outputs, &shared, inputs.clone())?;
        let sets = Sets::default();
        let names = first_names(names(number, &signatures.compiled), &policy, &numbers, since);
        sets.push(number, signatures.compiled);
        tell(&inputs, shared.pods().now(), &names, (generation, set)).await;
        let (stop, stopped) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let processes = processes::start(records.processes(), &shared, &inputs)?;
        let reading = read(records, inputs.clone(), Arc::clone(&shared), sets.clone(), stopped);
        let reader = tokio::spawn(reading);
        let drive = Drive { shared: Arc::clone(&shared), waiting: Arc::clone(&waiting), executor };
        let engine = tokio::spawn(drive.run(received));
        survey::start(&shared, &inputs)?;
        workloads::prepare_next(&shared);
        let scoring = &config.encrypted_mining;
        let sampler = sampler::start(&shared, &inputs, scoring.settings.clone(), scoring.interval)?;
        let threads = [wires::start(&shared)?, vigil::start(&shared, &inputs)?, sampler];
        let learning = learning::start(&shared, &config)?;
        let told = Told::of(&config);
        let identity = identity::start(&shared, &workloads, &inputs, told.clone(), &config);
        let watcher = workloads::watch(&shared, &workloads, identity.changed())?;
        shared.set_not_ready(None);
        warn(&policy.warnings);
        Ok(Self {
            shared,
            config,
            names,
            policy,
            workloads,
            told,
            sets,
            inputs,
            waiting,
            stop,
            reader,
            engine,
            servers,
            threads,
            learning,
            watcher,
            identity,
            processes,
        })
    }

    /// The address that figures are served on.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.servers.address
    }

    /// How long until the next policy ends.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        let left = self.policy.set.next_expiry? - OffsetDateTime::from(SystemTime::now());
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// Changes of the policies that are objects.
    #[must_use]
    pub fn object_changes(&self) -> watch::Receiver<()> {
        self.told.objects.changes()
    }

    /// Changes of the pods that rules on workloads may mean.
    #[must_use]
    pub fn peer_changes(&self) -> watch::Receiver<()> {
        self.told.peers.changes()
    }

    /// The agent at a glance.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::of(&self.shared)
    }

    pub(super) async fn send(&self, input: Input) {
        if self.inputs.send(input).await.is_err() {
            tracing::error!("the engine has ended: restart the agent");
        }
    }

    /// Detaches, lets the last events out, and ends.
    pub async fn stop(self) -> Summary {
        let summary = Summary { status: self.status() };
        self.shared.set_not_ready(Some("stopping"));
        drop((self.threads, self.learning, self.watcher, self.identity));
        self.shared.detach();
        self.stop.send_replace(true);
        if self.reader.await.is_err() {
            tracing::error!("the ring's reader has failed");
        }
        // The last events wait for the last news.
        let processes = self.processes;
        let settled = async {
            // The engine is behind its queue by at least one look.
            loop {
                tokio::time::sleep(TICK).await;
                if self.waiting.load(Ordering::Acquire) == 0 && self.inputs.capacity() == INPUTS {
                    break;
                }
            }
        };
        timeout(DRAIN, settled).await.ok();
        drop(processes);
        self.inputs.send(Input::Finish).await.ok();
        if timeout(FLUSH, self.engine).await.is_err() {
            tracing::warn!("the last events could not be written: the output takes none");
        }
        summary
    }
}

/// Tells the engine what it is to know before the first event.
async fn tell(
    inputs: &mpsc::Sender<Input>,
    pods: Arc<Pods>,
    names: &Names,
    (generation, set): (u32, SignatureFigures),
) {
    let pods = Input::Fact(Fact::Pods(pods));
    let applied = Input::Applied(Box::new(names.clone()), generation);
    for input in [pods, applied, Input::Signatures(Box::new(names.clone()), set)] {
        // It has just been started: where it is gone, whoever sends next says so.
        inputs.send(input).await.ok();
    }
}

/// The names at the start; the numbers of policies are this agent's from a generation on.
fn first_names(
    signatures: SignatureSet,
    policy: &PreparedPolicy,
    numbers: &[u16],
    since: u32,
) -> Names {
    let policies = Arc::new(policy_rules(&policy.set, numbers));
    Names { signatures: vec![signatures], policies, since, feeds: Arc::clone(&policy.feeds) }
}

/// What an agent with these settings says of itself at its start.
fn about(
    config: &Config,
    policy: &PreparedPolicy,
    started: String,
    signatures: SignatureFigures,
) -> About {
    About {
        started,
        mode: config.mode,
        stratum: policy.modes.stratum,
        encrypted_mining: config.capped(config.encrypted_mining.mode),
        egress: policy.modes.egress,
        prefixes: policy.set.prefixes(),
        policies: policy_names(config),
        in_force: in_force(&policy.set, config.mode),
        policy_error: None,
        warnings: policy.warnings.clone(),
        names: policy.modes.names,
        feeds: policy.feeds.feeds().to_vec(),
        signatures,
        signature_error: None,
        learned: None,
        runtimes: Vec::new(),
        kubernetes: None,
        at_start: None,
        coverage: Vec::new(),
        hooks: HookFigures::default(),
    }
}

/// The task that owns the engine's state.
struct Drive {
    shared: Arc<Shared>,
    waiting: Arc<AtomicUsize>,
    executor: Executor,
}

impl Drive {
    async fn run(self, mut inputs: mpsc::Receiver<Input>) {
        let mut state = State::default();
        if self.shared.attached().pinned.is_some_and(|pinned| pinned.taken_over) {
            state.set_known(losses_of(&self.shared.refresh()));
        }
        let mut tick = interval(TICK);
        let mut losses = interval(LOSSES);
        for timer in [&mut tick, &mut losses] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let input = tokio::select! {
                input = inputs.recv() => input.unwrap_or(Input::Finish),
                _ = tick.tick() => Input::Tick,
                _ = losses.tick() => Input::Losses(losses_of(&self.shared.refresh())),
            };
            let is_last = matches!(input, Input::Finish);
            self.feed(&mut state, input);
            self.waiting.store(state.pending(), Ordering::Release);
            self.shared.metrics().set_pending(state.pending());
            if is_last {
                break;
            }
        }
        drop(inputs);
        if tokio::task::spawn_blocking(|| self.executor.close()).await.is_err() {
            tracing::error!("the last events could not be written");
        }
    }

    /// One input, and what its actions answer at once.
    fn feed(&self, state: &mut State, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in step(state, clock::now(), input) {
                inputs.extend(self.executor.perform(action).map(Input::Fact));
            }
        }
    }
}

fn losses_of(totals: &[u64]) -> [u64; Loss::COUNT] {
    let mut losses = [0; Loss::COUNT];
    for (slot, loss) in losses.iter_mut().zip(Loss::ALL) {
        let index = usize::try_from(loss_counter(*loss)).unwrap_or(usize::MAX);
        *slot = totals.get(index).copied().unwrap_or_default();
    }
    losses
}

/// Who is asked what would become of a connection under these policies.
pub(super) fn judge(
    policy: &PreparedPolicy,
    numbers: Vec<u16>,
    cap: Mode,
    pods: Directory,
) -> Arc<dyn Judge> {
    let judge = ByPolicy::new(Arc::clone(&policy.set), numbers, cap, Arc::clone(&policy.feeds));
    Arc::new(judge.with_pods(pods))
}

pub(super) fn policy_names(config: &Config) -> Vec<String> {
    config.policies.iter().map(|path| path.display().to_string()).collect()
}

/// What is in force from the start.
fn count(metrics: &Metrics, set: &SignatureFigures, generation: u32, policy: &PreparedPolicy) {
    metrics.set_signatures(set);
    metrics.set_generation(generation);
    metrics.set_feeds(policy.feeds.tally());
}

/// Whether all that only counts at the start is as it was.
pub(super) fn same_wiring(before: &Config, now: &Config) -> bool {
    let Config { cgroup, cri, kubernetes, node, pin, listen, events, state_dir, log_level, .. } =
        now;
    let scoring = &now.encrypted_mining;
    before.encrypted_mining.settings == scoring.settings
        && before.refuse_raw == now.refuse_raw
        && before.encrypted_mining.interval == scoring.interval
        && (&before.cgroup, &before.listen, &before.events) == (cgroup, listen, events)
        && (&before.cri, &before.kubernetes, &before.node) == (cri, kubernetes, node)
        && (&before.state_dir, &before.log_level, &before.pin) == (state_dir, log_level, pin)
}

pub(super) fn warn(warnings: &[String]) {
    for text in warnings {
        tracing::warn!("{text}");
    }
}
