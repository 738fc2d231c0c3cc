//! Options of an ordinary UDP socket that change where its packets go, or what stands before them.

use std::io;
use std::os::fd::AsFd as _;

use super::bytes::{self, DESTINATION, HOP_BY_HOP};
use super::{Aim, stream};
use crate::sys;

/// Source routes (RFC 791).
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// An option with the target as its one hop.
fn source_route(aim: &Aim, kind: u8) -> Vec<u8> {
    let mut option = vec![kind, 7, 4];
    option.extend_from_slice(&bytes::octets(aim.target.ip()));
    option.push(0);
    option
}

/// A segment routing header (RFC 8754), for which the kernel asks no privilege: the target, then
/// wherever the call says.
fn segment_route(aim: &Aim) -> Vec<u8> {
    let mut header = vec![0, 4, 4, 1, 1, 0, 0, 0];
    header.extend_from_slice(&[0; 16]);
    header.extend_from_slice(&bytes::octets(aim.target.ip()));
    header
}

/// The call names `other`, the first hop of the route is the target: that is what goes on the wire.
pub(super) fn loose(aim: &Aim) -> io::Result<()> {
    let to = bytes::sockaddr(aim.other);
    with_option(aim, libc::IPPROTO_IP, libc::IP_OPTIONS, &source_route(aim, LOOSE), &to)
}

pub(super) fn strict(aim: &Aim) -> io::Result<()> {
    let to = bytes::sockaddr(aim.other);
    with_option(aim, libc::IPPROTO_IP, libc::IP_OPTIONS, &source_route(aim, STRICT), &to)
}

pub(super) fn segments(aim: &Aim) -> io::Result<()> {
    let to = bytes::sockaddr(aim.other);
    with_option(aim, libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &segment_route(aim), &to)
}

/// A connection to `other` that is given a route when it stands.
pub(super) fn segments_later(aim: &Aim) -> io::Result<()> {
    let socket = stream::tcp(aim)?;
    stream::reach(&socket, aim, &bytes::sockaddr(aim.other))?;
    let route = segment_route(aim);
    sys::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &route)?;
    stream::says(&socket, aim)
}

/// Eight bytes of padding.
const PADDING: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];

pub(super) fn hop_by_hop(aim: &Aim) -> io::Result<()> {
    const _: () = assert!(HOP_BY_HOP == 0);
    let to = aim.sockaddr();
    with_option(aim, libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, &PADDING, &to)
}

pub(super) fn destination(aim: &Aim) -> io::Result<()> {
    const _: () = assert!(DESTINATION == 60);
    let to = aim.sockaddr();
    with_option(aim, libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS, &PADDING, &to)
}

fn with_option(aim: &Aim, level: i32, name: i32, value: &[u8], to: &[u8]) -> io::Result<()> {
    let socket = aim.socket(libc::SOCK_DGRAM, 0)?;
    sys::set_option(socket.as_fd(), level, name, value)?;
    sys::send(socket.as_fd(), &aim.marker, 0, to).map(drop)
}
