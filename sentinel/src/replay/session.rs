//! One capture from its first packet to its last report.

use std::io::Write;
use std::path::Path;

use pcap_parser::Linktype;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::Reason;

use super::capture::{self, Frame};
use super::checksum::{self, Checksum};
use super::engine::{Engine, EngineError, MAX_PAYLOAD};
use super::error::ReplayError;
use super::flows::{Finding, Flow, Flows, Found};
use super::fragment::Fragments;
use super::link::{self, Content};
use super::order::{Segment, distance};
use super::report::{FlowReport, Summary};
use super::view::View;
use super::{Format, Options, Progress, cut, tunnel};
use crate::signature::reading::most_specific;

/// Tunnels in tunnels that are walked at most.
const MAX_TUNNELS: usize = 4;
/// Bytes of packets held back, of all flows together; above that, gaps are not waited for.
const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Packets between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 8192;

/// Replays one file; what is wrong with the file goes into the summary.
pub(super) fn replay(
    file: &Path,
    options: &Options<'_>,
    engine: &mut dyn Engine,
    out: &mut dyn Write,
    summary: &mut Summary,
) -> Result<(), ReplayError> {
    let size = std::fs::metadata(file).map_or(0, |data| data.len());
    let flows = Flows::starting_at(summary.flows as u32);
    let name = file.display().to_string();
    let mut session = Session {
        file,
        name,
        options,
        engine,
        out,
        flows,
        fragments: Fragments::default(),
        unknown_link: None,
        understood: false,
        held_bytes: 0,
        summary,
    };
    let read = capture::read(file, |frame, bytes| {
        if let (0, Some(progress)) = (frame.number % PROGRESS_EVERY, options.progress) {
            progress(Progress { bytes, size, packets: frame.number });
        }
        session.frame(&frame)
    });
    session.finish()?;
    match (read, session.unknown_link, session.understood) {
        (Err(fatal @ (ReplayError::Engine { .. } | ReplayError::Output(_))), ..) => {
            return Err(fatal);
        }
        (Err(problem), ..) => summary.problems.push(problem),
        (Ok(()), Some(link), false) => {
            summary.problems.push(ReplayError::Link { file: file.to_path_buf(), link: link.0 });
        }
        (Ok(()), ..) => summary.files += 1,
    }
    Ok(())
}

struct Session<'a> {
    file: &'a Path,
    name: String,
    options: &'a Options<'a>,
    engine: &'a mut dyn Engine,
    out: &'a mut dyn Write,
    flows: Flows,
    fragments: Fragments,
    unknown_link: Option<Linktype>,
    /// Whether any frame had a link layer that is read.
    understood: bool,
    held_bytes: usize,
    summary: &'a mut Summary,
}

impl Session<'_> {
    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), ReplayError> {
        self.summary.packets += 1;
        let packet = match link::content(frame.link, frame.data) {
            Content::Ip(packet) => packet,
            Content::Other => {
                self.understood = true;
                self.summary.unread_packets += 1;
                return Ok(());
            }
            Content::UnknownLink => {
                self.unknown_link = Some(frame.link);
                self.summary.unread_packets += 1;
                return Ok(());
            }
        };
        self.understood = true;
        let Some(mut bytes) = self.fragments.whole(packet) else { return Ok(()) };
        for _ in 0..MAX_TUNNELS {
            let Some(packet) = View::new(&bytes) else { break };
            let Some(inner) = tunnel::inner(&packet) else {
                return self.packet(frame, &packet);
            };
            let inner = inner.to_vec();
            let Some(whole) = self.fragments.whole(&inner) else { return Ok(()) };
            bytes = whole.into_owned().into();
        }
        self.summary.unread_packets += 1;
        Ok(())
    }

    fn packet(&mut self, frame: &Frame<'_>, packet: &View<'_>) -> Result<(), ReplayError> {
        let Some(found) = self.flows.find(packet, frame.number) else {
            self.summary.unread_packets += 1;
            return Ok(());
        };
        let Found { flow, direction, ended, evicted } = found;
        let headers = packet.headers;
        flow.packets += 1;
        flow.bytes += u64::from(headers.payload_len());
        let mut due = Vec::new();
        if headers.protocol == TCP {
            let order = flow.orders.of(direction);
            if packet.is_syn() {
                order.begin(headers.payload_sequence());
            }
            if is_damaged(flow.checked.of(direction), packet, frame.whole) {
                self.summary.bad_checksums += 1;
            } else if headers.payload_len() > 0 && flow.finding.is_none() {
                let before = order.held_bytes();
                due = order.push(Segment {
                    number: frame.number,
                    sequence: headers.payload_sequence(),
                    len: headers.payload_len(),
                    bytes: packet.bytes.to_vec(),
                });
                self.held_bytes = (self.held_bytes + order.held_bytes()).saturating_sub(before);
                if self.held_bytes > MAX_HELD_BYTES {
                    self.held_bytes = self.held_bytes.saturating_sub(order.held_bytes());
                    due.extend(order.flush());
                }
            }
        }
        if headers.protocol == UDP && headers.payload_len() > 0 && flow.finding.is_none() {
            let most = headers.payload as usize + MAX_PAYLOAD;
            let bytes = packet.bytes.get(..most).unwrap_or(packet.bytes).to_vec();
            let (number, sequence) = (frame.number, 0);
            due.push(Segment { number, sequence, len: headers.payload_len(), bytes });
        }
        let judge = Judge { options: self.options, file: self.file };
        judge.all(self.engine, flow, direction, due)?;
        self.summary.evicted_flows += u64::from(evicted);
        ended.map_or(Ok(()), |ended| self.end(ended))
    }

    /// Judges what is held back still, and reports.
    fn end(&mut self, mut flow: Flow) -> Result<(), ReplayError> {
        let judge = Judge { options: self.options, file: self.file };
        for direction in [Direction::Egress, Direction::Ingress] {
            let order = flow.orders.of(direction);
            self.held_bytes = self.held_bytes.saturating_sub(order.held_bytes());
            let due = order.flush();
            judge.all(self.engine, &mut flow, direction, due)?;
        }
        self.engine.forget(flow.id);
        self.summary.flows += 1;
        self.summary.findings += u64::from(flow.finding.is_some());
        let report = FlowReport::new(&self.name, &flow, &self.options.signatures.catalogue);
        match self.options.format {
            Format::Json => {
                let line = serde_json::to_string(&report).map_err(std::io::Error::other);
                line.and_then(|line| writeln!(self.out, "{line}")).map_err(ReplayError::Output)
            }
            Format::Text if flow.finding.is_some() => {
                writeln!(self.out, "{report}").map_err(ReplayError::Output)
            }
            Format::Text => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), ReplayError> {
        self.flows.drain().into_iter().try_for_each(|flow| self.end(flow))
    }
}

/// Whether a receiver would drop this segment: a wrong checksum on a side whose checksums are right
/// otherwise. Where none ever is, the capture was taken before the network card filled them in.
fn is_damaged(was_right: &mut bool, packet: &View<'_>, whole: bool) -> bool {
    match checksum::check(packet, whole) {
        Checksum::Right => *was_right = true,
        Checksum::Wrong => return *was_right,
        Checksum::Unknown => {}
    }
    false
}

/// What it takes to hand segments to an engine.
struct Judge<'a> {
    options: &'a Options<'a>,
    file: &'a Path,
}

impl Judge<'_> {
    fn all(
        &self,
        engine: &mut dyn Engine,
        flow: &mut Flow,
        direction: Direction,
        due: Vec<Segment>,
    ) -> Result<(), ReplayError> {
        let name = engine.name();
        for segment in due {
            let number = segment.number;
            self.one(engine, flow, direction, &segment).map_err(|error| ReplayError::Engine {
                engine: name,
                file: self.file.to_path_buf(),
                packet: number,
                error,
            })?;
        }
        Ok(())
    }

    fn one(
        &self,
        engine: &mut dyn Engine,
        flow: &mut Flow,
        direction: Direction,
        segment: &Segment,
    ) -> Result<(), EngineError> {
        let Some(packet) = View::new(&segment.bytes) else { return Ok(()) };
        let first = flow.orders.of(direction).first();
        cut::cut(&packet, |piece| {
            let Some(packet) = View::new(piece) else { return Ok(()) };
            let headers = packet.headers;
            let start = start(first, headers.payload_sequence(), headers.payload_len());
            let outcome = engine.packet(flow.id, direction, piece, start)?;
            if flow.finding.is_none() && outcome.reason != Reason::Unremarkable {
                let signatures = &self.options.signatures.signatures;
                let rule = match outcome.reason {
                    Reason::Stratum => most_specific(signatures, outcome.rule, packet.payload()),
                    _ => outcome.rule,
                };
                flow.finding = Some(Finding { outcome, packet: segment.number, direction, rule });
            }
            Ok(())
        })
    }
}

/// Whether a segment holds its stream's first byte.
fn start(first: Option<u32>, sequence: u32, len: u32) -> Start {
    match first {
        None => Start::Unknown,
        Some(first) => {
            let before = distance(sequence, first);
            if before >= 0 && i64::from(before) < i64::from(len) {
                Start::First
            } else {
                Start::Later
            }
        }
    }
}
