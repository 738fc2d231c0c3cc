//! The sets that were in force last, by their numbers: an event may come from the one before.

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
