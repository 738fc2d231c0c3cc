//! Packets that no socket of the workload owns: forwarded out of a TUN device.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bytes::{self, Header};
use super::{Aim, STANDS};
use crate::netlab::Netlink;
use crate::sys;

/// The TUN device, and who is behind it.
const TUN: &str = "sntl-tun";
const TUN_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2)];
const TUN_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 2)];

/// A packet from behind a TUN device, which the kernel forwards.
pub(super) fn forwarded(aim: &Aim) -> io::Result<()> {
    let mut device = sys::tun(TUN)?;
    let [near, far] = match aim.target.ip() {
        IpAddr::V4(_) => TUN_V4.map(IpAddr::from),
        IpAddr::V6(_) => TUN_V6.map(IpAddr::from),
    };
    let mut netlink = Netlink::open().map_err(super::plain)?;
    netlink.add_address(TUN, near, aim.by_family(24, 64)).map_err(super::plain)?;
    netlink.up(TUN).map_err(super::plain)?;
    let header = Header { protocol: bytes::UDP, ..Header::default() };
    let body = bytes::udp(aim.target.port(), &aim.marker);
    device.write_all(&bytes::ip(far, aim.target.ip(), header, &body))?;
    std::thread::sleep(STANDS);
    Ok(())
}
