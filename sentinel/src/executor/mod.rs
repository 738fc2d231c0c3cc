//! Does what the engine wants: one `match`, and the threads behind it.

mod workers;

use std::io;

use tokio::sync::mpsc;

use crate::action::{Action, Outcome};
use crate::api::Shared;
use crate::attribution::Attribution;
use crate::audit::{Audits, Noted};
use crate::engine::{Fact, Input};
use crate::event::line::Missing;
use crate::export::metrics::Metrics;
use crate::export::writer::{Outputs, Writer};
use crate::watch::resolver::Question;
use workers::{Order, Workers};

/// The hands of the agent.
#[derive(Debug)]
pub struct Executor {
    writer: Writer,
    workers: Workers,
    metrics: Metrics,
    audits: Audits,
}

impl Executor {
    /// Starts the threads; their answers come as inputs.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn start(
        outputs: Outputs,
        shared: &Shared,
        answers: mpsc::Sender<Input>,
    ) -> io::Result<Self> {
        let (metrics, audits) = (shared.metrics().clone(), shared.audits().clone());
        let writer = Writer::start(outputs, metrics.clone(), shared.node().follow())?;
        Ok(Self { writer, workers: Workers::start(&answers)?, metrics, audits })
    }

    /// Performs one action without waiting. What cannot even be begun is answered at once.
    #[must_use]
    pub fn perform(&self, action: Action) -> Option<Fact> {
        match action {
            Action::Count(count) => {
                self.metrics.count(&count);
                None
            }
            Action::Journal(line) => {
                if !self.writer.line(line) {
                    self.metrics.lost("journal");
                }
                None
            }
            Action::Audit(noted) => {
                if let Noted::Hit(hit) = &*noted {
                    self.metrics.audited(&hit.policy, &hit.rule, 1);
                }
                self.audits.note(*noted);
                None
            }
            Action::ReopenJournal => {
                self.writer.reopen();
                None
            }
            Action::Resolve { id, owner, cgroup, socket } => {
                let begun = self.workers.resolve(Question { id, owner, cgroup, socket });
                (!begun).then(|| {
                    self.metrics.lost("queue");
                    Fact::Maker(id, Attribution::missing(Missing::Overflow))
                })
            }
            Action::DestroySocket { id, socket, pid, cgroup } => {
                let begun = self.workers.destroy(Order { id, socket, pid, cgroup });
                (!begun).then(|| {
                    self.metrics.lost("queue");
                    Fact::Countermeasure(
                        id,
                        Outcome::Failed("too many sockets to destroy".to_owned()),
                    )
                })
            }
        }
    }

    /// Writes what waits and ends. Blocks for as long as the output does.
    pub fn close(self) {
        drop(self.workers);
        self.writer.close();
    }
}
