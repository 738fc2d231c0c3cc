//! Transport protocols beside TCP and UDP, each with a `connect` and `sendmsg` of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use super::stream::{reach, says};
use super::{Aim, STANDS, bytes};
use crate::sys;

/// `AF_SMC`, and its protocols over IPv4 and IPv6 (`net/smc.h`).
const SMC: i32 = 43;
const SMC_V4: i32 = 0;
const SMC_V6: i32 = 1;
/// `AF_RDS`.
const RDS: i32 = 21;
/// Where RDS over TCP listens (`net/rds/tcp.h`).
pub(super) const RDS_TCP_PORT: u16 = 16385;
/// `SOCK_DCCP` and `IPPROTO_DCCP`: gone since Linux 6.16.
const SOCK_DCCP: i32 = 6;
pub(super) const DCCP: u8 = 33;
/// `IPPROTO_L2TP` (RFC 3931, section 4.1.1).
const L2TP: i32 = 115;
/// A control connection's number, of which the kernel asks only that it is one.
const CONNECTION: u32 = 0x5e47;

/// Its first packet holds nothing of ours.
pub(super) fn sctp(aim: &Aim) -> io::Result<()> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let socket = aim.socket(kind, libc::IPPROTO_SCTP)?;
    reach(&socket, aim, &aim.sockaddr())
}

/// Nor does this one's.
pub(super) fn dccp(aim: &Aim) -> io::Result<()> {
    let socket = aim.socket(SOCK_DCCP | libc::SOCK_NONBLOCK, DCCP.into())?;
    reach(&socket, aim, &aim.sockaddr())
}

/// Without a peer that has it, shared memory communication is TCP by a socket of the kernel's.
pub(super) fn smc(aim: &Aim) -> io::Result<()> {
    let protocol = aim.by_family(SMC_V4, SMC_V6);
    let socket = sys::socket(SMC, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, protocol)?;
    reach(&socket, aim, &aim.sockaddr())?;
    says(&socket, aim)
}

/// A datagram, for which a worker of the kernel's opens a TCP connection.
pub(super) fn rds(aim: &Aim) -> io::Result<()> {
    let socket = sys::socket(RDS, libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK, 0)?;
    let own = SocketAddr::new(aim.source, aim.target.port());
    sys::bind(socket.as_fd(), &bytes::sockaddr(own))?;
    sys::send(socket.as_fd(), &aim.marker, 0, &aim.sockaddr())?;
    std::thread::sleep(STANDS);
    Ok(())
}

pub(super) fn l2tp(aim: &Aim) -> io::Result<()> {
    let socket = l2tp_socket(aim)?;
    sys::send(socket.as_fd(), &aim.marker, 0, &l2tp_address(aim.target.ip())).map(drop)
}

pub(super) fn l2tp_connected(aim: &Aim) -> io::Result<()> {
    let socket = l2tp_socket(aim)?;
    sys::bind(socket.as_fd(), &l2tp_address(aim.source))?;
    sys::connect(socket.as_fd(), &l2tp_address(aim.target.ip()))?;
    sys::send(socket.as_fd(), &aim.marker, 0, &[]).map(drop)
}

fn l2tp_socket(aim: &Aim) -> io::Result<OwnedFd> {
    aim.socket(libc::SOCK_DGRAM, L2TP)
}

/// `struct sockaddr_l2tpip` and `sockaddr_l2tpip6` (`linux/l2tp.h`): where others have a port there is
/// nothing, and a connection stands behind the address.
fn l2tp_address(address: IpAddr) -> Vec<u8> {
    let mut bytes = bytes::sockaddr(SocketAddr::new(address, 0));
    match address {
        IpAddr::V4(_) => {
            bytes.truncate(8);
            bytes.extend_from_slice(&CONNECTION.to_ne_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        IpAddr::V6(_) => bytes.extend_from_slice(&CONNECTION.to_ne_bytes()),
    }
    bytes
}
