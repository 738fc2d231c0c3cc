//! The other end of a workload's wire: what comes out there past the hooks on its sockets.

use crate::limits::MAX_WIRE_CGROUPS;
use crate::packet::{ACK, IPV4, IPV6, Packet, SYN};
use crate::policy::TCP;

/// TCP's reset bit (RFC 9293 section 3.1).
const RST: u8 = 0x04;

/// States of a kernel's TCP socket (include/net/tcp_states.h).
const SYN_SENT: u32 = 2;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;

/// A workload's wire, by the index of the host's end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Cgroups of the processes at the other end, the first ones in use; none when nobody is known there.
    pub cgroups: [u64; MAX_WIRE_CGROUPS],
    /// Number that the host's network namespace gives to that of the other end.
    pub namespace: u32,
    /// What was last told of, so that it is told once; the kernel's.
    pub told: u32,
}

/// What is to become of a frame, by its kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// It goes on: without address resolution there is no IPv4.
    Passes,
    /// It carries IP, which is judged.
    Ip,
    /// Nobody can say where it goes.
    Foreign,
}

/// The kind of a frame, by its EtherType in host byte order, an outer VLAN tag taken off.
#[inline(always)]
#[must_use]
pub const fn frame(ethertype: u16) -> Frame {
    match ethertype {
        IPV4 | IPV6 => Frame::Ip,
        0x0806 => Frame::Passes,
        _ => Frame::Foreign,
    }
}

/// Whether a socket may vouch for a packet: the hooks on it judged where it goes.
#[inline(always)]
#[must_use]
pub const fn may_have_socket(packet: &Packet) -> bool {
    packet.protocol == TCP && packet.ports.is_some() && !packet.opens_connection()
}

/// Whether it does, given the state of the socket with the packet's ends (0 is none), the packet's
/// flags, and whether it carries payload.
///
/// A listener answers for any address, so it vouches only for what carries nothing; one that has not
/// reached its peer yet sends no more than its SYN.
#[inline(always)]
#[must_use]
pub const fn vouches(state: u32, flags: u8, carries: bool) -> bool {
    match state {
        0 | SYN_SENT | CLOSE => false,
        LISTEN => !carries && (flags & RST != 0 || flags & (SYN | ACK) == SYN | ACK),
        _ => true,
    }
}

const _: () = assert!(size_of::<Wire>() == 8 * MAX_WIRE_CGROUPS + 8);

#[cfg(test)]
mod tests {
    use super::*;

    const ESTABLISHED: u32 = 1;

    fn segment(flags: u8, payload: u32) -> Packet {
        Packet {
            ports: Some((7, 8)),
            protocol: TCP,
            flags,
            icmp_type: 0,
            sequence: 1,
            transport: 20,
            payload: 40,
            end: 40 + payload,
        }
    }

    #[test]
    fn only_what_resolves_addresses_goes_unjudged() {
        assert_eq!([frame(0x0806), frame(0x8035)], [Frame::Passes, Frame::Foreign]);
        assert_eq!([frame(0x0800), frame(0x86dd)], [Frame::Ip, Frame::Ip]);
        assert_eq!(frame(0x8100), Frame::Foreign, "a second tag");
    }

    #[test]
    fn a_connection_vouches_for_its_segments_and_a_listener_for_empty_answers() {
        assert!(vouches(ESTABLISHED, ACK, true));
        assert!(!vouches(0, ACK, true));
        assert!(!vouches(SYN_SENT, ACK, false), "it was never answered");
        assert!(vouches(LISTEN, SYN | ACK, false));
        assert!(vouches(LISTEN, RST, false));
        assert!(!vouches(LISTEN, SYN | ACK, true), "an answer that carries something");
        assert!(!vouches(LISTEN, ACK, false));
    }

    #[test]
    fn some_packets_no_socket_vouches_for() {
        assert!(may_have_socket(&segment(ACK, 1)));
        assert!(!may_have_socket(&segment(SYN, 0)), "a new destination");
        assert!(!may_have_socket(&Packet { protocol: 17, ..segment(0, 1) }));
        assert!(!may_have_socket(&Packet { ports: None, ..segment(0, 1) }), "a later fragment");
    }
}
