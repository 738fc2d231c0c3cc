//! The pods that rules on workloads may mean, between who is told of them and who puts policies in force.
//! They are kept in a file too: an agent that starts begins with those of the one before, for until the
//! first of them is known such a rule would mean nobody.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::attribution::peers::{Kinds, Peers};
use crate::policy::Among;
use crate::remembered::Remembered;

/// How old the file may be where what has changed concerns nobody on this node: in a large cluster it has
/// megabytes, and something changes in every second.
const AGE: Duration = Duration::from_secs(30);

/// The pods, and who waits for others.
#[derive(Debug)]
pub(super) struct PeerTable {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    file: Remembered<Peers>,
}

#[derive(Debug, Default)]
struct State {
    now: Arc<Around>,
    /// Those of the agent before, until all are told of.
    remembered: Peers,
    /// The file says something else.
    is_stale: bool,
    written: Option<Instant>,
}

/// Whom policies are among.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) peers: Peers,
    /// The pods of this node.
    pub(super) here: Kinds,
}

impl Around {
    pub(super) const fn among(&self) -> Among<'_> {
        Among { peers: &self.peers, here: Some(&self.here) }
    }
}

impl PeerTable {
    /// Begins with those of the agent before, and with the pods that it knew here.
    pub(super) fn new(state_dir: &Path, here: Kinds) -> Self {
        let file = Remembered::peers(state_dir);
        let remembered: Peers = file.read();
        let now = Arc::new(Around { peers: remembered.clone(), here });
        let (changed, _) = watch::channel(());
        let state = State { now, remembered, is_stale: false, written: None };
        Self { state: Mutex::new(state), changed, file }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those as they are now.
    pub(super) fn now(&self) -> Arc<Around> {
        Arc::clone(&self.state().now)
    }

    /// These are known, and the pods that are here; where `complete`, there are no others.
    pub(super) fn set(&self, known: &Peers, here: &Kinds, complete: bool) {
        let mut state = self.state();
        if complete {
            state.remembered = Peers::default();
        }
        let peers = known.with(&state.remembered);
        let are_others = peers != state.now.peers;
        if !are_others && *here == state.now.here {
            return;
        }
        state.now = Arc::new(Around { peers, here: here.clone() });
        state.is_stale |= are_others;
        self.changed.send_replace(());
    }

    /// Has the file say what is known where it has said something else for long.
    pub(super) fn refresh(&self) {
        let mut state = self.state();
        if state.written.is_none_or(|at| at.elapsed() >= AGE) {
            self.write(&mut state);
        }
    }

    /// Has the file say what is known: this is what the policies in force mean.
    pub(super) fn keep(&self) {
        self.write(&mut self.state());
    }

    fn write(&self, state: &mut State) {
        if state.is_stale {
            self.file.write(&state.now.peers);
            (state.is_stale, state.written) = (false, Some(Instant::now()));
        }
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
    use crate::attribution::pods::{Container, Pod, Pods};

    fn peers(addresses: &[&str]) -> Peers {
        let peer = |text: &&str| Peer { addresses: vec![text.parse().unwrap()], ..Peer::default() };
        Peers::new(addresses.iter().map(peer).collect())
    }

    #[test]
    fn the_next_agent_begins_with_those_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let here = Kinds::default();
        let first = PeerTable::new(folder.path(), here.clone());
        first.set(&peers(&["10.0.0.1", "10.0.0.2"]), &here, true);
        first.keep();
        let next = PeerTable::new(folder.path(), here.clone());
        let changes = next.changes();
        assert_eq!(next.now().peers, peers(&["10.0.0.1", "10.0.0.2"]));
        next.set(&peers(&["10.0.0.1"]), &here, false);
        assert!(!changes.has_changed().unwrap(), "the other may be there still");
        next.set(&peers(&["10.0.0.3"]), &here, false);
        assert_eq!(next.now().peers.peers.len(), 3);
        next.set(&peers(&["10.0.0.1"]), &here, true);
        assert_eq!(next.now().peers, peers(&["10.0.0.1"]));
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn a_pod_that_comes_here_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let table = PeerTable::new(folder.path(), Kinds::default());
        let (changes, none) = (table.changes(), peers(&[]));
        table.set(&none, &Kinds::default(), true);
        assert!(!changes.has_changed().unwrap());
        let pod = Arc::new(Pod { namespace: "shop".into(), ..Pod::default() });
        let sandbox = Container { name: None, image: None, pod, live: true };
        let listing = Arc::new([("a".to_owned(), sandbox)].into());
        let (pods, _) = Pods::listed(&[listing], &Pods::default(), 1);
        table.set(&none, &Kinds::of(&pods), true);
        assert!(changes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn the_file_is_written_seldom_where_nobody_here_is_concerned() {
        let folder = tempfile::tempdir().unwrap();
        let table = PeerTable::new(folder.path(), Kinds::default());
        let set = |addresses: &[&str]| table.set(&peers(addresses), &Kinds::default(), true);
        let written = || -> Peers { Remembered::peers(folder.path()).read() };
        set(&["10.0.0.1"]);
        table.refresh();
        assert_eq!(written(), peers(&["10.0.0.1"]));
        set(&["10.0.0.2"]);
        table.refresh();
        assert_eq!(written(), peers(&["10.0.0.1"]), "a moment ago it was written");
        table.state().written = Instant::now().checked_sub(AGE);
        table.refresh();
        assert_eq!(written(), peers(&["10.0.0.2"]));
        set(&["10.0.0.3"]);
        table.keep();
        assert_eq!(written(), peers(&["10.0.0.3"]), "the kernel has it");
    }
}
