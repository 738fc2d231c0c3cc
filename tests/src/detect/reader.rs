//! sentinel's reader over a capture file: which flows it caught, and how much it read until then.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sentinel::datapath::KernelEngine;
use sentinel::replay::{
    self, Engine, EngineError, FlowId, Format, HostEngine, MODES, Options, Outcome,
};
use sentinel::signature::Compiled;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::verdict::Reason;
use serde_json::Value;

use crate::packets::Segment;
use crate::traffic::capture::Capture;

/// One caught flow.
#[derive(Clone, Debug)]
pub(super) struct Caught {
    /// The ports of whoever began and of the other side.
    pub(super) ports: (u16, u16),
}

/// What a capture came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Replayed {
    pub(super) flows: u64,
    pub(super) caught: Vec<Caught>,
    /// Payload bytes that were read before each verdict, both directions together.
    pub(super) bytes: Vec<u32>,
    /// The reports, as they are written.
    reports: Vec<u8>,
}

/// The host's engine, and the kernel's for a sample.
pub(super) struct Readers<'a> {
    compiled: &'a Compiled,
    kernel: Option<KernelEngine>,
    why_no_kernel: String,
    sampled: u64,
    scratch: tempfile::TempDir,
}

impl<'a> Readers<'a> {
    pub(super) fn new(compiled: &'a Compiled) -> Result<Self> {
        let (kernel, why_no_kernel) = match KernelEngine::new(&compiled.signatures) {
            Ok(kernel) => (Some(kernel), String::new()),
            Err(error) => (None, error.to_string()),
        };
        let scratch = tempfile::tempdir().context("a folder for captures")?;
        Ok(Self { compiled, kernel, why_no_kernel, sampled: 0, scratch })
    }

    /// Reads a file.
    pub(super) fn read(&self, file: &Path) -> Result<Replayed> {
        let inner = HostEngine::new(&self.compiled.signatures, MODES);
        let mut engine = Metered { inner, told: HashSet::new(), bytes: Vec::new() };
        let mut replayed = self.replay(file, &mut engine)?;
        replayed.bytes = engine.bytes;
        Ok(replayed)
    }

    /// Writes a capture down, for everybody to read.
    pub(super) fn keep(&self, capture: &Capture) -> Result<std::path::PathBuf> {
        let path = self.scratch.path().join("made.pcap");
        let mut file = std::fs::File::create(&path)?;
        file.write_all(capture.bytes())?;
        Ok(path)
    }

    /// Reads a file in the kernel as well, if that can be done here: the reports must be the same.
    pub(super) fn compare_kernel(&mut self, file: &Path, host: &Replayed) -> Result<()> {
        let Some(mut kernel) = self.kernel.take() else { return Ok(()) };
        let there = self.replay(file, &mut kernel);
        self.kernel = Some(kernel);
        let there = there?;
        ensure!(there.reports == host.reports, "the kernel says otherwise of {}", file.display());
        self.sampled += there.flows;
        Ok(())
    }

    fn replay(&self, file: &Path, engine: &mut dyn Engine) -> Result<Replayed> {
        let files = [file.to_path_buf()];
        let signatures = self.compiled;
        let options = Options { files: &files, format: Format::Json, signatures, progress: None };
        let mut reports = Vec::new();
        let summary = replay::run(&options, engine, &mut reports)?;
        let mut caught = Vec::new();
        for line in reports.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let report: Value = serde_json::from_slice(line)?;
            if report.get("reason").and_then(Value::as_str) == Some(Reason::Unremarkable.label()) {
                continue;
            }
            let port = |name| report.get(name).and_then(Value::as_u64).unwrap_or(0) as u16;
            caught.push(Caught { ports: (port("src_port"), port("dst_port")) });
        }
        Ok(Replayed { flows: summary.flows, caught, bytes: Vec::new(), reports })
    }

    /// Whether a message is caught on a socket of which nothing was seen before, and which knows that
    /// there was something.
    pub(super) fn catches_late(&self, message: &[u8]) -> bool {
        let mut engine = HostEngine::new(&self.compiled.signatures, MODES);
        let packet = Segment::data(70_000, message).over_v4();
        let outcome = engine.packet(0, Direction::Egress, &packet, Start::Later);
        outcome.is_ok_and(|outcome| outcome.reason != Reason::Unremarkable)
    }

    /// What a reader of the tables should know.
    pub(super) fn remarks(&self) -> String {
        match &self.kernel {
            Some(_) => format!(
                "\nThe kernel's reader was given every fifth cell's capture as well, {} flows: its reports were the same.\n",
                self.sampled
            ),
            None => format!("\nThe kernel's reader was not asked: {}.\n", self.why_no_kernel),
        }
    }
}

/// Counts what was read before each verdict.
struct Metered<'a> {
    inner: HostEngine<'a>,
    told: HashSet<FlowId>,
    bytes: Vec<u32>,
}

impl Engine for Metered<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn packet(
        &mut self,
        flow: FlowId,
        direction: Direction,
        ip_packet: &[u8],
        start: Start,
    ) -> Result<Outcome, EngineError> {
        let outcome = self.inner.packet(flow, direction, ip_packet, start)?;
        if outcome.reason != Reason::Unremarkable && self.told.insert(flow) {
            let state = self.inner.state(flow);
            let read =
                state.map(|flow| flow.readers.iter().map(|reader| reader.bytes).sum::<u32>());
            self.bytes.extend(read);
        }
        Ok(outcome)
    }

    fn forget(&mut self, flow: FlowId) {
        self.inner.forget(flow);
        self.told.remove(&flow);
    }
}
