//! The sets that were in force last, by their numbers: an event may come from the one before.
//!
//! # How a set is swapped
//!
//! The kernel has room for two. The new one is written into the slot that is not in force, and one
//! store of the switch word, which holds the set's number, brings it into force; a program loads that
//! word once, so a packet is read by one whole set. A program that loaded the word before may go on
//! reading the older slot, which is why a slot is written again only when all programs that ran have
//! ended (the map `GRACE`): two swaps are at least a grace period apart.
//!
//! A direction of a flow carries the number of its set, and a verdict that of its rule's. A
//! direction that meets another number forgets what it recognised, not its place in the message:
//! what is complete from there on is still found, a request that a swap divides is not, and what was
//! said before (`said`, `peer`) counts no more. Two packets of one direction that two CPUs read at
//! the same instant share one reader, with or without a swap; TCP's lock keeps that from egress.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Compiled;

/// Sets that are kept: about a megabyte each. An event is read within milliseconds, and two swaps
/// are a grace period of the kernel apart.
const KEPT: usize = 4;

/// The sets that were in force last; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Sets(Arc<Mutex<Kept>>);

/// Sets by their numbers, the newest last.
type Kept = VecDeque<(u32, Arc<Compiled>)>;

impl Sets {
    /// Takes up a set, in place of one of the same number that was never in force.
    pub fn push(&self, number: u32, set: Arc<Compiled>) {
        let mut kept = self.lock();
        kept.retain(|(known, _)| *known != number);
        kept.push_back((number, set));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// The set of this number, while it is kept.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Arc<Compiled>> {
        self.lock().iter().find(|(kept, _)| *kept == number).map(|(_, set)| Arc::clone(set))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
