//! The policies that are objects of a Kubernetes API, between who is told of them and who puts them in force.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::export::policy_status::Policies;
use crate::policy::{Diagnostic, Fate, Objects, Source};

/// The policies, and who waits for a change of them.
#[derive(Debug)]
pub struct PolicyObjects {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    /// What is wrong with them only beside the others.
    refused: Vec<Diagnostic>,
}

impl Default for PolicyObjects {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::channel(()).0 }
    }
}

impl PolicyObjects {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes them, and tells who waits if what is to be in force is another now.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        let mut state = self.state();
        let before = state.objects.sources();
        let answer = change(&mut state.objects);
        if state.objects.sources() != before {
            self.changed.send_replace(());
        }
        answer
    }

    /// The texts of those that can be in force.
    pub(super) fn sources(&self) -> Vec<Source> {
        self.state().objects.sources()
    }

    /// What turned out to be wrong with them beside the others.
    pub(super) fn refuse(&self, refused: Vec<Diagnostic>) {
        self.state().refused = refused;
    }

    /// Changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Policies for PolicyObjects {
    fn fates(&self) -> Vec<Fate> {
        let state = self.state();
        state.objects.fates(&state.refused)
    }
}
