//! Up to the name: TLS handshakes and DNS questions.

use super::state::*;
use super::{Frame, flag};

/// A ClientHello in one record up to its server name (RFC 8446 sections 4.1.2 and 5.1, RFC 6066
/// section 3).
#[inline(always)]
pub(super) const fn tls(frame: Frame, byte: u64, last: u64) -> Frame {
    if let Some(frame) = frame.missing() {
        return frame;
    }
    let short = last & 0xffff;
    match frame.state() {
        TLS_RECORD if last >> 24 & 0xff == 3 => frame.field(TLS_HELLO, 4),
        // Handshake type 1; then two bytes of version and 32 of randomness.
        TLS_HELLO if last >> 24 & 0xff == 1 => frame.skip(TO_TLS_SESSION, 34),
        TLS_SESSION => frame.skip(TO_TLS_CIPHERS, byte),
        TLS_CIPHERS => frame.skip(TO_TLS_COMPRESSION, short),
        TLS_COMPRESSION => frame.skip(TO_TLS_EXTENSIONS, byte),
        TLS_EXTENSIONS if short == 0 => frame.to(TLS_NAMELESS),
        TLS_EXTENSIONS => frame.field(TLS_EXTENSION, 4).within(short),
        TLS_EXTENSION if last >> 16 & 0xffff == 0 => frame.field(TLS_NAME, 5),
        TLS_EXTENSION => {
            let rest = frame.rest().saturating_sub(short + 4);
            if rest == 0 {
                frame.to(TLS_NAMELESS)
            } else {
                frame.within(rest).skip(TO_TLS_EXTENSION, short)
            }
        }
        // A list's length, the kind of name (0, a host's) and the name's length.
        TLS_NAME if last >> 16 & 0xff == 0 && short != 0 && short < 256 => {
            frame.with_flags(0).skip(TLS_NAME_RUN, short)
        }
        _ => frame.to(STOP),
    }
}

/// RFC 1035 section 4.1.2: labels up to the empty one. A question's name is never compressed.
#[inline(always)]
pub(super) const fn dns(frame: Frame, byte: u64, last: u64) -> Frame {
    if frame.state() == DNS_LENGTH {
        return match frame.missing() {
            Some(frame) => frame,
            None => Frame::dns((last & 0xffff).saturating_sub(12)),
        };
    }
    let rest = frame.rest();
    if byte == 0 {
        let rest = rest.saturating_sub(1);
        return frame.to(DNS_NAME_DONE).run(rest);
    }
    if byte > 63 || rest <= byte {
        return frame.to(STOP);
    }
    frame.with_flags(frame.flags() | flag::LABEL).within(rest - byte - 1).skip(DNS_LABEL_RUN, byte)
}

impl Frame {
    /// Behind a DNS question's name: the rest of its message, then the next one.
    #[inline(always)]
    #[must_use]
    pub const fn next_dns(self) -> Self {
        self.with_flags(0).skip(TO_DNS_LENGTH, self.left() as u64)
    }

    /// A run of a name goes on.
    #[inline(always)]
    #[must_use]
    pub const fn named(self) -> Self {
        self.with_flags(flag::NAMED)
    }
}
