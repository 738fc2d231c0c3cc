//! Preambles of proxies: PROXY, SOCKS 4 and 5.

use super::state::*;
use super::{Frame, flag};

/// PROXY version 2 begins with `0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A`; blank lines begin alike. Then
/// version and command, family, and the length of what follows (the PROXY protocol, section 2.2).
#[inline(always)]
pub(super) const fn proxy(frame: Frame, byte: u64, last: u64) -> Frame {
    if frame.state() == PROXY_HEADER {
        return match frame.missing() {
            Some(frame) => frame,
            None => frame.skip(TO_OPENING, last & 0xffff),
        };
    }
    match (frame.count(), byte) {
        (1 | 3, 0x0a) | (2, 0x0d) => frame.counting(frame.count() + 1),
        (4, 0) => frame.field(PROXY_HEADER, 11),
        _ => frame.to(PLAIN_FROM_HERE),
    }
}

/// PROXY version 1 is one line (section 2.1), and behind it a stream begins. Another word in capitals
/// is a method; what that is called nobody asks, so the lexer does not miss what was read of it.
#[inline(always)]
pub(super) const fn proxy_line(frame: Frame, byte: u64) -> Frame {
    let byte = byte as u8;
    if frame.state() == PROXY_LINE {
        return if byte == b'\n' { Frame::new(OPENING, frame.flags()) } else { frame };
    }
    match (frame.count(), byte) {
        (1, b'R') | (2, b'O') | (3, b'X') | (4, b'Y') => frame.counting(frame.count() + 1),
        (5, b' ') => frame.to(PROXY_LINE),
        (_, b'A'..=b'Z') => frame.to(PLAIN_FROM_HERE),
        _ => frame.to(STOP),
    }
}

/// SOCKS version 5 (RFC 1928, RFC 1929) and version 4 with 4a's host name.
#[inline(always)]
pub(super) const fn socks(frame: Frame, byte: u64, last: u64) -> Frame {
    match frame.state() {
        SOCKS4_HEADER => match frame.missing() {
            Some(frame) => frame,
            // The address 0.0.0.x stands for a name behind the user's.
            None if last >> 8 & 0xff_ffff == 0 && byte != 0 => frame.field(SOCKS4_STRING, 2),
            None => frame.field(SOCKS4_STRING, 1),
        },
        SOCKS4_STRING if byte != 0 => frame,
        SOCKS4_STRING => match frame.missing() {
            Some(frame) => frame,
            None => Frame::new(OPENING, flag::SOCKS4),
        },
        SOCKS5_METHODS => frame.skip(TO_SOCKS5_NEXT, byte),
        SOCKS5_NEXT => match byte {
            5 => frame.field(SOCKS5_ADDRESS, 3),
            1 => frame.to(SOCKS5_USER),
            _ => frame.to(STOP),
        },
        SOCKS5_USER => frame.skip(TO_SOCKS5_PASSWORD, byte),
        SOCKS5_PASSWORD => frame.skip(TO_SOCKS5_NEXT, byte),
        SOCKS5_HOST => frame.skip(TO_OPENING, byte + 2),
        // The method that was chosen: 2 asks for a password and answers it with two bytes.
        SOCKS5_ANSWER => match byte {
            0 => frame.field(SOCKS5_ADDRESS, 4),
            2 => frame.skip(TO_SOCKS5_ANSWER, 2),
            _ => frame.to(STOP),
        },
        _ => match (frame.missing(), byte) {
            (Some(frame), _) => frame,
            (None, 1) => frame.skip(TO_OPENING, 6),
            (None, 3) => frame.to(SOCKS5_HOST),
            (None, 4) => frame.skip(TO_OPENING, 18),
            (None, _) => frame.to(STOP),
        },
    }
}
