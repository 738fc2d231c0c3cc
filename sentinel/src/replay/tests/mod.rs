//! Captures made here and captures of the corpus.

mod corpus;
mod files;
mod packets;
mod wire;

use std::path::PathBuf;
use std::sync::LazyLock;

use super::{Format, HostEngine, MODES, Options, Summary, run};
use crate::signature::{Compiled, embedded};

static BUILT_IN: LazyLock<Compiled> = LazyLock::new(|| embedded().unwrap());

/// Replays files; returns the flows' JSON objects and the summary.
fn replay(files: &[PathBuf]) -> (Vec<serde_json::Value>, Summary) {
    let mut engine = HostEngine::new(&BUILT_IN.signatures, MODES);
    let options = Options { files, format: Format::Json, signatures: &BUILT_IN, progress: None };
    let mut out = Vec::new();
    let summary = run(&options, &mut engine, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), summary)
}

/// Replays a capture given as bytes.
fn replay_bytes(bytes: &[u8]) -> (Vec<serde_json::Value>, Summary) {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("made.pcap");
    std::fs::write(&file, bytes).unwrap();
    replay(&[file])
}
