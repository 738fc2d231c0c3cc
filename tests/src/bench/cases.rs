//! What is measured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::programs::{CgroupSkb, TestRun as _, TestRunOptions};
use sentinel::datapath::Kernel;

use crate::packets::{Segment, framed};

/// One packet through one program.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// The program.
    pub program: &'static str,
    /// The payload.
    pub payload: Vec<u8>,
    /// Nanoseconds above empty that it may cost; `None` where only the figure is of interest.
    pub budget: Option<f64>,
}

impl Case {
    /// The harness alone.
    #[must_use]
    pub fn empty() -> Self {
        case("empty program", "bench_empty", b"GET / HTTP/1.1\r\n\r\n", None)
    }
}

fn case(name: &'static str, program: &'static str, payload: &[u8], budget: Option<f64>) -> Case {
    Case { name, program, payload: payload.to_vec(), budget }
}

/// A JSON message of exactly `len` bytes that no rule matches, still open at its end.
fn open_message(len: usize) -> Vec<u8> {
    let mut message = br#"{"id":7,"method":"status","params":{"note":""#.to_vec();
    while message.len() < len {
        message.push(b'a' + (message.len() % 26) as u8);
    }
    message.truncate(len);
    message
}

/// Every case. A judged flow is one whose first run passed the verdict; the repeats are judged. An
/// open one has read its bytes in the first run; the repeats are retransmissions.
pub(super) fn all() -> Vec<Case> {
    let stratum = br#"{"id":1,"method":"mining.subscribe","params":[]}"#;
    let chatter = br#"{"id":1,"result":true,"method":"status"}
"#
    .repeat(20);
    vec![
        case("judged flow: blocked", "egress", stratum, Some(12.0)),
        case("judged flow: past its inspection budget", "egress", &chatter, Some(12.0)),
        case("fails the gate (first byte)", "egress", b"SSH-2.0-OpenSSH_9.2p1\r\n", Some(25.0)),
        case("open flow, read before", "egress", b"GET / HTTP/1.1\r\n\r\n", None),
        case("state made and taken away", "bench_state", b"x", None),
        case("fresh flow, 64 bytes of a message", "bench_fresh", &open_message(64), None),
        case("fresh flow, 256 bytes of a message", "bench_fresh", &open_message(256), None),
        case("fresh flow, 512 bytes of a message", "bench_fresh", &open_message(512), None),
    ]
}

/// Nanoseconds a run of a case takes: the time of one test run of `repeat` runs by it.
pub(super) fn nanoseconds(kernel: &mut Kernel, case: &Case, repeat: u32) -> Result<f64> {
    let frame = framed(&Segment::data(1, &case.payload).over_v4());
    let program: &CgroupSkb = kernel
        .ebpf()
        .program(case.program)
        .and_then(|program| program.try_into().ok())
        .with_context(|| format!("the object has no program `{}`", case.program))?;
    let options = TestRunOptions { data_in: Some(&frame), repeat, ..TestRunOptions::new() };
    let started = Instant::now();
    program
        .test_run(options)
        .with_context(|| format!("the kernel refused to run `{}`", case.name))?;
    // The kernel's own figure is in whole nanoseconds; ours has a system call in it, which `repeat`
    // makes small.
    Ok(started.elapsed().max(Duration::from_nanos(1)).as_nanos() as f64 / f64::from(repeat))
}
