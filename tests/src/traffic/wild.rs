//! A flow of any kind, as the packets that reach a hook: cut anywhere, sent again with other bytes,
//! with holes, out of order, in headers of every shape. The same seed and number, the same flow.

use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;

use super::capture::Ends;
use super::speech;
use crate::packets::Segment;
use crate::random::Random;

/// Payload of one packet, at most: what a test run has room for.
const LARGEST: usize = 2900;

/// A packet as an engine gets it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Which way it goes.
    pub direction: Direction,
    /// What is known of its place in the stream.
    pub start: Start,
    /// The packet, from its IP header on.
    pub bytes: Vec<u8>,
}

/// The flow of this number.
#[must_use]
pub fn flow(seed: u64, number: u64) -> Vec<Packet> {
    let mut random = Random::of(seed, number);
    let turns = speech::any(&mut random);
    let mut flow = Writer::new(random);
    for turn in turns {
        flow.turn(turn.direction, &turn.whole());
    }
    flow.packets
}

struct Writer {
    random: Random,
    packets: Vec<Packet>,
    /// The next sequence number of each side.
    next: [u32; 2],
    begun: [bool; 2],
    /// What the flow's socket knows of beginnings; `None`: all.
    start: Option<Start>,
    shape: Shape,
}

/// Headers of a flow's packets.
#[derive(Clone, Copy)]
enum Shape {
    V4,
    V4Options,
    V6,
    V6Extensions,
    /// Each packet has its own.
    Any,
    /// Datagrams, over IPv4 or IPv6.
    Udp,
}

impl Writer {
    fn new(mut random: Random) -> Self {
        let near_wrap = 0xffff_ffff - random.below(200) as u32;
        let first = if random.one_in(3) { near_wrap } else { random.word() as u32 };
        let start = match random.below(20) {
            0 | 1 => Some(Start::Unknown),
            2 => Some(Start::Later),
            _ => None,
        };
        let shapes = [Shape::V4, Shape::V4Options, Shape::V6, Shape::V6Extensions, Shape::Any];
        let tcp = random.pick(&shapes).copied().unwrap_or(Shape::V4);
        let shape = if random.one_in(12) { Shape::Udp } else { tcp };
        let next = [first, random.word() as u32];
        Self { random, packets: Vec::new(), next, begun: [false; 2], start, shape }
    }

    fn turn(&mut self, direction: Direction, said: &[u8]) {
        // Small pieces of long turns would be most of all packets.
        let longest = match self.random.below(8) {
            0..=2 => LARGEST,
            3 if said.len() < 300 => 1,
            3 | 4 if said.len() < 1500 => 40,
            _ => 400,
        };
        let mut rest = said;
        while !rest.is_empty() {
            let len = 1 + self.random.below(longest.min(rest.len()));
            let len = if longest == LARGEST { rest.len().min(LARGEST) } else { len };
            let (piece, after) = rest.split_at(len);
            rest = after;
            self.piece(direction, piece);
        }
    }

    /// One stretch of the stream, and what may happen to it on the way.
    fn piece(&mut self, direction: Direction, piece: &[u8]) {
        let [egress, ingress] = &mut self.next;
        let next = if direction == Direction::Egress { egress } else { ingress };
        let sequence = *next;
        *next = next.wrapping_add(piece.len() as u32);
        if self.random.one_in(40) {
            // Lost, and never sent again: a hole.
            return;
        }
        self.segment(direction, sequence, piece);
        if self.random.one_in(12) {
            let mut lie = piece.to_vec();
            lie.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
            self.segment(direction, sequence, &lie);
        }
        if self.random.one_in(12) {
            let before = self.random.below(20);
            let lie = self.random.bytes(before + piece.len());
            self.segment(direction, sequence.wrapping_sub(before as u32), &lie);
        }
        if self.random.one_in(30) {
            let len = self.random.below(80);
            let garbage = self.random.bytes(len);
            let anywhere = sequence.wrapping_add(self.random.below(5000) as u32);
            self.segment(direction, anywhere, &garbage);
        }
        if self.random.one_in(30) {
            let other =
                if direction == Direction::Egress { Direction::Ingress } else { Direction::Egress };
            self.segment(other, self.random.clone().word() as u32, b"");
        }
        if self.random.one_in(30) && self.packets.len() > 1 {
            let last = self.packets.len() - 1;
            self.packets.swap(last, last - 1);
        }
    }

    fn segment(&mut self, direction: Direction, sequence: u32, payload: &[u8]) {
        let [egress, ingress] = &mut self.begun;
        let begun = if direction == Direction::Egress { egress } else { ingress };
        let start = self.start.unwrap_or(if *begun { Start::Later } else { Start::First });
        *begun |= !payload.is_empty();
        let payload = payload.get(..LARGEST).unwrap_or(payload);
        let flags =
            self.random.pick(&[0x18, 0x18, 0x18, 0x10, 0x02, 0x11]).copied().unwrap_or(0x18);
        let segment = Segment { flags, ..Segment::data(sequence, payload) };
        let mut bytes = match self.shape {
            Shape::Udp => {
                let ends = Ends { v6: self.random.one_in(2), client: 40_000, server: 443 };
                ends.udp(direction, payload)
            }
            shape => shaped(&segment, shape, &mut self.random),
        };
        if self.random.one_in(200) {
            let at = self.random.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.random.below(8);
            }
        }
        if self.random.one_in(200) {
            // A test run takes nothing shorter than the fixed header.
            let least = if bytes.first().is_some_and(|first| first >> 4 == 6) { 40 } else { 20 };
            let len = least + self.random.below(bytes.len() - least);
            bytes.truncate(len);
        }
        self.packets.push(Packet { direction, start, bytes });
    }
}

fn shaped(segment: &Segment<'_>, shape: Shape, random: &mut Random) -> Vec<u8> {
    match shape {
        Shape::V4 | Shape::Udp => segment.over_v4(),
        Shape::V6 => segment.over_v6(),
        Shape::V4Options => with_options(segment.over_v4(), random),
        Shape::V6Extensions => with_extensions(segment.over_v6(), random),
        Shape::Any => {
            let shapes = [Shape::V4, Shape::V4Options, Shape::V6, Shape::V6Extensions];
            let shape = random.pick(&shapes).copied().unwrap_or(Shape::V4);
            shaped(segment, shape, random)
        }
    }
}

/// IP options, and at times TCP options as well.
fn with_options(mut packet: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let tcp_words = random.below(11);
    let tcp_options = random.bytes(tcp_words * 4);
    if let Some(data_offset) = packet.get_mut(32) {
        *data_offset = (5 + tcp_words as u8) << 4;
    }
    packet.splice(40..40, tcp_options);
    let words = random.below(11);
    let options = random.bytes(words * 4);
    if let Some(first) = packet.first_mut() {
        *first = 0x45 + words as u8;
    }
    packet.splice(20..20, options);
    packet
}

/// A chain of up to ten extension headers: two more than are walked.
fn with_extensions(mut packet: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const KINDS: [u8; 6] = [0, 43, 60, 135, 51, 44];
    let kinds: Vec<u8> =
        (0..random.below(11)).map(|_| random.pick(&KINDS).copied().unwrap_or(60)).collect();
    let mut chain = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let next = kinds.get(index + 1).copied().unwrap_or(6);
        let units = random.below(3);
        match kind {
            44 => {
                let later = if random.one_in(6) { 8 } else { 0 };
                chain.extend([next, 0, 0, later | 1, 0, 0, 0, 7]);
            }
            51 => {
                chain.extend([next, units as u8 + 1]);
                chain.extend(random.bytes(units * 4 + 10));
            }
            _ => {
                chain.extend([next, units as u8]);
                chain.extend(random.bytes(units * 8 + 6));
            }
        }
    }
    if let Some(first) = packet.get_mut(6) {
        *first = kinds.first().copied().unwrap_or(6);
    }
    packet.splice(40..40, chain);
    packet
}

#[cfg(test)]
mod tests {
    use super::flow;

    #[test]
    fn a_number_is_a_flow_and_its_packets_fit_a_test_run() {
        let bytes = |number| -> Vec<Vec<u8>> {
            flow(1, number).into_iter().map(|packet| packet.bytes).collect()
        };
        assert_eq!(bytes(3), bytes(3));
        for number in 0..2000 {
            assert!(bytes(number).iter().all(|packet| (20..3400).contains(&packet.len())));
        }
    }
}
