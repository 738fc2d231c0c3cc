//! The policies that are objects of a Kubernetes API, between who is told of them and who puts them in force.
//! What is in force is kept in a file beside the agent's socket: one that starts while nobody answers, or
//! before anybody has, begins with that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::config::Config;
use crate::export::policy_status::Policies;
use crate::policy::{Diagnostic, Fate, Objects, Source};
use crate::remembered::Remembered;
use crate::watch::kubernetes::Settings;

/// The policies, and who waits for a change of them.
#[derive(Debug)]
pub struct PolicyObjects {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    file: Remembered<Vec<Source>>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    /// Those of the agent before, until all are told of.
    remembered: Option<Vec<Source>>,
    /// What is wrong with them only beside the others.
    refused: Vec<Diagnostic>,
}

impl State {
    fn sources(&self) -> Vec<Source> {
        self.remembered.clone().unwrap_or_else(|| self.objects.sources())
    }
}

/// What an agent before had in force, where this one will ask for it too.
pub(super) fn remembered(config: &Config) -> Vec<Source> {
    if Settings::find(&config.kubernetes, |name| std::env::var(name).ok()).is_none() {
        return Vec::new();
    }
    Remembered::objects(&config.state_dir).read()
}

impl PolicyObjects {
    /// Begins with what an agent before had in force.
    pub(super) fn new(state_dir: &Path, remembered: Vec<Source>) -> Self {
        let remembered = (!remembered.is_empty()).then_some(remembered);
        let state = State { remembered, ..State::default() };
        let (changed, _) = watch::channel(());
        Self { state: Mutex::new(state), changed, file: Remembered::objects(state_dir) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes them, and tells who waits if what is to be in force is another now.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        let mut state = self.state();
        let State { objects, remembered, .. } = &mut *state;
        let before = objects.changes();
        let answer = change(objects);
        let is_same = match remembered.take_if(|_| objects.is_complete()) {
            // What is told now may be what the agent before had.
            Some(remembered) => remembered == objects.sources(),
            // Until all are told of, what was remembered counts, whatever changes.
            None => remembered.is_some() || objects.changes() == before,
        };
        if !is_same {
            self.file.write(&state.sources());
            self.changed.send_replace(());
        }
        answer
    }

    /// The texts of those that can be in force.
    pub(super) fn sources(&self) -> Vec<Source> {
        self.state().sources()
    }

    /// What turned out to be wrong with them beside the others.
    pub(super) fn refuse(&self, refused: Vec<Diagnostic>) {
        self.state().refused = refused;
    }

    /// How many there are, and what is wrong with those that are refused.
    pub(super) fn figures(&self) -> (usize, BTreeMap<String, String>) {
        let state = self.state();
        (state.objects.len(), state.objects.refused(&state.refused))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{ConfigFile, Kubernetes};
    use crate::policy::{Object, ObjectKind};

    fn object(name: &str) -> (String, Object) {
        let spec = json!({"mode": "enforce", "egress": []});
        let kind = ObjectKind::Cluster;
        let object = Object { kind, namespace: None, name: name.into(), generation: 1, spec };
        (name.to_owned(), object)
    }

    #[test]
    fn the_next_agent_begins_with_what_was_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let kubernetes =
            Kubernetes { node: Some("n".into()), kubeconfig: Some("/k".into()), services: true };
        let state_dir = Some(folder.path().to_owned());
        let file = ConfigFile { kubernetes, state_dir, ..ConfigFile::default() };
        let config = Config::new(ConfigFile::default(), file);
        assert!(remembered(&config).is_empty());
        let first = PolicyObjects::new(folder.path(), Vec::new());
        first.change(|objects| objects.all(ObjectKind::Cluster, vec![object("a"), object("b")]));
        let kept = remembered(&config);
        assert_eq!(kept, first.sources());
        let next = PolicyObjects::new(folder.path(), kept.clone());
        next.change(|objects| objects.all(ObjectKind::Namespaced, Vec::new()));
        assert_eq!(next.sources(), kept, "only half is told");
        next.change(|objects| objects.all(ObjectKind::Cluster, vec![object("a")]));
        assert_eq!(next.sources().len(), 1);
        assert_eq!(remembered(&config), next.sources());
        std::fs::write(folder.path().join("kubernetes-policies.json"), "nonsense").unwrap();
        assert!(remembered(&config).is_empty());
    }
}
