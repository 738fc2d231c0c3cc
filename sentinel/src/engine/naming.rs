//! The last step of an event: which pod it is of, and the line.

use std::sync::Arc;

use super::explain::explain;
use super::pending::{Awaits, Entry};
use super::{Clock, State, WAIT_POD, audit, compose};
use crate::action::{Action, Count};
use crate::attribution::pods::Pods;

/// To the journal, unless a runtime may still tell which pod it was: an event can be faster than the
/// news of the container that it is of.
pub(super) fn settle(state: &mut State, clock: Clock, mut entry: Entry, actions: &mut Vec<Action>) {
    // Now: the process may be forgotten while its pod is waited for.
    explain(&state.processes, &mut entry);
    if entry.journal && is_awaited(&state.pods, &entry) {
        entry.awaits = Awaits::Pod;
        entry.deadline = clock.now.saturating_add(WAIT_POD);
        state.pending.insert(entry);
    } else {
        tell(state, clock, entry, actions);
    }
}

fn is_awaited(pods: &Pods, entry: &Entry) -> bool {
    entry.found.cgroup.as_deref().is_some_and(|path| pods.awaits(path))
}

/// The runtimes have told of pods: what waited for them goes on.
pub(super) fn named(state: &mut State, clock: Clock, pods: Arc<Pods>, actions: &mut Vec<Action>) {
    let ready =
        state.pending.extract(|entry| entry.awaits == Awaits::Pod && !is_awaited(&pods, entry));
    state.pods = pods;
    for entry in ready {
        tell(state, clock, entry, actions);
    }
}

/// To the journal.
pub(super) fn tell(state: &State, clock: Clock, entry: Entry, actions: &mut Vec<Action>) {
    if let Err(why) = entry.found.process {
        actions.push(Action::Count(Count::Unattributed(why)));
    }
    audit::workload(&entry, actions);
    if entry.journal {
        actions.push(Action::Journal(compose::flow(state, clock, &entry)));
    }
}
