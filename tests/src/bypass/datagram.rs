//! UDP, UDP-Lite and ping sockets.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::{Aim, bytes};
use crate::sys;

/// More than the veth's MTU: the kernel makes fragments.
const LARGE: usize = 4000;
/// Payload of one segment.
const SEGMENT: u16 = 512;

fn udp(aim: &Aim) -> io::Result<OwnedFd> {
    aim.socket(libc::SOCK_DGRAM, 0)
}

fn sends(socket: &OwnedFd, aim: &Aim, to: &[u8]) -> io::Result<()> {
    sys::send(socket.as_fd(), &aim.marker, 0, to).map(drop)
}

pub(super) fn send_to(aim: &Aim) -> io::Result<()> {
    sends(&udp(aim)?, aim, &aim.sockaddr())
}

pub(super) fn connected(aim: &Aim) -> io::Result<()> {
    let socket = udp(aim)?;
    sys::connect(socket.as_fd(), &aim.sockaddr())?;
    sends(&socket, aim, &[])
}

pub(super) fn connected_elsewhere(aim: &Aim) -> io::Result<()> {
    let socket = udp(aim)?;
    sys::connect(socket.as_fd(), &bytes::sockaddr(aim.other))?;
    sends(&socket, aim, &aim.sockaddr())
}

pub(super) fn reconnected(aim: &Aim) -> io::Result<()> {
    let socket = udp(aim)?;
    sys::connect(socket.as_fd(), &bytes::sockaddr(aim.other))?;
    sys::connect(socket.as_fd(), &aim.sockaddr())?;
    sends(&socket, aim, &[])
}

pub(super) fn mapped(aim: &Aim) -> io::Result<()> {
    let socket = sys::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    sends(&socket, aim, &bytes::sockaddr(aim.mapped()))
}

pub(super) fn mapped_connected(aim: &Aim) -> io::Result<()> {
    let socket = sys::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    sys::connect(socket.as_fd(), &bytes::sockaddr(aim.mapped()))?;
    sends(&socket, aim, &[])
}

/// The kernel takes a `sockaddr_in` on an IPv6 socket too.
pub(super) fn inet_on_inet6(aim: &Aim) -> io::Result<()> {
    sends(&sys::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?, aim, &aim.sockaddr())
}

/// The kernel takes `AF_UNSPEC` for `AF_INET`.
pub(super) fn unspecified(aim: &Aim) -> io::Result<()> {
    let mut to = aim.sockaddr();
    for (to, from) in to.iter_mut().zip((libc::AF_UNSPEC as u16).to_ne_bytes()) {
        *to = from;
    }
    sends(&udp(aim)?, aim, &to)
}

pub(super) fn large(aim: &Aim) -> io::Result<()> {
    let mut bytes = aim.marker.clone();
    bytes.resize(LARGE, b'.');
    sys::send(udp(aim)?.as_fd(), &bytes, 0, &aim.sockaddr()).map(drop)
}

pub(super) fn corked(aim: &Aim) -> io::Result<()> {
    let socket = udp(aim)?;
    sys::send(socket.as_fd(), &aim.marker, libc::MSG_MORE, &aim.sockaddr())?;
    sends(&socket, aim, &aim.sockaddr())
}

pub(super) fn segmented(aim: &Aim) -> io::Result<()> {
    let socket = udp(aim)?;
    let size = i32::from(SEGMENT).to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, &size)?;
    let mut bytes = aim.marker.clone();
    bytes.resize(usize::from(SEGMENT) * 8, b'.');
    sys::send(socket.as_fd(), &bytes, 0, &aim.sockaddr()).map(drop)
}

pub(super) fn ring(aim: &Aim) -> io::Result<()> {
    sys::ring_send(udp(aim)?.as_fd(), &aim.marker, &aim.sockaddr(), false, false)
}

pub(super) fn ring_polled(aim: &Aim) -> io::Result<()> {
    sys::ring_send(udp(aim)?.as_fd(), &aim.marker, &aim.sockaddr(), false, true)
}

pub(super) fn lite(aim: &Aim) -> io::Result<()> {
    let socket = aim.socket(libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
    sends(&socket, aim, &aim.sockaddr())
}

pub(super) fn lite_connected(aim: &Aim) -> io::Result<()> {
    let socket = aim.socket(libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
    sys::connect(socket.as_fd(), &aim.sockaddr())?;
    sends(&socket, aim, &[])
}

/// An echo request without a privilege, where the system lets this group (`ping_group_range`).
pub(super) fn ping(aim: &Aim) -> io::Result<()> {
    let protocol = aim.by_family(libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6);
    let socket = aim.socket(libc::SOCK_DGRAM, protocol)?;
    sys::send(socket.as_fd(), &echo(aim), 0, &aim.sockaddr()).map(drop)
}

/// An echo request with the marker, its checksum as IPv4 wants it; for IPv6 the kernel computes it.
pub(super) fn echo(aim: &Aim) -> Vec<u8> {
    let mut message = vec![aim.by_family(8, 128), 0, 0, 0, 0, 1, 0, 1];
    message.extend_from_slice(&aim.marker);
    let sum = bytes::checksum(&message).to_be_bytes();
    for (to, from) in message.iter_mut().skip(2).zip(sum) {
        *to = from;
    }
    message
}
