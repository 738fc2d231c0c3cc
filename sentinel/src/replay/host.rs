//! The engine that runs the shared functions right here.

use std::collections::HashMap;

use sentinel_common::config::{Modes, Policies, Switch};
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::{self, Admission, Arrival, Facts, Opening, Start};
use sentinel_common::packet::{self, Source as _};
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::signature::Signatures;

use super::engine::{Engine, EngineError, FlowId, Outcome};
use crate::signature::reading::Direct;

/// Number of the set that a kernel just loaded has in force: both engines leave the same state.
const FIRST_SET: u32 = 1;

/// Does what the kernel's program does, with the same functions.
pub struct HostEngine<'a> {
    signatures: &'a Signatures,
    switch: Switch,
    flows: HashMap<FlowId, Flow>,
}

impl<'a> HostEngine<'a> {
    /// An engine that reads by these signatures and acts by these modes.
    #[must_use]
    pub fn new(signatures: &'a Signatures, modes: Modes) -> Self {
        let switch = Switch::new(1, modes, Policies::default(), FIRST_SET);
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
    let (len, protocol) = (packet.payload_len(), packet.protocol);
    if len == 0 || (protocol != TCP && protocol != UDP) {
        return;
    }
    inspect::refresh(flow, switch);
    let payload = bytes.get(packet.payload as usize..).unwrap_or(&[]);
    let goes_on = inspect::goes_on(flow, direction, protocol);
    let mut opening = Opening::Closed;
    if !goes_on || protocol != TCP {
        let facts = Facts::of(&packet, direction, start);
        opening = inspect::opening(facts, first_bytes(payload), switch);
        if opening == Opening::Closed && !goes_on {
            return;
        }
    }
    let arrival = Arrival { sequence: packet.payload_sequence(), len, start, opening, protocol };
    let skip = match inspect::admit(flow, direction, switch, &arrival) {
        Admission::Nothing => return,
        Admission::Read(skip) => skip,
        Admission::Gap => 0,
    };
    let [egress, ingress] = &mut flow.readers;
    let (reader, peer) = match direction {
        Direction::Egress => (egress, &*ingress),
        Direction::Ingress => (ingress, &*egress),
    };
    let direct = Direct { signatures, bytes: payload };
    let said = peer.said_under(reader.table());
    let found = direct.read(reader, (said, peer.bytes), skip);
    inspect::conclude(flow, direction, &arrival, found, switch);
}

/// The first four payload bytes; of a shorter payload the first, and spaces: as the kernel does it.
fn first_bytes(payload: &[u8]) -> [u8; 4] {
    let alone = [payload.first().copied().unwrap_or(0xff), b' ', b' ', b' '];
    (&payload).bytes::<4>(0).unwrap_or(alone)
}
