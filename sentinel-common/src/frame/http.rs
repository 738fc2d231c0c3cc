//! What HTTP may carry besides plain bodies: websocket frames and chunks.

use super::state::*;
use super::{Frame, flag};

/// RFC 6455 section 5.2. A message that an extension has changed (RSV bits: compression) is passed
/// over, with the frames that continue it.
#[inline(always)]
pub(super) const fn websocket(frame: Frame, byte: u64) -> Frame {
    match frame.state() {
        WEBSOCKET => {
            let (opcode, changed) = (byte & 15, byte & 0x70 != 0);
            let before = frame.flags() & flag::MESSAGE;
            let message = match opcode {
                0 => before,
                1..8 if changed => 0,
                1..8 => flag::MESSAGE,
                // Control frames may stand between the frames of a message.
                _ => before,
            };
            // Whether this frame is to be read goes into the count until its length is known.
            let reads = if opcode < 8 { message } else { 0 };
            frame.with_flags(message).field(WEBSOCKET_LENGTH, 0).within(reads)
        }
        WEBSOCKET_LENGTH => {
            let flags = frame.flags() & flag::MESSAGE | byte >> 7;
            let frame = frame.with_flags(flags);
            match byte & 0x7f {
                126 => frame.run(0).field(WEBSOCKET_EXTENDED, 2),
                127 => frame.run(0).field(WEBSOCKET_EXTENDED, 8),
                length => websocket_mask(frame.run(length)),
            }
        }
        WEBSOCKET_EXTENDED => {
            let frame = frame.run((frame.left() as u64) << 8 | byte);
            match frame.missing() {
                Some(frame) => frame,
                None => websocket_mask(frame),
            }
        }
        _ => match frame.missing() {
            Some(frame) => frame,
            None => websocket_payload(frame),
        },
    }
}

#[inline(always)]
pub(super) const fn websocket_mask(frame: Frame) -> Frame {
    if frame.flags() & flag::MASKED != 0 {
        frame.field(WEBSOCKET_MASK, 4)
    } else {
        websocket_payload(frame)
    }
}

#[inline(always)]
pub(super) const fn websocket_payload(frame: Frame) -> Frame {
    let run = if frame.rest() != 0 { WEBSOCKET_PAYLOAD } else { TO_WEBSOCKET };
    frame.counting(0).skip(run, frame.left() as u64)
}

/// RFC 9112 section 7.1.
#[inline(always)]
pub(super) const fn chunk(frame: Frame, byte: u64) -> Frame {
    let digit = match byte {
        0x30..=0x39 => byte & 15,
        0x41..=0x46 | 0x61..=0x66 => (byte & 15) + 9,
        _ => 16,
    };
    match (frame.state(), byte) {
        (CHUNK_END, b) if b == b'\n' as u64 => frame.to(CHUNK).run(0),
        (CHUNK_END, _) => frame,
        (_, b) if b == b'\n' as u64 => {
            if frame.left() == 0 {
                frame.to(PLAIN_NEXT)
            } else {
                frame.to(CHUNK_DATA)
            }
        }
        (CHUNK, _) if digit < 16 => frame.run((frame.left() as u64) << 4 | digit),
        (CHUNK, b) if b == b'\r' as u64 => frame,
        _ => frame.to(CHUNK_EXTENSION),
    }
}
