//! What the API tells and the daemon changes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use sentinel_common::signature::Signatures;
use sentinel_common::verdict::{COUNTERS, Mode};

use crate::attribution::node::Source;
use crate::attribution::pods::Directory;
use crate::audit::Audits;
use crate::datapath::pin::Pinned;
use crate::datapath::{Attachment, Datapath, DatapathError, PolicyImage};
use crate::event::line::SignatureFigures;
use crate::event::node::Node;
use crate::export::metrics::Metrics;
use crate::feed::{Feed, FeedSet};
use crate::lookups::Lookups;
use crate::policy::{Judge, Pattern, PolicySet};
use crate::watch::clock;
use crate::watch::wires::Coverage;

use super::Whereabouts;
use super::in_force::InForce;
use super::remarks::{Remark, Remarks};
use super::status::{AtStart, HookFigures, KubernetesFigures, LearnedFigures, RuntimeFigures};
use crate::watch::ages::Ages;

/// What the agent says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// When it started, RFC 3339.
    pub started: String,
    /// The most that is done about anything.
    pub mode: Mode,
    /// What a mining-pool message leads to.
    pub stratum: Mode,
    /// What a connection that behaves like a miner's leads to.
    pub encrypted_mining: Mode,
    /// What a destination outside the allowlist leads to.
    pub egress: Mode,
    /// Prefixes in the allowlist.
    pub prefixes: usize,
    /// Policy files.
    pub policies: Vec<String>,
    /// What they come to, one by one.
    pub in_force: Vec<InForce>,
    /// What was wrong with the last policy, when it was refused.
    pub policy_error: Option<String>,
    /// What whoever runs it should know of settings, policies and this host.
    pub warnings: Vec<String>,
    /// What a mining pool's name or address leads to.
    pub names: Mode,
    /// The feeds.
    pub feeds: Vec<Feed>,
    /// The signature set.
    pub signatures: SignatureFigures,
    /// What was wrong with the last signatures, when they were refused.
    pub signature_error: Option<String>,
    /// What is known of policies' names; `None` while there are none.
    pub learned: Option<LearnedFigures>,
    /// The container runtimes that are asked.
    pub runtimes: Vec<RuntimeFigures>,
    /// The Kubernetes API server, where it is asked.
    pub kubernetes: Option<KubernetesFigures>,
    /// What was open at the start; `None` until it has been looked at.
    pub at_start: Option<AtStart>,
    /// How far workloads are judged.
    pub coverage: Vec<Coverage>,
    /// What is wrong with the hooks, and who else is on them.
    pub hooks: HookFigures,
}

/// What is attached, where, and what is in force: kept here, so that whoever asks need not wait for
/// the datapath, which writes for seconds where a feed is large.
#[derive(Clone, Debug, Default)]
pub struct Attached {
    /// One entry for each attached program.
    pub programs: Vec<Attachment>,
    /// The cgroup2 directory under which everything is judged.
    pub cgroup: String,
    /// Number of the policy in force.
    pub generation: u32,
    /// What stays when the agent goes.
    pub pinned: Option<Pinned>,
}

/// The parts of the agent that more than one task looks at.
pub struct Shared {
    datapath: Mutex<Option<Box<dyn Datapath>>>,
    attached: Mutex<Attached>,
    about: Mutex<About>,
    /// Why the agent is not ready; `None` when it is.
    not_ready: Mutex<Option<String>>,
    /// The kernel's totals at the last look.
    totals: Mutex<Vec<u64>>,
    /// Who says what would become of a connection today.
    judge: Mutex<Arc<dyn Judge>>,
    /// What was found on single sockets.
    remarks: Mutex<Remarks>,
    /// Since when connections are open.
    ages: Mutex<Ages>,
    metrics: Metrics,
    audits: Audits,
    lookups: Lookups,
    pods: Directory,
    node: Whereabouts,
}

impl Shared {
    /// Not ready yet.
    #[must_use]
    pub fn new(
        datapath: Box<dyn Datapath>,
        about: About,
        judge: Arc<dyn Judge>,
        metrics: Metrics,
        pods: Directory,
    ) -> Self {
        let attached = Attached {
            programs: datapath.attachments(),
            cgroup: datapath.cgroup().display().to_string(),
            generation: datapath.generation(),
            pinned: datapath.pinned(),
        };
        Self {
            datapath: Mutex::new(Some(datapath)),
            attached: Mutex::new(attached),
            about: Mutex::new(about),
            not_ready: Mutex::new(Some("starting".to_owned())),
            totals: Mutex::new(vec![0; COUNTERS]),
            judge: Mutex::new(judge),
            remarks: Mutex::default(),
            ages: Mutex::default(),
            metrics,
            audits: Audits::default(),
            lookups: Lookups::default(),
            pods,
            node: Whereabouts::default(),
        }
    }

    /// The figures.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What enforcement would have blocked.
    #[must_use]
    pub const fn audits(&self) -> &Audits {
        &self.audits
    }

    /// Which names led where.
    #[must_use]
    pub const fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Which containers and pods there are.
    #[must_use]
    pub const fn pods(&self) -> &Directory {
        &self.pods
    }

    /// Which machine this is.
    #[must_use]
    pub const fn node(&self) -> &Whereabouts {
        &self.node
    }

    /// Takes what a source tells of this machine.
    pub fn learn_node(&self, source: Source, node: Node) {
        self.node.learn(source, node, |node| self.metrics.node().set(node));
    }

    /// These policies are in force from this generation on.
    pub fn audit(&self, set: &Arc<PolicySet>, cap: Mode, generation: u32) {
        let now = clock::now();
        let unix = i128::from(now.now) + now.monotonic_to_unix;
        if self.audits.applied(set, cap, generation, unix) {
            self.metrics.set_audited(set, cap);
        }
    }

    /// Who says what would become of a connection today.
    #[must_use]
    pub fn judge(&self) -> Arc<dyn Judge> {
        Arc::clone(&lock(&self.judge))
    }

    /// Has others ask someone else from now on.
    pub fn set_judge(&self, judge: Arc<dyn Judge>) {
        *lock(&self.judge) = judge;
    }

    /// Remembers something of a socket.
    pub fn remark(&self, cookie: u64, change: impl FnOnce(&mut Remark)) {
        lock(&self.remarks).change(cookie, change);
    }

    /// What is remembered of a socket.
    #[must_use]
    pub fn remark_of(&self, cookie: u64) -> Remark {
        lock(&self.remarks).of(cookie)
    }

    /// Since when connections are open.
    pub fn with_ages<T>(&self, ask: impl FnOnce(&mut Ages) -> T) -> T {
        ask(&mut lock(&self.ages))
    }

    /// What the agent says of itself now.
    #[must_use]
    pub fn about(&self) -> About {
        lock(&self.about).clone()
    }

    /// Changes what the agent says of itself.
    pub fn tell(&self, change: impl FnOnce(&mut About)) {
        change(&mut lock(&self.about));
    }

    /// Why the agent is not ready; `None` when it is.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let why = lock(&self.not_ready).clone();
        why.or_else(|| lock(&self.about).hooks.broken.first().cloned())
            .or_else(|| self.metrics.unattributed())
    }

    /// Says that it is ready, or why not.
    pub fn set_not_ready(&self, why: Option<&str>) {
        *lock(&self.not_ready) = why.map(str::to_owned);
    }

    /// Brings the kernel's totals into the figures and returns them. While a large feed is being
    /// written, which may take seconds, they are those of the last look: nobody waits for figures.
    pub fn refresh(&self) -> Vec<u64> {
        let datapath = match self.datapath.try_lock() {
            Ok(datapath) => datapath,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return lock(&self.totals).clone(),
        };
        match datapath.as_ref().map(|datapath| datapath.counters()) {
            Some(Ok(totals)) => {
                self.metrics.set_kernel(&totals);
                lock(&self.totals).clone_from(&totals);
                totals
            }
            Some(Err(error)) => {
                tracing::warn!("the kernel's counters cannot be read: {error}");
                vec![0; COUNTERS]
            }
            None => vec![0; COUNTERS],
        }
    }

    /// Puts feeds and a policy in force, both or neither; `before` are the feeds in force. `None`
    /// when the agent is detached already. Not for an async thread: a large feed takes seconds.
    ///
    /// # Errors
    /// When the kernel refuses either; what was before stays.
    pub fn apply(
        &self,
        policy: &Arc<PolicyImage>,
        feeds: &Arc<FeedSet>,
        before: &Arc<FeedSet>,
    ) -> Result<Option<u32>, DatapathError> {
        let mut datapath = lock(&self.datapath);
        let Some(datapath) = datapath.as_mut() else { return Ok(None) };
        datapath.set_feeds(feeds)?;
        match datapath.set_policy(policy) {
            Ok(generation) => {
                lock(&self.attached).generation = generation;
                Ok(Some(generation))
            }
            Err(error) => {
                if let Err(second) = datapath.set_feeds(before) {
                    tracing::error!("{second}");
                }
                Err(error)
            }
        }
    }

    /// Puts a signature set in force and returns its number. `None` when the agent is detached
    /// already. Waits for the kernel's programs.
    ///
    /// # Errors
    /// When the kernel refuses it; the one before stays.
    pub fn swap(&self, signatures: &Signatures) -> Result<Option<u32>, DatapathError> {
        let mut datapath = lock(&self.datapath);
        datapath.as_mut().map(|datapath| datapath.set_signatures(signatures)).transpose()
    }

    /// Asks the kernel something. `None` when the agent is detached already.
    pub fn with_datapath<T>(&self, ask: impl FnOnce(&mut dyn Datapath) -> T) -> Option<T> {
        lock(&self.datapath).as_mut().map(|datapath| ask(datapath.as_mut()))
    }

    /// The patterns that the kernel takes an address for; none once the agent is detached.
    #[must_use]
    pub fn learned(&self, address: IpAddr) -> Vec<Pattern> {
        match self.with_datapath(|datapath| datapath.learned(address)) {
            Some(Ok(patterns)) => patterns,
            Some(Err(error)) => {
                tracing::warn!("what names lead to cannot be read: {error}");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// What is attached, where, and the generation in force; nothing once the agent is detached.
    #[must_use]
    pub fn attached(&self) -> Attached {
        lock(&self.attached).clone()
    }

    /// Takes the programs out of the kernel.
    pub fn detach(&self) {
        lock(&self.datapath).take();
        *lock(&self.attached) = Attached::default();
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
