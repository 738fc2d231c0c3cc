//! One direction's segments in the order of their bytes, as the receiving kernel reads them.

use std::collections::BTreeMap;

/// Segments held back at a time; above that a gap is taken for a packet that the capture missed.
const MAX_HELD: usize = 32;

/// A segment's packet, from its IP header on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The packet's number in the capture.
    pub(super) number: u64,
    /// Sequence number of the first payload byte.
    pub(super) sequence: u32,
    /// Payload bytes.
    pub(super) len: u32,
    /// The packet.
    pub(super) bytes: Vec<u8>,
}

/// Where a direction stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Sequence number of the first byte, known from the SYN.
    first: Option<u32>,
    /// Sequence number behind the last byte handed on.
    next: Option<u32>,
    /// What places are counted from, so that a wrap does not matter.
    base: u32,
    /// Segments behind a gap, by place.
    held: BTreeMap<u64, Segment>,
    /// Bytes of their packets.
    held_bytes: usize,
}

impl Order {
    /// A SYN was seen: the stream begins here.
    pub(super) fn begin(&mut self, first: u32) {
        self.first = Some(first);
        if self.next.is_none() {
            (self.next, self.base) = (Some(first), first);
        }
    }

    /// Sequence number of the stream's first byte, where it is known.
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    /// Bytes of memory that held back packets take.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes a segment; returns those that are due, in order.
    pub(super) fn push(&mut self, segment: Segment) -> Vec<Segment> {
        let next = self.next.unwrap_or_else(|| {
            self.base = segment.sequence;
            segment.sequence
        });
        let ahead = distance(next, segment.sequence);
        if ahead > 0 {
            // The number keeps two segments of one place apart, first come first.
            let place = u64::from(segment.sequence.wrapping_sub(self.base));
            self.held_bytes += segment.bytes.len();
            self.held.insert(place << 24 | segment.number & 0xff_ffff, segment);
            return if self.held.len() > MAX_HELD { self.release_first() } else { Vec::new() };
        }
        let mut due = vec![self.hand_on(segment)];
        due.extend(self.release());
        due
    }

    /// Hands on what is held, gaps or not.
    pub(super) fn flush(&mut self) -> Vec<Segment> {
        let mut due = Vec::new();
        while !self.held.is_empty() {
            due.extend(self.release_first());
        }
        due
    }

    fn release_first(&mut self) -> Vec<Segment> {
        let Some((_, segment)) = self.held.pop_first() else { return Vec::new() };
        self.held_bytes = self.held_bytes.saturating_sub(segment.bytes.len());
        let mut due = vec![self.hand_on(segment)];
        due.extend(self.release());
        due
    }

    /// Whatever is held and no longer behind a gap.
    fn release(&mut self) -> Vec<Segment> {
        let mut due = Vec::new();
        while let Some(entry) = self.held.first_entry() {
            let ready = self.next.is_some_and(|next| distance(next, entry.get().sequence) <= 0);
            if !ready {
                break;
            }
            let segment = entry.remove();
            self.held_bytes = self.held_bytes.saturating_sub(segment.bytes.len());
            due.push(self.hand_on(segment));
        }
        due
    }

    fn hand_on(&mut self, segment: Segment) -> Segment {
        let end = segment.sequence.wrapping_add(segment.len);
        if self.next.is_none_or(|next| distance(next, end) > 0) {
            self.next = Some(end);
        }
        segment
    }
}

/// How far `to` lies ahead of `from`; negative when it lies behind (RFC 9293 section 3.4).
pub(super) fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

#[cfg(test)]
mod tests {
    use super::{Order, Segment};

    fn segment(number: u64, sequence: u32, len: u32) -> Segment {
        Segment { number, sequence, len, bytes: vec![0; 40] }
    }

    fn numbers(due: &[Segment]) -> Vec<u64> {
        due.iter().map(|segment| segment.number).collect()
    }

    #[test]
    fn holds_back_what_comes_early_across_the_wrap() {
        let mut order = Order::default();
        order.begin(0xffff_fff0);
        assert!(order.push(segment(1, 0x10, 4)).is_empty());
        assert!(order.push(segment(2, 0, 16)).is_empty());
        assert_eq!(numbers(&order.push(segment(3, 0xffff_fff0, 16))), [3, 2, 1]);
        assert_eq!(order.held_bytes(), 0);
    }

    #[test]
    fn lets_go_when_the_gap_is_never_filled() {
        let mut order = Order::default();
        order.begin(0);
        for number in 0..32 {
            assert!(order.push(segment(number, 100 + number as u32, 1)).is_empty());
        }
        assert_eq!(order.push(segment(40, 500, 1)).len(), 32);
        assert_eq!(numbers(&order.flush()), [40]);
    }
}
