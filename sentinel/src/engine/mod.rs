//! The one place where state changes: `step(state, clock, input) -> actions`, without I/O, so that
//! the same inputs at the same times give the same actions.

mod audit;
mod compose;
mod explain;
mod hooks;
mod limiter;
mod losses;
mod names;
mod naming;
mod pending;
mod survey;
mod suspicion;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use sentinel_common::event::Kind;
use sentinel_common::policy::TCP;
use sentinel_common::verdict::{Loss, Reason, Verdict};

pub(crate) use compose::{described, workload_of};
pub use compose::{protocol, rfc3339};
pub use names::{Names, PolicyRules, SignatureRule, SignatureSet};
pub use survey::{Found, LINES, Survey};
pub use suspicion::Suspect;

use crate::action::{Action, Count, EventId, Outcome};
use crate::attribution::pods::Pods;
use crate::attribution::processes::{Batch, Processes};
use crate::attribution::services::Services;
use crate::attribution::{Attribution, Socket};
use crate::event::KernelEvent;
use crate::event::hook::Inspection;
use crate::event::line::{self, Line, Missing};
use crate::event::word::Word;
use crate::feed::FeedSet;
use explain::{finish, go_on};
use hooks::Hooks;
use limiter::{Closed, Key, Limiter};
use naming::{named, tell};
use pending::{Awaits, Entry, Pending, Stage};
use versions::{policy, signatures};

/// Events that may wait for an answer at a time.
pub const PENDING: usize = 4096;
/// How long an event waits for its process, nanoseconds.
pub const WAIT: u64 = 200_000_000;
/// How long it waits where the process must first be searched for, nanoseconds.
pub const WAIT_SEARCH: u64 = 1_000_000_000;

/// How long it waits, when all else is known, for a runtime to tell of its pod, nanoseconds.
pub const WAIT_POD: u64 = 1_000_000_000;

/// The time, as an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub now: u64,
    /// What to add to `CLOCK_MONOTONIC` for Unix time, nanoseconds.
    pub monotonic_to_unix: i128,
    /// What to add to `CLOCK_BOOTTIME` for Unix time, nanoseconds.
    pub boot_to_unix: i128,
}

impl Clock {
    /// Unix time, nanoseconds.
    #[must_use]
    pub fn unix(self) -> i128 {
        i128::from(self.now) + self.monotonic_to_unix
    }

    /// The time as a journal line tells it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        rfc3339(self.unix())
    }
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Input {
    /// The kernel saw something.
    Event(Box<KernelEvent>),
    /// An answer to an action.
    Fact(Fact),
    /// News of processes.
    Processes(Box<Batch>),
    /// Time has passed.
    Tick,
    /// Totals of the kernel's losses since it was loaded.
    Losses([u64; Loss::COUNT]),
    /// These feeds are being written into the kernel: an event may name an entry of theirs already.
    Incoming(Arc<FeedSet>),
    /// A policy came into force with these names, at this generation.
    Applied(Box<Names>, u32),
    /// A policy was refused; the generation that stays, and why.
    Refused(u32, String),
    /// These names are needed from now on.
    Names(Box<Names>),
    /// A signature set came into force with these names.
    Signatures(Box<Names>, line::SignatureFigures),
    /// A signature set was refused; the one that stays, and why.
    SignaturesRefused(line::SignatureFigures, String),
    /// What was open when the agent started.
    Survey(Box<Survey>),
    /// A connection behaves like a miner's.
    Suspicion(Box<Suspect>),
    /// A look at the hooks is over.
    Hooks(Box<Inspection>),
    /// The journal's file was moved away.
    Reopen,
    /// No more events come: let everything go that waits.
    Finish,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// To [`Action::Resolve`].
    Maker(EventId, Attribution),
    /// To [`Action::DestroySocket`].
    Countermeasure(EventId, Outcome),
    /// Which containers and pods there are from now on.
    Pods(Arc<Pods>),
    /// Which Kubernetes services addresses are of from now on.
    Services(Arc<Services>),
}

/// All that the engine remembers.
#[derive(Debug, Default)]
pub struct State {
    names: Names,
    pods: Arc<Pods>,
    services: Arc<Services>,
    /// The generation that `names` belong to.
    generation: u32,
    /// Feeds that may be in the kernel and are not in `names` yet.
    incoming: Option<Arc<FeedSet>>,
    processes: Processes,
    pending: Pending,
    limiter: Limiter,
    losses: [u64; Loss::COUNT],
    hooks: Hooks,
    /// Suspected connections whose sockets are being destroyed.
    suspects: BTreeMap<EventId, Suspect>,
    next: u64,
}

impl State {
    /// Events that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len() + self.suspects.len()
    }

    fn next_id(&mut self) -> EventId {
        self.next += 1;
        EventId(self.next)
    }
}

/// Takes one input.
pub fn step(state: &mut State, clock: Clock, input: Input) -> Vec<Action> {
    let mut actions = Vec::new();
    match input {
        Input::Event(event) => observe(state, clock, event, &mut actions),
        Input::Fact(Fact::Maker(id, found)) => made_by(state, clock, id, found, &mut actions),
        Input::Fact(Fact::Countermeasure(id, outcome)) => {
            actions.push(Action::Count(Count::Countermeasure(outcome.clone())));
            if let Some(suspect) = state.suspects.remove(&id) {
                actions.push(suspicion::tell(&state.pods, clock, &suspect, Some(&outcome)));
            } else if let Some(mut entry) = state.pending.remove(id) {
                entry.outcome = Some(outcome);
                finish(state, clock, entry, &mut actions);
            }
        }
        Input::Fact(Fact::Pods(pods)) => named(state, clock, pods, &mut actions),
        Input::Fact(Fact::Services(services)) => state.services = services,
        Input::Processes(batch) => explain::take(state, clock, *batch, &mut actions),
        Input::Tick => tick(state, clock, &mut actions),
        Input::Losses(totals) => losses::lost(state, clock, totals, &mut actions),
        Input::Incoming(feeds) => state.incoming = Some(feeds),
        Input::Applied(names, generation) => {
            (state.names, state.generation, state.incoming) = (*names, generation, None);
            actions.push(policy(clock, line::PolicyResult::Applied, generation, None));
        }
        Input::Refused(generation, why) => {
            state.incoming = None;
            actions.push(policy(clock, line::PolicyResult::Refused, generation, Some(why)));
        }
        Input::Names(names) => state.names = *names,
        Input::Signatures(names, figures) => {
            state.names = *names;
            actions.push(signatures(clock, line::PolicyResult::Applied, figures, None));
        }
        Input::SignaturesRefused(figures, why) => {
            actions.push(signatures(clock, line::PolicyResult::Refused, figures, Some(why)));
        }
        Input::Survey(survey) => {
            survey::report((&state.names, &state.pods), clock, *survey, &mut actions);
        }
        Input::Suspicion(found) => suspicion::suspect(state, clock, *found, &mut actions),
        Input::Hooks(found) => hooks::inspected(state, clock, *found, &mut actions),
        Input::Reopen => actions.push(Action::ReopenJournal),
        Input::Finish => drain(state, clock, &mut actions),
    }
    actions
}

fn observe(state: &mut State, clock: Clock, event: Box<KernelEvent>, actions: &mut Vec<Action>) {
    let (kind, verdict) = (event.kind, event.verdict);
    actions.push(Action::Count(Count::Event { kind, verdict }));
    if is_collision(state, &event) {
        actions.push(Action::Count(Count::NameCollision));
        return;
    }
    // Before the limiter: what is not written is counted too.
    audit::hit(&state.names, clock, &event, actions);
    let admitted = state.limiter.admit(Key::of(&event), clock.now);
    if admitted.overflowed {
        actions.push(Action::Count(Count::LimiterOverflow));
    }
    close(clock, admitted.closed, actions);
    if !admitted.journal {
        actions.push(Action::Count(Count::Suppressed));
    }
    let destroy = wants_destruction(&event);
    if !admitted.journal && !destroy {
        return;
    }
    let wait = if event.owner.is_some() { WAIT } else { WAIT_SEARCH };
    let mut entry = Entry {
        id: state.next_id(),
        journal: admitted.journal,
        stage: if destroy { Stage::ResolveThenDestroy } else { Stage::Resolve },
        deadline: clock.now.saturating_add(wait),
        found: Attribution::missing(Missing::Overflow),
        awaits: Awaits::Answers,
        outcome: None,
        event,
    };
    if state.pending.len() >= PENDING {
        actions.push(Action::Count(Count::PendingOverflow));
        if destroy {
            actions.push(destruction(&entry));
        }
        explain::explain(&state.processes, &mut entry);
        tell(state, clock, entry, actions);
        return;
    }
    actions.push(Action::Resolve {
        id: entry.id,
        owner: entry.event.owner.clone(),
        cgroup: entry.event.cgroup,
        socket: socket(&entry.event),
    });
    state.pending.insert(entry);
}

/// A hash is no proof: of a name that went on, and that no feed in force names, nothing is told. An
/// event of another generation was judged by feeds that are gone.
fn is_collision(state: &State, event: &KernelEvent) -> bool {
    let Some(name) = event.name.as_deref() else { return false };
    event.reason == Reason::PoolName
        && event.verdict != Verdict::Blocked
        && event.generation == state.generation
        && state.names.domain(name).is_none()
        && state.incoming.as_ref().is_none_or(|feeds| feeds.domain(name).is_none())
}

/// Only a TCP socket that spoke to a pool, or named one, is worth its death: nothing more gets through
/// it, and who waits for an answer should know. The kernel refuses the rest by itself.
fn wants_destruction(event: &KernelEvent) -> bool {
    matches!(event.kind, Kind::Stratum | Kind::Tls | Kind::Dns)
        && event.verdict == Verdict::Blocked
        && event.protocol == TCP
}

fn socket(event: &KernelEvent) -> Socket {
    Socket {
        protocol: event.protocol,
        local: event.local,
        remote: event.remote,
        cookie: event.cookie,
    }
}

/// The process is known first and the socket destroyed then: a miner that loses its pool may exit
/// before anyone has looked at it, and its packets are dropped in the meantime anyway.
fn made_by(
    state: &mut State,
    clock: Clock,
    id: EventId,
    found: Attribution,
    actions: &mut Vec<Action>,
) {
    let Some(mut entry) = state.pending.remove(id) else { return };
    entry.found = found;
    advance(state, clock, entry, actions);
}

/// On to the next stage, or to the journal.
fn advance(state: &mut State, clock: Clock, mut entry: Entry, actions: &mut Vec<Action>) {
    if entry.stage == Stage::ResolveThenDestroy {
        entry.stage = Stage::Destroy;
        entry.deadline = clock.now.saturating_add(WAIT);
        actions.push(destruction(&entry));
        state.pending.insert(entry);
    } else {
        finish(state, clock, entry, actions);
    }
}

fn destruction(entry: &Entry) -> Action {
    let found = entry.found.process.as_ref().ok().map(|process| process.pid);
    let told = entry.event.owner.as_ref().map(|owner| owner.pid);
    let reused = matches!(entry.found.process, Err(Missing::Reused | Missing::Exited));
    Action::DestroySocket {
        id: entry.id,
        socket: socket(&entry.event),
        pid: found.or(told.filter(|_| !reused)),
        cgroup: entry.found.cgroup.clone(),
    }
}

fn tick(state: &mut State, clock: Clock, actions: &mut Vec<Action>) {
    for mut entry in state.pending.expired(clock.now) {
        if entry.awaits != Awaits::Answers {
            go_on(state, clock, entry, actions);
            continue;
        }
        if entry.stage != Stage::Destroy {
            entry.found = Attribution::missing(Missing::Timeout);
        }
        advance(state, clock, entry, actions);
    }
    close(clock, state.limiter.expire(clock.now), actions);
}

fn drain(state: &mut State, clock: Clock, actions: &mut Vec<Action>) {
    for mut entry in state.pending.all() {
        if entry.awaits != Awaits::Answers {
            explain::explain(&state.processes, &mut entry);
            tell(state, clock, entry, actions);
            continue;
        }
        if entry.stage != Stage::Destroy {
            entry.found = Attribution::missing(Missing::Timeout);
        }
        if entry.stage == Stage::ResolveThenDestroy {
            actions.push(destruction(&entry));
        }
        explain::explain(&state.processes, &mut entry);
        tell(state, clock, entry, actions);
    }
    for suspect in std::mem::take(&mut state.suspects).into_values() {
        actions.push(suspicion::tell(&state.pods, clock, &suspect, None));
    }
    close(clock, state.limiter.expire(u64::MAX), actions);
}

fn close(clock: Clock, closed: Vec<Closed>, actions: &mut Vec<Action>) {
    for one in closed {
        actions.push(Action::Journal(Line::Suppressed(line::Suppressed {
            time: clock.rfc3339(),
            kind: Word(line::SuppressedKind::Suppressed),
            reason: Word(one.key.reason),
            cgroup_id: one.key.cgroup,
            dst: one.key.remote.map(|remote| remote.to_string()),
            count: one.count,
        })));
    }
}

#[cfg(test)]
mod tests;
