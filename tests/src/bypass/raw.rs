//! Raw sockets: any protocol, and packets whose headers are the sender's own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use super::bytes::{self, Header};
use super::{Aim, datagram};
use crate::sys;

/// Set aside for experiments (RFC 3692).
const EXPERIMENT: i32 = 253;
/// Loose source route (RFC 791).
const LOOSE: u8 = 131;
/// More extension headers than anybody follows.
const MANY: usize = 16;

fn raw(aim: &Aim, protocol: i32) -> io::Result<OwnedFd> {
    aim.socket(libc::SOCK_RAW, protocol)
}

/// A raw socket's address has no port: IPv6 refuses one.
fn to(address: SocketAddr) -> Vec<u8> {
    bytes::sockaddr(SocketAddr::new(address.ip(), 0))
}

/// Sends a packet with its header to `address`.
fn with_header(aim: &Aim, packet: &[u8], address: SocketAddr) -> io::Result<()> {
    let socket = raw(aim, libc::IPPROTO_RAW)?;
    sys::send(socket.as_fd(), packet, 0, &to(address)).map(drop)
}

pub(super) fn icmp(aim: &Aim) -> io::Result<()> {
    let socket = raw(aim, aim.by_family(libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6))?;
    sys::send(socket.as_fd(), &datagram::echo(aim), 0, &to(aim.target)).map(drop)
}

pub(super) fn protocol(aim: &Aim) -> io::Result<()> {
    sys::send(raw(aim, EXPERIMENT)?.as_fd(), &aim.marker, 0, &to(aim.target)).map(drop)
}

pub(super) fn protocol_connected(aim: &Aim) -> io::Result<()> {
    let socket = raw(aim, EXPERIMENT)?;
    sys::connect(socket.as_fd(), &to(aim.target))?;
    sys::send(socket.as_fd(), &aim.marker, 0, &[]).map(drop)
}

fn datagram_to(aim: &Aim, destination: IpAddr) -> Vec<u8> {
    let header = Header { protocol: bytes::UDP, ..Header::default() };
    bytes::ip(aim.source, destination, header, &bytes::udp(aim.target.port(), &aim.marker))
}

pub(super) fn header(aim: &Aim) -> io::Result<()> {
    with_header(aim, &datagram_to(aim, aim.target.ip()), aim.target)
}

/// Routed by the address of the call, delivered by the header's.
pub(super) fn header_says_another(aim: &Aim) -> io::Result<()> {
    with_header(aim, &datagram_to(aim, aim.target.ip()), aim.other)
}

/// A handshake of one's own making: TCP without the kernel's TCP.
pub(super) fn tcp_syn(aim: &Aim) -> io::Result<()> {
    let mut segment = 40_000u16.to_be_bytes().to_vec();
    segment.extend_from_slice(&aim.target.port().to_be_bytes());
    segment.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(&aim.marker);
    let socket = raw(aim, i32::from(bytes::TCP))?;
    sys::send(socket.as_fd(), &segment, 0, &to(aim.target)).map(drop)
}

/// A fragment behind the first, which tells no port.
pub(super) fn later_fragment(aim: &Aim) -> io::Result<()> {
    with_header(aim, &fragment(aim, 100, false, &aim.marker), aim.target)
}

pub(super) fn first_fragment(aim: &Aim) -> io::Result<()> {
    let mut body = bytes::udp(aim.target.port(), &aim.marker);
    body.resize(body.len().next_multiple_of(8), b'.');
    with_header(aim, &fragment(aim, 0, true, &body), aim.target)
}

/// `offset` counts eight bytes.
fn fragment(aim: &Aim, offset: u16, more: bool, body: &[u8]) -> Vec<u8> {
    if aim.target.is_ipv4() {
        let fragment = offset | if more { 0x2000 } else { 0 };
        let header = Header { protocol: bytes::UDP, fragment, ..Header::default() };
        return bytes::ip(aim.source, aim.target.ip(), header, body);
    }
    let mut extended = vec![bytes::UDP, 0];
    extended.extend_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
    extended.extend_from_slice(&[0, 0, 0x5e, 0x47]);
    extended.extend_from_slice(body);
    let header = Header { protocol: bytes::FRAGMENT, ..Header::default() };
    bytes::ip(aim.source, aim.target.ip(), header, &extended)
}

/// The header names `other`, the option where the packet is to go from there.
pub(super) fn hidden_source_route(aim: &Aim) -> io::Result<()> {
    let mut options = vec![LOOSE, 7, 4];
    options.extend_from_slice(&bytes::octets(aim.target.ip()));
    options.push(0);
    let header = Header { protocol: bytes::UDP, options: &options, ..Header::default() };
    let body = bytes::udp(aim.target.port(), &aim.marker);
    with_header(aim, &bytes::ip(aim.source, aim.other.ip(), header, &body), aim.other)
}

/// The header names `other`, the segment left where the packet is to go from there.
pub(super) fn hidden_routing_header(aim: &Aim) -> io::Result<()> {
    let mut body = vec![bytes::UDP, 2, 4, 1, 0, 0, 0, 0];
    body.extend_from_slice(&bytes::octets(aim.target.ip()));
    body.extend_from_slice(&bytes::udp(aim.target.port(), &aim.marker));
    let header = Header { protocol: bytes::ROUTING, ..Header::default() };
    with_header(aim, &bytes::ip(aim.source, aim.other.ip(), header, &body), aim.other)
}

pub(super) fn many_headers(aim: &Aim) -> io::Result<()> {
    let mut body = Vec::new();
    for left in (0..MANY).rev() {
        let next = if left == 0 { bytes::UDP } else { bytes::DESTINATION };
        body.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]);
    }
    body.extend_from_slice(&bytes::udp(aim.target.port(), &aim.marker));
    let header = Header { protocol: bytes::DESTINATION, ..Header::default() };
    with_header(aim, &bytes::ip(aim.source, aim.target.ip(), header, &body), aim.target)
}
