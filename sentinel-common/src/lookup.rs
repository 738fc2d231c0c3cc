//! Lookups: answers that name addresses, told to userspace as they are, so that flows can be explained by
//! the names that led to them.

use crate::address::Address;

/// Bytes of an answer that are told: what a datagram may carry at least (RFC 1035 section 2.3.4). What
/// is beyond is left out, and the record says so.
pub const MESSAGE: usize = 512;
/// Questions under way that no policy's pattern is about, in slot [`AskedSlot::slot`]. They have a place of
/// their own, so that they take nothing from those that policies learn by.
pub const ASKED_SLOTS: usize = 16_384;
/// Bytes of the ring that may wait to be read when a lookup is told, so that a flood of answers leaves
/// three quarters of it to verdicts.
pub const RING_SHARE: u64 = crate::limits::RING_BYTES as u64 / 4;

/// An answer that one of this host's sockets was waiting for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// When it came, nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The asking socket's cookie.
    pub cookie: u64,
    /// The asking socket's cgroup.
    pub cgroup: u64,
    /// Who answered.
    pub server: Address,
    /// Over which IP protocol.
    pub protocol: u32,
    /// Keeps what follows aligned; zero.
    pub reserved: u32,
    /// Bytes of the whole message.
    pub whole: u32,
    /// Bytes of `message` in use.
    pub len: u32,
    /// The message (RFC 1035 section 4.1), from its first byte on.
    pub message: [u8; MESSAGE],
}

/// A question that no pattern is about.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedSlot {
    /// The socket's cookie; the slot may since belong to another socket.
    pub cookie: u64,
    /// Hash of the name, and in place of its lowest bits the message's id.
    pub question: u64,
}

impl AskedSlot {
    /// A question of a socket.
    #[inline(always)]
    #[must_use]
    pub const fn new(cookie: u64, id: u16, name: u64) -> Self {
        Self { cookie, question: name & !0xffff | id as u64 }
    }

    /// Its slot.
    #[inline(always)]
    #[must_use]
    pub const fn slot(&self) -> u32 {
        let mixed =
            (self.cookie.rotate_left(40) ^ self.question).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as u32 & (ASKED_SLOTS as u32 - 1)
    }
}

const _: () = {
    assert!(size_of::<Lookup>() == 56 + MESSAGE);
    assert!(size_of::<Lookup>() != size_of::<crate::event::Event>());
    assert!(MESSAGE.is_power_of_two() && ASKED_SLOTS.is_power_of_two());
};
