//! Up to the name: TLS handshakes and DNS questions.

use super::state::*;
use super::{Frame, flag};

/// A ClientHello up to its server name (RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3), in as
/// many records as the client likes.
#[inline(always)]
pub(super) const fn tls(frame: Frame, byte: u64, last: u64) -> Frame {
    if frame.state() != TLS_RECORD {
        return hello(frame, byte, last).past(1);
    }
    match frame.missing() {
        Some(frame) => frame,
        None if last >> 24 & 0xff == 3 => frame.field(TLS_HELLO, 4).in_record(last & 0xffff),
        None => frame.to(STOP),
    }
}

#[inline(always)]
const fn hello(frame: Frame, byte: u64, last: u64) -> Frame {
    if let Some(frame) = frame.missing() {
        return frame;
    }
    let short = last & 0xffff;
    match frame.state() {
        // Handshake type 1; then two bytes of version and 32 of randomness.
        TLS_HELLO if last >> 24 & 0xff == 1 => frame.skip_in_record(TO_TLS_SESSION, 34),
        TLS_SESSION => frame.skip_in_record(TO_TLS_CIPHERS, byte),
        TLS_CIPHERS => frame.skip_in_record(TO_TLS_COMPRESSION, short),
        TLS_COMPRESSION => frame.skip_in_record(TO_TLS_EXTENSIONS, byte),
        TLS_EXTENSIONS if short == 0 => frame.to(TLS_NAMELESS),
        TLS_EXTENSIONS => frame.field(TLS_EXTENSION, 4).within(short),
        TLS_EXTENSION if last >> 16 & 0xffff == 0 => frame.field(TLS_NAME, 5),
        TLS_EXTENSION => {
            let rest = frame.rest().saturating_sub(short + 4);
            if rest == 0 {
                frame.to(TLS_NAMELESS)
            } else {
                frame.within(rest).skip_in_record(TO_TLS_EXTENSION, short)
            }
        }
        // A list's length, the kind of name (0, a host's) and the name's length.
        TLS_NAME if last >> 16 & 0xff == 0 && short != 0 && short < 256 => {
            frame.skip_in_record(TLS_NAME_RUN, short)
        }
        _ => frame.to(STOP),
    }
}

/// A byte of the header of a record that the handshake goes on in: its kind, a version and a length.
/// How many there were stands in the flags.
#[inline(always)]
pub(super) const fn next_record(frame: Frame, byte: u64) -> Frame {
    let name = frame.flags() & flag::NAMED;
    let place = frame.flags() >> flag::PLACE;
    let further = frame.with_flags(name | (place + 1) << flag::PLACE);
    match (place, byte) {
        (0, 0x16) | (1, 3) | (2, _) => further,
        (3, _) => further.of_record(byte << 8),
        (4, _) => {
            let length = frame.of_this_record() | byte;
            further.to(frame.state() & !BETWEEN_RECORDS).with_flags(name).in_record(length)
        }
        _ => frame.to(STOP),
    }
}

/// A TLS handshake's frames count two things in the bytes of a run: bits 0..16 what is left of it,
/// 16..32 what is left of the record.
impl Frame {
    const fn of_this_record(self) -> u64 {
        self.0 >> 16 & 0xffff
    }
    const fn of_record(self, left: u64) -> Self {
        Self(self.0 & !0xffff_0000 | (left & 0xffff) << 16)
    }
    /// In a record of which so many bytes are left; without any, before the header of the next.
    const fn in_record(self, left: u64) -> Self {
        let ended = left == 0 && self.state() < ENDS;
        let state = if ended { self.state() | BETWEEN_RECORDS } else { self.state() };
        self.of_record(left).to(state)
    }
    const fn past(self, taken: u64) -> Self {
        self.in_record(self.of_this_record().saturating_sub(taken))
    }
    const fn skip_in_record(self, state: u8, left: u64) -> Self {
        let run = Self(self.0 & !0xffff | left & 0xffff).to(state);
        if left == 0 { run.after_run() } else { run }
    }
    pub(super) const fn is_in_record(self) -> bool {
        matches!(self.state(), TLS_NAME_RUN | TO_TLS_SESSION..=TO_TLS_EXTENSION)
    }
    /// Whether a TLS handshake is under way, before its server's name is complete.
    #[inline(always)]
    #[must_use]
    pub const fn is_hello(self) -> bool {
        self.is_in_record() || matches!(self.state() & !BETWEEN_RECORDS, TLS_RECORD..=TLS_NAME)
    }
    /// Bytes left of a run as far as it stands in this record.
    pub(super) const fn left_in_record(self) -> u32 {
        let (run, record) = (self.0 & 0xffff, self.of_this_record());
        if run < record { run as u32 } else { record as u32 }
    }
    /// After so many bytes of a run, all of this record.
    #[inline(always)]
    pub(super) const fn after_in_record(self, taken: u64) -> Self {
        let left = (self.0 & 0xffff).saturating_sub(taken);
        self.skip_in_record(self.state(), left).past(taken)
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
