//! Ctrl-C and SIGTERM as a flag that every wait looks at, so that everything is cleaned up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

const TICK: Duration = Duration::from_millis(10);

pub(super) struct Signals(Arc<AtomicBool>);

impl Signals {
    /// Catches the first signal; a second one ends the process at once.
    pub(super) fn catch() -> Result<Signals> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
            flag::register(signal, Arc::clone(&seen))?;
        }
        Ok(Signals(seen))
    }

    /// An error once a signal came.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted; everything the demo made is removed");
        }
        Ok(())
    }

    /// Sleeps, unless a signal comes.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        self.until(time, || Ok(None::<()>)).map(|_| ())
    }

    /// Looks again and again, until something is found, the time runs out, or a signal comes.
    pub(super) fn until<T>(
        &self,
        within: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + within;
        loop {
            self.check()?;
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(TICK);
        }
    }

    /// Waits for a signal.
    pub(super) fn wait(&self) {
        while self.check().is_ok() {
            thread::sleep(TICK);
        }
    }
}
