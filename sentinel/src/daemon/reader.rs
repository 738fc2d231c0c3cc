//! The ring to the engine: raw records in, events out.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sentinel_common::verdict::{Reason, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::api::Shared;
use crate::datapath::{ProcessRing, Ring};
use crate::decode::{decode_and_name, is_lookup, lookup};
use crate::engine::Input;
use crate::lookups;
use crate::signature::Sets;

/// With nothing attached any more, a ring that is quiet for this long is empty.
const QUIET: Duration = Duration::from_millis(50);
/// Records read after the end was asked for: a full ring of them.
const LAST: usize = 4096;

/// Where raw records come from. `next` must lose nothing when it is dropped half-way.
pub trait Records: Send + 'static {
    /// The next record.
    fn next(&mut self) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// Where news of processes come from, if anybody tells.
    fn processes(&mut self) -> Option<ProcessRing> {
        None
    }
}

impl Records for Ring {
    async fn next(&mut self) -> io::Result<Bytes> {
        Self::next(self).await
    }

    fn processes(&mut self) -> Option<ProcessRing> {
        self.take_processes()
    }
}

/// Reads until the ring fails, or until `stop` says so and the ring is empty.
pub(super) async fn read(
    mut records: impl Records,
    inputs: mpsc::Sender<Input>,
    shared: Arc<Shared>,
    sets: Sets,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let record = tokio::select! {
            record = records.next() => record,
            _ = stop.changed() => break,
        };
        match record {
            Ok(record) => hand_over(&record, &inputs, &shared, &sets).await,
            Err(error) => {
                tracing::error!("events can no longer be read, restart the agent: {error}");
                shared.set_not_ready(Some("the ring buffer cannot be read"));
                return;
            }
        }
    }
    for _ in 0..LAST {
        let Ok(Ok(record)) = timeout(QUIET, records.next()).await else { break };
        hand_over(&record, &inputs, &shared, &sets).await;
    }
}

async fn hand_over(record: &[u8], inputs: &mpsc::Sender<Input>, shared: &Shared, sets: &Sets) {
    if is_lookup(record) {
        learn(record, shared);
        return;
    }
    match decode_and_name(record, sets) {
        // Waiting here fills the ring, and a full ring is counted.
        Ok(mut event) => {
            if let Some(remote) = event.remote {
                event.names = shared.lookups().names(event.cgroup, remote.ip(), event.time);
            }
            if event.verdict != Verdict::Allowed {
                shared.remark(event.cookie, |remark| {
                    remark.noise |= event.reason == Reason::NoiseHandshake;
                    remark.find(event.verdict, event.reason);
                });
            }
            if inputs.send(Input::Event(Box::new(event))).await.is_err() {
                tracing::debug!("an event came after the end");
            }
        }
        Err(error) => {
            shared.metrics().decode_error(&error);
            tracing::debug!("a record cannot be read: {error}");
        }
    }
}

/// Takes a lookup: the events that come behind it in the ring are named by it.
fn learn(record: &[u8], shared: &Shared) {
    let lose = |kind, count: u64| (0..count).for_each(|_| shared.metrics().lost(kind));
    match lookup(record) {
        Some(found) => {
            let forgotten = shared.lookups().take(&found);
            lose(lookups::TRUNCATED, u64::from(found.truncated));
            lose(lookups::TABLE, forgotten.addresses + forgotten.names + forgotten.servers);
        }
        None => lose(lookups::UNREADABLE, 1),
    }
}
