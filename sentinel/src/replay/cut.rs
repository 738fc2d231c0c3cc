//! Large packets cut into several, as segmentation offload would.

use sentinel_common::packet::SYN;

use super::engine::MAX_PAYLOAD;
use super::view::View;

/// Hands `each` the packet, in pieces of at most [`MAX_PAYLOAD`] payload bytes that carry on each
/// other's sequence numbers. Checksums are not made anew: nothing behind this looks at them.
pub(super) fn cut<E>(
    packet: &View<'_>,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (headers, payload) = (packet.headers, packet.payload());
    if payload.len() <= MAX_PAYLOAD {
        return each(packet.bytes);
    }
    let header = packet.bytes.get(..headers.payload as usize).unwrap_or(&[]);
    let transport = headers.transport as usize;
    for (index, piece) in payload.chunks(MAX_PAYLOAD).enumerate() {
        let mut one = header.to_vec();
        one.extend_from_slice(piece);
        let before = (index * MAX_PAYLOAD) as u32;
        // The SYN takes a number of its own, in front of the payload.
        let sequence = match index {
            0 => headers.sequence,
            _ => headers.payload_sequence().wrapping_add(before),
        };
        write(&mut one, transport + 4, &sequence.to_be_bytes());
        if index > 0 {
            write(&mut one, transport + 13, &[headers.flags & !SYN]);
        }
        set_len(&mut one);
        each(&one)?;
    }
    Ok(())
}

/// Writes the packet's length where its IP header has it.
pub(super) fn set_len(packet: &mut [u8]) {
    let len = packet.len();
    match packet.first().map(|first| first >> 4) {
        Some(4) => write(packet, 2, &(len as u16).to_be_bytes()),
        Some(6) => write(packet, 4, &(len.saturating_sub(40) as u16).to_be_bytes()),
        _ => {}
    }
}

pub(super) fn write(bytes: &mut [u8], at: usize, what: &[u8]) {
    for (slot, &byte) in bytes.iter_mut().skip(at).zip(what) {
        *slot = byte;
    }
}
