//! TCP payload put together from sequence numbers, the way the receiving kernel does it.

use std::net::SocketAddr;

use super::Capture;
use super::packet::Segment;

/// Offsets from here on lie before the start of the stream: keepalive probes, old duplicates.
const BEFORE_START: u32 = u32::MAX / 2;

/// One direction of one connection as the wire carried it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// Payload from the first byte to the first gap.
    pub bytes: Vec<u8>,
    /// Payload bytes seen beyond the first gap, copies included.
    pub beyond_gap: usize,
    /// Segments that carried payload, retransmissions included.
    pub segments: usize,
    /// True if the sender reset the connection.
    pub reset: bool,
}

/// A connection while its segments are joined.
struct Assembly {
    stream: Stream,
    /// Sequence number of payload byte 0.
    start: u32,
    /// Segments ahead of the stream, by offset, in order of arrival.
    ahead: Vec<(usize, Vec<u8>)>,
}

/// Collects the streams whose segments are wanted.
pub(super) fn collect(capture: &Capture, wanted: impl Fn(&Segment<'_>) -> bool) -> Vec<Stream> {
    let mut assemblies: Vec<Assembly> = Vec::new();
    for (_, packet) in capture.packets() {
        let Some(segment) = packet.tcp().filter(&wanted) else { continue };
        let src = SocketAddr::new(packet.src, segment.src_port);
        let dst = SocketAddr::new(packet.dst, segment.dst_port);
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        // A SYN with another number opens a new connection on the same ports.
        let same = |it: &Assembly| {
            it.stream.src == src && it.stream.dst == dst && (!segment.syn || it.start == first)
        };
        let index = assemblies.iter().rposition(same).unwrap_or_else(|| {
            assemblies.push(Assembly::new(src, dst, first));
            assemblies.len() - 1
        });
        if let Some(assembly) = assemblies.get_mut(index) {
            assembly.feed(&segment, first);
        }
    }
    assemblies.into_iter().map(Assembly::finish).collect()
}

impl Assembly {
    fn new(src: SocketAddr, dst: SocketAddr, start: u32) -> Assembly {
        let bytes = Vec::new();
        let stream = Stream { src, dst, bytes, beyond_gap: 0, segments: 0, reset: false };
        Assembly { stream, start, ahead: Vec::new() }
    }

    fn feed(&mut self, segment: &Segment<'_>, first: u32) {
        self.stream.reset |= segment.rst;
        let offset = first.wrapping_sub(self.start);
        if segment.payload.is_empty() || offset >= BEFORE_START {
            return;
        }
        self.stream.segments += 1;
        self.ahead.push((offset as usize, segment.payload.to_vec()));
        while let Some(next) = self.ahead.iter().position(|(at, _)| *at <= self.stream.bytes.len())
        {
            let (at, payload) = self.ahead.remove(next);
            // The first copy of a byte counts: only what is new is taken.
            let known = self.stream.bytes.len() - at;
            self.stream.bytes.extend_from_slice(payload.get(known..).unwrap_or_default());
        }
    }

    fn finish(mut self) -> Stream {
        self.stream.beyond_gap = self.ahead.iter().map(|(_, payload)| payload.len()).sum();
        self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(segments: &[(u32, &[u8])]) -> Stream {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut assembly = Assembly::new(any, any, 0xffff_fffe);
        for &(sequence, payload) in segments {
            let (syn, rst) = (false, false);
            let segment = Segment { src_port: 1, dst_port: 2, sequence, syn, rst, payload };
            assembly.feed(&segment, sequence);
        }
        assembly.finish()
    }

    #[test]
    fn order_wrap_and_repeats_do_not_matter_and_the_first_copy_counts() {
        let stream = assembled(&[
            (1, b"def"),
            (0xffff_fffe, b"abc"),
            (0xffff_fffd, b"?"),
            (0xffff_ffff, b"XXXXXg"),
        ]);
        assert_eq!(stream.bytes, b"abcdefg".get(..7).unwrap());
        assert_eq!((stream.segments, stream.beyond_gap), (3, 0));
    }

    #[test]
    fn bytes_after_a_gap_are_counted_not_joined() {
        let stream = assembled(&[(0xffff_fffe, b"ab"), (4, b"xyz")]);
        assert_eq!((stream.bytes.as_slice(), stream.beyond_gap), (b"ab".as_slice(), 3));
    }
}
