//! The engine that runs the shared functions right here.

use std::collections::HashMap;

use sentinel_common::config::Switch;
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, STOP, Start};
use sentinel_common::limits::CHUNK;
use sentinel_common::packet::{self, Source as _};
use sentinel_common::policy::TCP;
use sentinel_common::signature::{NO_RULE, Signatures};
use sentinel_common::stream;
use sentinel_common::verdict::Mode;

use super::engine::{Engine, EngineError, FlowId, Outcome};
use crate::signature::reading::Direct;

/// Does what the kernel's program does, with the same functions.
pub struct HostEngine<'a> {
    signatures: &'a Signatures,
    switch: Switch,
    flows: HashMap<FlowId, Flow>,
}

impl<'a> HostEngine<'a> {
    /// An engine that reads by these signatures and acts by this mode.
    #[must_use]
    pub fn new(signatures: &'a Signatures, stratum: Mode) -> Self {
        let switch = Switch::new(1, Mode::Off, stratum, 0, 0);
        Self { signatures, switch, flows: HashMap::new() }
    }

    /// What is known of a flow, whole; `None` before its first packet.
    #[must_use]
    pub fn state(&self, flow: FlowId) -> Option<&Flow> {
        self.flows.get(&flow)
    }
}

impl Engine for HostEngine<'_> {
    fn name(&self) -> &'static str {
        "host"
    }

    fn packet(
        &mut self,
        flow: FlowId,
        direction: Direction,
        ip_packet: &[u8],
        start: Start,
    ) -> Result<Outcome, EngineError> {
        let flow = self.flows.entry(flow).or_insert(Flow::NEW);
        if !flow.is_settled(direction, self.switch.generation()) {
            inspect(flow, self.signatures, self.switch, direction, ip_packet, start);
        }
        Ok(Outcome::of(flow))
    }

    fn forget(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
    }
}

/// One packet through its flow, step by step as sentinel-ebpf/src/replay.rs does.
fn inspect(
    flow: &mut Flow,
    signatures: &Signatures,
    switch: Switch,
    direction: Direction,
    bytes: &[u8],
    start: Start,
) {
    let Some(packet) = packet::parse(&bytes) else { return };
    let (len, sequence) = (packet.payload_len(), packet.payload_sequence());
    if len == 0 || packet.protocol != TCP || matches!(switch.stratum(), Mode::Off) {
        return;
    }
    inspect::refresh(flow, switch);
    let payload = bytes.get(packet.payload as usize..).unwrap_or(&[]);
    if !inspect::is_open(flow) && !inspect::opens(start, first_bytes(payload)) {
        return;
    }
    let [egress, ingress] = &mut flow.readers;
    let (reader, peer) = match direction {
        Direction::Egress => (egress, ingress),
        Direction::Ingress => (ingress, egress),
    };
    let skip = match inspect::admit(reader, sequence, len, start) {
        Admission::Nothing => return,
        Admission::Read(skip) => skip,
        Admission::Gap => 0,
    };
    let unread = payload.get(skip as usize..).unwrap_or(&[]);
    let found = read(reader, signatures, peer.said, unread);
    inspect::conclude(flow, direction, sequence.wrapping_add(len), found, switch.stratum());
}

/// A segment's unread bytes, chunk by chunk: a rule, [`STOP`] or [`NO_RULE`].
fn read(reader: &mut stream::Reader, signatures: &Signatures, peer: u64, unread: &[u8]) -> u32 {
    for piece in unread.chunks(CHUNK) {
        let mut chunk = [0; CHUNK];
        for (slot, &byte) in chunk.iter_mut().zip(piece) {
            *slot = byte;
        }
        let found =
            stream::read(reader, signatures, peer, &chunk, piece.len(), &Direct(signatures));
        if found != NO_RULE {
            return found;
        }
        reader.keep_to_budget();
        if reader.is_stopped() {
            return STOP;
        }
    }
    NO_RULE
}

/// The first four payload bytes; of a shorter payload the first, and spaces: as the kernel does it.
fn first_bytes(payload: &[u8]) -> [u8; 4] {
    let alone = [payload.first().copied().unwrap_or(0xff), b' ', b' ', b' '];
    (&payload).bytes::<4>(0).unwrap_or(alone)
}
