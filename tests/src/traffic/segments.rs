//! Turns as the packets of one flow, cut in a way that has a name.

use sentinel_common::flow::Direction;

use super::Turn;
use super::capture::{ACK, Capture, Ends, PSH_ACK, SYN};

/// Payload bytes of a packet that nobody cuts.
const MSS: usize = 1400;

/// How a side's turns are cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segmentation {
    /// Not at all, below the size of a packet.
    Whole,
    /// The turn of this number before this byte.
    Split(usize, usize),
    /// A byte each.
    Bytes,
    /// Pieces of 20 bytes, each pair the wrong way round. Where no handshake was seen, the first
    /// piece stays in front: what comes before the first byte seen was never there for anybody.
    OutOfOrder,
    /// The first half, then other bytes in its place, then the rest with an overlap that lies.
    Retransmitted,
}

impl Segmentation {
    /// What to call it; all splits have one name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Split(..) => "split",
            Self::Bytes => "single bytes",
            Self::OutOfOrder => "out of order",
            Self::Retransmitted => "retransmitted",
        }
    }

    /// Every segmentation of what a side says in these turns.
    #[must_use]
    pub fn all(turns: &[Turn], side: Direction) -> Vec<Self> {
        let mut all = vec![Self::Whole, Self::Bytes, Self::OutOfOrder, Self::Retransmitted];
        for (number, turn) in turns.iter().enumerate().filter(|(_, turn)| turn.direction == side) {
            let len = turn.preamble.len() + turn.bytes.len();
            all.extend((1..len).map(|at| Self::Split(number, at)));
        }
        all
    }

    /// The pieces of a turn as they are sent: place in the turn, bytes.
    fn cut(self, number: usize, bytes: &[u8], from_the_start: bool) -> Vec<(usize, Vec<u8>)> {
        let every = |len: usize| {
            let piece = move |(index, piece): (usize, &[u8])| (index * len, piece.to_vec());
            bytes.chunks(len).enumerate().map(piece).collect::<Vec<_>>()
        };
        match self {
            Self::Split(turn, at) if turn == number && at < bytes.len() => {
                let (front, back) = bytes.split_at(at);
                vec![(0, front.to_vec()), (at, back.to_vec())]
            }
            Self::Whole | Self::Split(..) => every(MSS),
            Self::Bytes => every(1),
            Self::OutOfOrder => {
                let mut pieces = every(20);
                let fixed = if from_the_start { 0 } else { 1 };
                if let Some(pieces) = pieces.get_mut(fixed..) {
                    pieces.chunks_mut(2).for_each(<[_]>::reverse);
                }
                pieces
            }
            Self::Retransmitted => {
                let half = bytes.len() / 2;
                let (front, back) = bytes.split_at(half);
                let lie = vec![b'x'; half];
                let overlap = lie.iter().skip(half / 2).chain(back).copied().collect();
                let mut pieces = vec![(0, front.to_vec()), (0, lie), (half / 2, overlap)];
                pieces.retain(|(_, piece)| !piece.is_empty());
                pieces
            }
        }
    }
}

/// How a flow is written down.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Datagrams instead of segments.
    pub udp: bool,
    /// Whether the handshake was seen.
    pub from_the_start: bool,
    /// Whose turns are cut; the other side's come whole.
    pub side: Direction,
    /// How.
    pub segmentation: Segmentation,
}

/// Writes the turns as a flow into a capture.
pub fn write(capture: &mut Capture, ends: Ends, turns: &[Turn], manner: Manner) {
    if manner.udp {
        for turn in turns {
            for line in turn.whole().split_inclusive(|byte| *byte == b'\n') {
                capture.push(&ends.udp(turn.direction, line));
            }
        }
        return;
    }
    // The next number of each side; the server's is about to wrap.
    let mut next = [1000_u32, 0xffff_ff80];
    if manner.from_the_start {
        let [client, server] = next;
        capture.push(&ends.tcp(Direction::Egress, (client, 0), SYN, b""));
        capture.push(&ends.tcp(Direction::Ingress, (server, client + 1), SYN | ACK, b""));
        next = [client + 1, server + 1];
        capture.push(&ends.tcp(Direction::Egress, (client + 1, server + 1), ACK, b""));
    }
    for (number, turn) in turns.iter().enumerate() {
        let [client, server] = &mut next;
        let (own, other) = match turn.direction {
            Direction::Egress => (client, *server),
            Direction::Ingress => (server, *client),
        };
        let cut =
            if turn.direction == manner.side { manner.segmentation } else { Segmentation::Whole };
        let bytes = turn.whole();
        for (at, piece) in cut.cut(number, &bytes, manner.from_the_start) {
            let sequence = own.wrapping_add(at as u32);
            capture.push(&ends.tcp(turn.direction, (sequence, other), PSH_ACK, &piece));
        }
        *own = own.wrapping_add(bytes.len() as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_says_the_same_to_a_receiver_that_keeps_the_first_copy() {
        let said: Vec<u8> = (0..=99).collect();
        let turns = [Turn::client(said.clone())];
        for cut in Segmentation::all(&turns, Direction::Egress) {
            let mut received = vec![None; said.len()];
            for (at, piece) in cut.cut(0, &said, true) {
                for (place, byte) in received[at..].iter_mut().zip(piece) {
                    place.get_or_insert(byte);
                }
            }
            let received: Option<Vec<u8>> = received.into_iter().collect();
            assert_eq!(received, Some(said.clone()), "{cut:?}");
        }
        assert_eq!(Segmentation::all(&turns, Direction::Egress).len(), 4 + 99);
    }
}
