//! Looks after the hooks: a thread of its own, since a look waits while a large feed is written.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::api::{HookFigures, Shared};
use crate::engine::Input;
use crate::event::hook::Inspection;
use crate::event::word::Words as _;

/// How often: what is detached judges again after this long.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks once, then starts the thread; it ends when what is returned is dropped.
pub(super) fn start(shared: &Arc<Shared>, inputs: &mpsc::Sender<Input>) -> io::Result<Sender<()>> {
    let (stop, stopped) = std::sync::mpsc::channel();
    let mut keeper = Keeper { shared: Arc::clone(shared), inputs: inputs.clone(), told: false };
    thread::Builder::new().name("vigil".to_owned()).spawn(move || keeper.run(&stopped))?;
    Ok(stop)
}

struct Keeper {
    shared: Arc<Shared>,
    inputs: mpsc::Sender<Input>,
    /// At the last look was something to tell of.
    told: bool,
}

impl Keeper {
    fn run(&mut self, stopped: &Receiver<()>) {
        loop {
            if !self.look() {
                return;
            }
            if stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// `false` when there is nothing to look at any more.
    fn look(&mut self) -> bool {
        let Some(found) = self.shared.with_datapath(|datapath| datapath.inspect()) else {
            return false;
        };
        self.shared.metrics().hooks().set_missing(found.broken.len());
        let is_quiet = found == Inspection::default();
        if is_quiet && !self.told {
            return true;
        }
        self.told = !is_quiet;
        let broken = found.broken.iter().map(|(defect, why)| {
            format!("`{}` is {}: {why}", defect.program, defect.finding.word())
        });
        let figures = HookFigures {
            broken: broken.collect(),
            others: found.others.iter().cloned().collect(),
        };
        self.shared.tell(|about| about.hooks = figures);
        self.inputs.blocking_send(Input::Hooks(Box::new(found))).is_ok()
    }
}
