//! A packet with its headers read.

use sentinel_common::address::Address;
use sentinel_common::packet::{self, Packet, SYN};
use sentinel_common::policy::TCP;

/// A packet, and what its headers say.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// From the IP header to the packet's end.
    pub(super) bytes: &'a [u8],
    pub(super) headers: Packet,
    pub(super) source: Address,
    pub(super) destination: Address,
}

impl<'a> View<'a> {
    /// Reads a packet's headers; `None` when they are not understood.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let headers = packet::parse(&bytes)?;
        let (source, destination) = packet::addresses(&bytes)?;
        Some(Self { bytes, headers, source, destination })
    }

    /// What follows the transport header.
    pub(super) fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.headers.payload as usize..).unwrap_or(&[])
    }

    /// Whether this is TCP with the SYN flag, answered or not.
    pub(super) fn is_syn(&self) -> bool {
        self.headers.protocol == TCP && self.headers.flags & SYN != 0
    }
}
