//! Events that wait for an answer, and until when.

use std::collections::BTreeMap;

use crate::action::{EventId, Outcome};
use crate::attribution::Attribution;
use crate::event::KernelEvent;

/// What an event waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For its process.
    Resolve,
    /// For its process, and its socket is to be destroyed after that.
    ResolveThenDestroy,
    /// For the end of its socket.
    Destroy,
}

/// What an event waits for beyond its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// Answers to what was asked of it.
    Answers,
    /// All else is known: for news of processes.
    News,
    /// For its pod.
    Pod,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) event: Box<KernelEvent>,
    /// Whether a line is wanted; a repeated event's socket is destroyed without one.
    pub(super) journal: bool,
    pub(super) stage: Stage,
    pub(super) awaits: Awaits,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) deadline: u64,
    pub(super) found: Attribution,
    pub(super) outcome: Option<Outcome>,
}

/// Ordered by id, which is the order of arrival: what comes out is in the order it came in.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<EventId, Entry>);

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.0.insert(entry.id, entry);
    }

    pub(super) fn remove(&mut self, id: EventId) -> Option<Entry> {
        self.0.remove(&id)
    }

    pub(super) fn expired(&mut self, now: u64) -> Vec<Entry> {
        self.extract(|entry| entry.deadline <= now)
    }

    /// Takes those out that this holds of.
    pub(super) fn extract(&mut self, holds: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.0.extract_if(.., |_, entry| holds(entry)).map(|(_, entry)| entry).collect()
    }

    pub(super) fn all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}
