//! Frames written past the IP stack: packet sockets and AF_XDP.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::Aim;
use super::bytes::{self, Header};
use crate::{netlab, sys};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
/// Set aside for local experiments (IEEE 802).
const EXPERIMENT: u16 = 0x88b5;

fn packet(aim: &Aim) -> Vec<u8> {
    let header = Header { protocol: bytes::UDP, ..Header::default() };
    let body = bytes::udp(aim.target.port(), &aim.marker);
    bytes::ip(aim.source, aim.target.ip(), header, &body)
}

fn interface(aim: &Aim) -> io::Result<u32> {
    netlab::interface_index(&aim.interface).map_err(io::Error::other)
}

/// `struct sockaddr_ll` that names everybody on the interface.
fn everybody(aim: &Aim, ethertype: u16) -> io::Result<Vec<u8>> {
    let mut address = (libc::AF_PACKET as u16).to_ne_bytes().to_vec();
    address.extend_from_slice(&ethertype.to_be_bytes());
    address.extend_from_slice(&interface(aim)?.to_ne_bytes());
    address.extend_from_slice(&[0, 0, 0, 6]);
    address.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    Ok(address)
}

/// Protocol 0: such a socket sends and hears nothing.
fn socket(kind: i32) -> io::Result<OwnedFd> {
    sys::socket(libc::AF_PACKET, kind, 0)
}

fn sends(socket: &OwnedFd, aim: &Aim, bytes: &[u8], ethertype: u16) -> io::Result<()> {
    sys::send(socket.as_fd(), bytes, 0, &everybody(aim, ethertype)?).map(drop)
}

pub(super) fn raw(aim: &Aim) -> io::Result<()> {
    let frame = bytes::frame(&packet(aim));
    sends(&socket(libc::SOCK_RAW)?, aim, &frame, aim.by_family(IPV4, IPV6))
}

/// The kernel writes the Ethernet header.
pub(super) fn datagram(aim: &Aim) -> io::Result<()> {
    sends(&socket(libc::SOCK_DGRAM)?, aim, &packet(aim), aim.by_family(IPV4, IPV6))
}

/// `PACKET_QDISC_BYPASS`: straight to the driver.
pub(super) fn past_the_queue(aim: &Aim) -> io::Result<()> {
    let socket = socket(libc::SOCK_RAW)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &on)?;
    sends(&socket, aim, &bytes::frame(&packet(aim)), aim.by_family(IPV4, IPV6))
}

/// Behind an 802.1Q tag.
pub(super) fn tagged(aim: &Aim) -> io::Result<()> {
    let mut body = 7u16.to_be_bytes().to_vec();
    body.extend_from_slice(&aim.by_family(IPV4, IPV6).to_be_bytes());
    body.extend_from_slice(&packet(aim));
    sends(&socket(libc::SOCK_RAW)?, aim, &bytes::ethernet(VLAN, &body), VLAN)
}

/// Neither IP nor ARP.
pub(super) fn foreign(aim: &Aim) -> io::Result<()> {
    let frame = bytes::ethernet(EXPERIMENT, &aim.marker);
    sends(&socket(libc::SOCK_RAW)?, aim, &frame, EXPERIMENT)
}

pub(super) fn express(aim: &Aim) -> io::Result<()> {
    sys::xdp_send(interface(aim)?, &bytes::frame(&packet(aim)))
}
