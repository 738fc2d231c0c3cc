//! Packets that no socket of the workload owns: forwarded out of a TUN device, or a tunnel's own.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::Aim;
use super::bytes::{self, Header};
use crate::netlab::Netlink;
use crate::sys;

/// The TUN device, and who is behind it.
const TUN: &str = "sntl-tun";
const TUN_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2)];
const TUN_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 2)];
/// The tunnel, and its inner network's own and broadcast address.
const VXLAN: &str = "sntl-vxlan";
const INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const EVERYBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 255);
/// The kernel finds the neighbour before it sends, and the device has to stand as long: the same time
/// where it is denied as where it is not.
const STANDS: Duration = Duration::from_secs(1);

/// A packet from behind a TUN device, which the kernel forwards.
pub(super) fn forwarded(aim: &Aim) -> io::Result<()> {
    let mut device = sys::tun(TUN)?;
    let [near, far] = match aim.target.ip() {
        IpAddr::V4(_) => TUN_V4.map(IpAddr::from),
        IpAddr::V6(_) => TUN_V6.map(IpAddr::from),
    };
    let mut netlink = Netlink::open().map_err(io::Error::other)?;
    netlink.add_address(TUN, near, aim.by_family(24, 64)).map_err(io::Error::other)?;
    netlink.up(TUN).map_err(io::Error::other)?;
    let header = Header { protocol: bytes::UDP, ..Header::default() };
    let body = bytes::udp(aim.target.port(), &aim.marker);
    device.write_all(&bytes::ip(far, aim.target.ip(), header, &body))?;
    std::thread::sleep(STANDS);
    Ok(())
}

/// A datagram to everybody inside a VXLAN whose other end is the target.
pub(super) fn tunnelled(aim: &Aim) -> io::Result<()> {
    let mut netlink = Netlink::open().map_err(io::Error::other)?;
    netlink.remove(VXLAN).ok();
    let IpAddr::V4(remote) = aim.target.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
    netlink.add_vxlan(VXLAN, remote, &aim.interface).map_err(io::Error::other)?;
    netlink.add_address(VXLAN, INNER.into(), 24).map_err(io::Error::other)?;
    netlink.up(VXLAN).map_err(io::Error::other)?;
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BROADCAST, &on)?;
    let everybody = SocketAddr::new(EVERYBODY.into(), aim.target.port());
    sys::send(socket.as_fd(), &aim.marker, 0, &bytes::sockaddr(everybody))?;
    std::thread::sleep(STANDS);
    netlink.remove(VXLAN).map_err(io::Error::other)
}
