//! What a TCP socket has sent and received, out of the kernel's `struct tcp_info`.
//!
//! Layout: include/uapi/linux/tcp.h. The kernel appends fields and never moves one, and a shorter
//! structure is that of an older kernel.

/// Totals over a connection's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes that were sent, each counted once however often it was.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Segments with payload that were sent, retransmissions included.
    pub segments_out: u32,
    /// Segments with payload that were received.
    pub segments_in: u32,
    /// Milliseconds since payload was last sent.
    pub last_sent: u32,
    /// Milliseconds since payload was last received.
    pub last_received: u32,
}

impl Traffic {
    /// Takes the structure apart; `None` from a kernel before 4.19, which does not tell enough.
    pub(super) fn read(info: &[u8]) -> Option<Self> {
        let u32_at = |offset: usize| Some(u32::from_ne_bytes(*info.get(offset..)?.first_chunk()?));
        let u64_at = |offset: usize| Some(u64::from_ne_bytes(*info.get(offset..)?.first_chunk()?));
        Some(Self {
            last_sent: u32_at(44)?,
            last_received: u32_at(52)?,
            bytes_sent: u64_at(200)?.saturating_sub(u64_at(208)?),
            bytes_received: u64_at(128)?,
            segments_in: u32_at(152)?,
            segments_out: u32_at(156)?,
        })
    }

    /// Whether either side has said anything.
    #[must_use]
    pub const fn has_spoken(&self) -> bool {
        self.bytes_sent > 0 || self.bytes_received > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_structure_is_none() {
        let mut info = vec![0; 216];
        info[200] = 7;
        info[208] = 2;
        info[156] = 3;
        assert_eq!(Traffic::read(&info).map(|traffic| traffic.bytes_sent), Some(5));
        assert_eq!(Traffic::read(&info).map(|traffic| traffic.segments_out), Some(3));
        assert!((0..216).all(|end| Traffic::read(&info[..end]).is_none()));
    }
}
