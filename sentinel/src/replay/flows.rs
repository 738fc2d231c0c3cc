//! Which packets belong together, and who began.

use std::collections::{BTreeMap, HashMap};

use sentinel_common::address::Address;
use sentinel_common::flow::Direction;
use sentinel_common::limits::REPLAY_FLOWS;

use super::engine::{FlowId, Outcome};
use super::order::Order;
use super::view::View;

/// One end of a flow: address and port.
type End = (Address, u16);
/// Both ends, the lower first, and the protocol.
type Key = (u8, End, End);

/// One of something for each direction.
#[derive(Default)]
pub(super) struct Sides<T> {
    egress: T,
    ingress: T,
}

impl<T> Sides<T> {
    pub(super) fn of(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }
}

/// What is known of a flow.
pub(super) struct Flow {
    pub(super) id: FlowId,
    key: Key,
    /// Who began: sent the SYN, or spoke first where no SYN was seen.
    pub(super) initiator: End,
    pub(super) responder: End,
    pub(super) protocol: u8,
    pub(super) packets: u64,
    /// Payload bytes, repeated ones included.
    pub(super) bytes: u64,
    pub(super) orders: Sides<Order>,
    /// A segment's checksum was right, so a wrong one tells something.
    pub(super) checked: Sides<bool>,
    /// Sequence number of the SYN that opened the flow.
    opened_by: Option<u32>,
    pub(super) finding: Option<Finding>,
    last_packet: u64,
}

/// A verdict other than "unremarkable", and where it fell.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) packet: u64,
    pub(super) direction: Direction,
    /// The rule to name it by: the most specific that the packet completes.
    pub(super) rule: u32,
}

/// The flows under way, as many as [`REPLAY_FLOWS`]; the one silent for longest gives way.
#[derive(Default)]
pub(super) struct Flows {
    by_key: HashMap<Key, FlowId>,
    flows: HashMap<FlowId, Flow>,
    /// Number of its last packet to the flow.
    recency: BTreeMap<u64, FlowId>,
    next_id: FlowId,
}

/// The flow of a packet, its direction, and the flow that had to end for it.
pub(super) struct Found<'a> {
    pub(super) flow: &'a mut Flow,
    pub(super) direction: Direction,
    pub(super) ended: Option<Flow>,
    /// It ended for want of room, not because its ports were used again.
    pub(super) evicted: bool,
}

impl Flows {
    /// Flows that number on from `next_id`.
    pub(super) fn starting_at(next_id: FlowId) -> Self {
        Self { next_id, ..Self::default() }
    }

    /// Finds or makes the packet's flow; `None` where the packet has no ports to know.
    pub(super) fn find(&mut self, packet: &View<'_>, number: u64) -> Option<Found<'_>> {
        let (source_port, destination_port) = packet.headers.ports?;
        let source = (packet.source, source_port);
        let destination = (packet.destination, destination_port);
        let key = (packet.headers.protocol, source.min(destination), source.max(destination));
        let (mut ended, mut evicted) = (None, false);
        let known = self.by_key.get(&key).and_then(|id| self.flows.get(id));
        if let Some(flow) = known
            && packet.headers.opens_connection()
            && flow.opened_by != Some(packet.headers.sequence)
        {
            // The ports are used again: whatever comes now is another connection's.
            let id = flow.id;
            ended = self.end(id);
        }
        if !self.by_key.contains_key(&key) {
            if self.flows.len() >= REPLAY_FLOWS
                && let Some((_, &oldest)) = self.recency.first_key_value()
            {
                ended = self.end(oldest);
                evicted = true;
            }
            self.open(key, packet, source, destination);
        }
        let id = *self.by_key.get(&key)?;
        let flow = self.flows.get_mut(&id)?;
        self.recency.remove(&flow.last_packet);
        self.recency.insert(number, id);
        flow.last_packet = number;
        let egress = source == flow.initiator;
        let direction = if egress { Direction::Egress } else { Direction::Ingress };
        Some(Found { flow, direction, ended, evicted })
    }

    fn open(&mut self, key: Key, packet: &View<'_>, source: End, destination: End) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        // A SYN with an ACK is an answer: the other side began.
        let is_answer = packet.is_syn() && !packet.headers.opens_connection();
        let (initiator, responder) =
            if is_answer { (destination, source) } else { (source, destination) };
        let flow = Flow {
            id,
            key,
            initiator,
            responder,
            protocol: packet.headers.protocol,
            packets: 0,
            bytes: 0,
            orders: Sides::default(),
            checked: Sides::default(),
            opened_by: packet.headers.opens_connection().then_some(packet.headers.sequence),
            finding: None,
            last_packet: 0,
        };
        self.by_key.insert(key, id);
        self.flows.insert(id, flow);
    }

    fn end(&mut self, id: FlowId) -> Option<Flow> {
        let flow = self.flows.remove(&id)?;
        self.by_key.remove(&flow.key);
        self.recency.remove(&flow.last_packet);
        Some(flow)
    }

    /// All flows under way, in the order of their beginning.
    pub(super) fn drain(&mut self) -> Vec<Flow> {
        let mut flows: Vec<Flow> = self.flows.drain().map(|(_, flow)| flow).collect();
        self.by_key.clear();
        self.recency.clear();
        flows.sort_by_key(|flow| flow.id);
        flows
    }
}
