//! The ring buffer, and the kernel programs' own diagnostics.

use std::io;

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use bytes::Bytes;
use tokio::io::unix::AsyncFd;

use super::ProcessRing;
use super::sys::register;

/// Raw events, one record at a time, in the order the kernel reserved them.
pub struct Ring {
    events: AsyncFd<RingBuf<MapData>>,
    diagnostics: Option<tokio::task::JoinHandle<()>>,
    processes: Option<ProcessRing>,
}

impl Ring {
    /// Registers the ring with the runtime and starts forwarding diagnostics into `log`.
    pub(super) fn new(
        events: RingBuf<MapData>,
        logger: Option<EbpfLogger<&'static dyn log::Log>>,
    ) -> io::Result<Self> {
        let events = register(events)?;
        Ok(Self { events, diagnostics: logger.and_then(forward), processes: None })
    }

    /// The same with the ring of processes beside it.
    pub(super) fn with_processes(mut self, processes: ProcessRing) -> Self {
        self.processes = Some(processes);
        self
    }

    /// The ring of processes, once.
    pub const fn take_processes(&mut self) -> Option<ProcessRing> {
        self.processes.take()
    }

    /// The next record.
    ///
    /// # Errors
    /// When the file descriptor cannot be polled.
    pub async fn next(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(record) = self.events.get_mut().next() {
                return Ok(Bytes::copy_from_slice(&record));
            }
            let mut guard = self.events.readable_mut().await?;
            if let Some(record) = guard.get_inner_mut().next() {
                return Ok(Bytes::copy_from_slice(&record));
            }
            guard.clear_ready();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(task) = self.diagnostics.take() {
            task.abort();
        }
    }
}

fn forward(logger: EbpfLogger<&'static dyn log::Log>) -> Option<tokio::task::JoinHandle<()>> {
    let mut logger = register(logger).ok()?;
    Some(tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    }))
}
