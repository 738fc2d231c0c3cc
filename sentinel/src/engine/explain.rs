//! Who it was: what the table of processes knows, joined with what `/proc` showed.
//!
//! Events and news of processes come through two rings, so an event may be here before the fact that
//! explains it: it waits, among the other pending ones and with a deadline, until all is told that had
//! happened by then. The table speaks first: it says what a process ran when the event was, and knows
//! of those that are gone. `/proc` says what it runs now.

use super::pending::{Awaits, Entry};
use super::{Clock, State, WAIT, naming};
use crate::action::{Action, Count};
use crate::attribution::Process;
use crate::attribution::processes::{Batch, Id, Image, Known, Processes};
use crate::event::{KernelEvent, Owner};

/// Takes news of processes; what waited for them goes on.
pub(super) fn take(state: &mut State, clock: Clock, batch: Batch, actions: &mut Vec<Action>) {
    let left_out = state.processes.take(batch, clock.now);
    if left_out > 0 {
        actions.push(Action::Count(Count::ProcessOverflow(left_out)));
    }
    if state.pending.len() == 0 {
        return;
    }
    let processes = &state.processes;
    let ready = state
        .pending
        .extract(|entry| entry.awaits == Awaits::News && !processes.is_behind(entry.event.time));
    for entry in ready {
        naming::settle(state, clock, entry, actions);
    }
}

/// On to its pod, or first to a wait for news.
pub(super) fn finish(state: &mut State, clock: Clock, mut entry: Entry, actions: &mut Vec<Action>) {
    let is_early = entry.event.owner.is_some() && state.processes.is_behind(entry.event.time);
    if entry.journal && is_early {
        entry.awaits = Awaits::News;
        entry.deadline = clock.now.saturating_add(WAIT);
        state.pending.insert(entry);
    } else {
        naming::settle(state, clock, entry, actions);
    }
}

/// Without what was waited for.
pub(super) fn go_on(state: &mut State, clock: Clock, entry: Entry, actions: &mut Vec<Action>) {
    if entry.awaits == Awaits::News {
        naming::settle(state, clock, entry, actions);
    } else {
        naming::tell(state, clock, entry, actions);
    }
}

/// Completes an entry's process by what is known of it.
pub(super) fn explain(processes: &Processes, entry: &mut Entry) {
    let Some(owner) = &entry.event.owner else { return };
    let id = Id { pid: owner.pid, start_time: owner.start_time };
    let Some(known) = processes.at(id, entry.event.time) else { return };
    match (&mut entry.found.process, known.image) {
        (Ok(process), image) => complete(process, image, &known),
        (missing, Some(image)) => *missing = Ok(Box::new(of_table(owner, image, &known))),
        (Err(_), None) => {}
    }
}

fn complete(process: &mut Process, image: Option<&Image>, known: &Known<'_>) {
    process.parents = known.parents.to_vec();
    if let Some(parent) = known.parents.first() {
        process.ppid = parent.pid;
    }
    let Some(image) = image else { return };
    process.file = (image.inode != 0).then_some((image.device, image.inode));
    if image.exe.is_some() && image.exe != process.exe {
        // It has become another program since.
        (process.exe, process.deleted) = (image.exe.clone(), image.deleted);
        process.cmdline = image.cmdline();
    } else if !image.arguments.is_empty() && !image.is_cut {
        process.cmdline = image.cmdline();
    }
}

/// All is from the kernel: the process is gone.
fn of_table(owner: &Owner, image: &Image, known: &Known<'_>) -> Process {
    Process {
        pid: owner.pid,
        ppid: known.parents.first().map_or(0, |parent| parent.pid),
        exe: image.exe.clone(),
        deleted: image.deleted,
        comm: owner.comm.clone(),
        cmdline: image.cmdline(),
        uid: owner.uid,
        start_time: owner.start_time,
        file: (image.inode != 0).then_some((image.device, image.inode)),
        parents: known.parents.to_vec(),
    }
}

/// The cgroup that the process was in, where the socket is another's.
pub(super) fn other_cgroup(event: &KernelEvent) -> Option<u64> {
    let own = event.owner.as_ref().map_or(0, |owner| owner.cgroup);
    (own != 0 && event.cgroup != 0 && own != event.cgroup).then_some(own)
}
