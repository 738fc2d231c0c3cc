//! Brings news of processes to the engine: what the kernel tells of them, and before that, and after
//! news was lost, what `/proc` shows. A thread of its own that looks many times a second: waking one
//! for each program that starts would cost a busy node more than all else here.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::api::Shared;
use crate::attribution::processes::Batch;
use crate::datapath::ProcessRing;
use crate::decode::process::news;
use crate::engine::Input;
use crate::watch::{clock, processes};

/// How often the ring is looked at: so long an event waits for its process, and so long its records must
/// find room in the ring.
const LOOK: Duration = Duration::from_millis(20);
/// News in one input of the engine at most, so that events come in between.
const BATCH: usize = 256;
/// `/proc` is walked no more often than this.
const BETWEEN_WALKS: Duration = Duration::from_secs(5);

/// Starts the thread; it ends when what is returned is dropped.
pub(super) fn start(
    ring: Option<ProcessRing>,
    shared: &Arc<Shared>,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<Sender<()>> {
    let (stop, stopped) = channel();
    let Some(ring) = ring else { return Ok(stop) };
    let herald = Herald { ring, shared: Arc::clone(shared), inputs: inputs.clone(), walked: None };
    thread::Builder::new().name("processes".to_owned()).spawn(move || herald.run(&stopped))?;
    Ok(stop)
}

struct Herald {
    ring: ProcessRing,
    shared: Arc<Shared>,
    inputs: mpsc::Sender<Input>,
    walked: Option<Instant>,
}

impl Herald {
    fn run(mut self, stop: &Receiver<()>) {
        let mut must_walk = true;
        loop {
            if must_walk && self.walked.is_none_or(|walked| walked.elapsed() >= BETWEEN_WALKS) {
                must_walk = !self.walk();
            }
            match self.fetch() {
                Some(lost) => must_walk |= lost,
                None => return,
            }
            if stop.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Whether news was lost; `None` when there is nobody to tell.
    fn fetch(&mut self) -> Option<bool> {
        // Read first: what happens from now on may be missed.
        let begun = clock::now().now;
        let (mut told, mut ended) = (Vec::new(), false);
        let (shared, inputs) = (&self.shared, &self.inputs);
        let fetched = self.ring.fetch(|record| {
            match news(record) {
                Ok(one) => told.push(one),
                Err(error) => shared.metrics().decode_error(&error),
            }
            if told.len() >= BATCH {
                let batch = Batch { news: std::mem::take(&mut told), ..Batch::default() };
                ended |= !send(inputs, batch);
            }
        });
        let lost = fetched.unwrap_or_else(|error| {
            tracing::warn!("what is known of processes is forgotten: {error}");
            true
        });
        if lost {
            tracing::debug!("news of processes was lost: they are gathered anew");
        }
        ended |= !send(inputs, Batch { news: told, fetched: Some(begun), lost });
        (!ended).then_some(lost)
    }

    /// Has `/proc` walked meanwhile; whether that could be begun.
    fn walk(&mut self) -> bool {
        self.walked = Some(Instant::now());
        let inputs = self.inputs.clone();
        let work = move || {
            let found = processes::list();
            for part in found.chunks(BATCH) {
                if !send(&inputs, Batch { news: part.to_vec(), ..Batch::default() }) {
                    return;
                }
            }
        };
        thread::Builder::new().name("proc-walk".to_owned()).spawn(work).is_ok()
    }
}

fn send(inputs: &mpsc::Sender<Input>, batch: Batch) -> bool {
    inputs.blocking_send(Input::Processes(Box::new(batch))).is_ok()
}
