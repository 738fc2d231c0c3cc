//! Any bytes as a capture file: a replay ends, with reports or with an error, and keeps its books.
//!
//! Time and memory are libFuzzer's to bound (`-timeout`, `-rss_limit_mb`).

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use sentinel::replay::{self, Format, HostEngine, MODES, Options};
use serde_json::Value;

use crate::BUILT_IN;

/// Checks one file.
pub fn run(data: &[u8]) {
    // A file without a folder: the replay reads by path.
    let mut file = File::from(memfd_create("capture", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(data).unwrap();
    let files = [PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))];
    let mut engine = HostEngine::new(&BUILT_IN.signatures, MODES);
    let options =
        Options { files: &files, format: Format::Json, signatures: &BUILT_IN, progress: None };
    let mut out = Vec::new();
    let summary = replay::run(&options, &mut engine, &mut out).expect("only a full disk is fatal");
    let reports: Vec<Value> = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a report is a JSON object"))
        .collect();
    assert_eq!(reports.len() as u64, summary.flows);
    let found = reports.iter().filter(|report| report["verdict"] != "allowed").count();
    assert_eq!(found as u64, summary.findings);
    // Sixteen bytes are the shortest record of a packet there is.
    assert!(summary.packets as usize <= data.len() / 16, "more packets than the file has room for");
    assert!(summary.files <= 1 && summary.files as usize + summary.problems.len() == 1);
    let told: u64 = reports.iter().filter_map(|report| report["packets"].as_u64()).sum();
    assert!(told <= summary.packets, "{told} packets in flows, {} in the file", summary.packets);
}
