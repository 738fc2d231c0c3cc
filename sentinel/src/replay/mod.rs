//! Captures through the judgement that packets get: `sentinel replay`.
//!
//! ```text
//! file -> capture (pcap, pcapng) -> link, tunnel -> fragment -> flows -> order -> Engine -> report
//! ```
//!
//! What stands before the [`Engine`] undoes what a wire does to packets and a socket never sees:
//! link headers, tunnels, fragments, disorder, damaged segments. The engine is the reader of the
//! datapath, here ([`HostEngine`]) or in the kernel, and gets the same packets either way.

mod capture;
mod checksum;
mod cut;
mod engine;
mod error;
mod flows;
mod fragment;
mod host;
mod link;
mod order;
mod report;
mod session;
#[cfg(test)]
mod tests;
mod tunnel;
mod view;

use std::io::Write;
use std::path::PathBuf;

pub use engine::{Engine, EngineError, FlowId, MAX_PAYLOAD, MODES, Outcome};
pub use error::ReplayError;
pub use host::HostEngine;
pub use report::{FlowReport, Summary};
pub use sentinel_common::inspect::Start as StartHint;

use crate::signature::Compiled;

/// How flows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per flow and line.
    Json,
    /// A line per flow with a verdict, for people.
    Text,
}

/// Where a replay stands, for a progress display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of this file read so far.
    pub bytes: u64,
    /// The file's size; 0 where it has none (a pipe).
    pub size: u64,
    /// Packets of this file read so far.
    pub packets: u64,
}

/// What to replay, and how to tell.
pub struct Options<'a> {
    /// The captures, each with flows of its own.
    pub files: &'a [PathBuf],
    /// How flows are written.
    pub format: Format,
    /// Names for the rules that the engine reports.
    pub signatures: &'a Compiled,
    /// Called every few thousand packets.
    pub progress: Option<&'a dyn Fn(Progress)>,
}

/// Replays captures through an engine and writes one report per flow to `out`.
///
/// A file that is truncated, corrupt or no capture is read as far as it can be; what stopped it is
/// in [`Summary::problems`], and the next file is read all the same.
///
/// # Errors
/// When `out` cannot be written to or the engine fails: then nothing more can be said.
pub fn run(
    options: &Options<'_>,
    engine: &mut dyn Engine,
    out: &mut dyn Write,
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    for file in options.files {
        session::replay(file, options, engine, out, &mut summary)?;
    }
    if options.format == Format::Text {
        writeln!(out, "{summary}").map_err(ReplayError::Output)?;
    }
    Ok(summary)
}
