//! The pods that rules on workloads may mean, between who is told of them and who puts policies in force.
//! They are kept in a file too: an agent that starts begins with those of the one before, for until the
//! first of them is known such a rule would mean nobody.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::attribution::peers::Peers;
use crate::remembered::Remembered;

/// The pods, and who waits for others.
#[derive(Debug)]
pub(super) struct PeerTable {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    file: Remembered<Peers>,
}

#[derive(Debug, Default)]
struct State {
    now: Arc<Peers>,
    /// Those of the agent before, until all are told of.
    remembered: Peers,
}

impl PeerTable {
    /// Begins with those of the agent before.
    pub(super) fn new(state_dir: &Path) -> Self {
        let file = Remembered::peers(state_dir);
        let remembered: Peers = file.read();
        let now = Arc::new(remembered.clone());
        let (changed, _) = watch::channel(());
        Self { state: Mutex::new(State { now, remembered }), changed, file }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those as they are now.
    pub(super) fn now(&self) -> Arc<Peers> {
        Arc::clone(&self.state().now)
    }

    /// These are known; where `complete`, there are no others.
    pub(super) fn set(&self, known: Peers, complete: bool) {
        let mut state = self.state();
        if complete {
            state.remembered = Peers::default();
        }
        let peers = known.with(&state.remembered);
        if peers == *state.now {
            return;
        }
        self.file.write(&peers);
        state.now = Arc::new(peers);
        self.changed.send_replace(());
    }

    /// Changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::peers::Peer;

    fn peers(addresses: &[&str]) -> Peers {
        let peer = |text: &&str| Peer { addresses: vec![text.parse().unwrap()], ..Peer::default() };
        Peers::new(addresses.iter().map(peer).collect())
    }

    #[test]
    fn the_next_agent_begins_with_those_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let first = PeerTable::new(folder.path());
        first.set(peers(&["10.0.0.1", "10.0.0.2"]), true);
        let next = PeerTable::new(folder.path());
        let changes = next.changes();
        assert_eq!(*next.now(), peers(&["10.0.0.1", "10.0.0.2"]));
        next.set(peers(&["10.0.0.1"]), false);
        assert!(!changes.has_changed().unwrap(), "the other may be there still");
        next.set(peers(&["10.0.0.3"]), false);
        assert_eq!(next.now().peers.len(), 3);
        next.set(peers(&["10.0.0.1"]), true);
        assert_eq!(*next.now(), peers(&["10.0.0.1"]));
        assert!(changes.has_changed().unwrap());
    }
}
