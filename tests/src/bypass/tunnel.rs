//! Tunnels: what a hook sees goes to an allowed network, and what carries it goes somewhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_route::link::{InfoData, InfoGre, InfoGre6, InfoKind, InfoVxlan, InfoWireguard};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute,
    WireguardCmd, WireguardMessage, WireguardPeer, WireguardPeerAttribute,
};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::{Aim, STANDS, bytes, plain};
use crate::netlab::{Channel, Netlink, interface_index};
use crate::sys;

/// Where a WireGuard peer listens.
pub(super) const WIREGUARD_PORT: u16 = 51820;

/// A tunnel's interface, and its inner network's own, other and broadcast address.
const TUNNEL: &str = "sntl-tunnel";
const INNER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const EVERYBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 255);

/// A datagram to everybody inside a VXLAN whose other end is the target.
pub(super) fn vxlan(aim: &Aim) -> io::Result<()> {
    let IpAddr::V4(remote) = aim.target.ip() else { return Err(io::ErrorKind::Unsupported.into()) };
    let link = interface_index(&aim.interface).map_err(plain)?;
    let data = vec![
        InfoVxlan::Id(7),
        InfoVxlan::Group(remote),
        InfoVxlan::Link(link),
        InfoVxlan::Port(4789),
    ];
    within(aim, InfoKind::Vxlan, InfoData::Vxlan(data), EVERYBODY, || Ok(()))
}

/// GRE (RFC 2784) over the target's family.
pub(super) fn gre(aim: &Aim) -> io::Result<()> {
    match (aim.source, aim.target.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let data = vec![InfoGre::Local(local), InfoGre::Remote(remote), InfoGre::Ttl(64)];
            within(aim, InfoKind::GreTun, InfoData::GreTun(data), BEHIND, || Ok(()))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let data = vec![InfoGre6::Local(local), InfoGre6::Remote(remote), InfoGre6::Ttl(64)];
            within(aim, InfoKind::GreTun6, InfoData::GreTun6(data), BEHIND, || Ok(()))
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// A WireGuard whose peer is the target: its handshake is all that is sent, since nobody answers.
pub(super) fn wireguard(aim: &Aim) -> io::Result<()> {
    let endpoint = SocketAddr::new(aim.target.ip(), WIREGUARD_PORT);
    let data = InfoData::Wireguard(Vec::<InfoWireguard>::new());
    within(aim, InfoKind::Wireguard, data, BEHIND, || set_peer(endpoint).map_err(plain))
}

/// Sends the marker through a tunnel that stands for it.
fn within(
    aim: &Aim,
    kind: InfoKind,
    data: InfoData,
    to: Ipv4Addr,
    configure: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let mut netlink = Netlink::open().map_err(plain)?;
    netlink.remove(TUNNEL).ok();
    netlink.add_tunnel(TUNNEL, kind, data).map_err(plain)?;
    configure()?;
    netlink.add_address(TUNNEL, INNER.into(), 24).map_err(plain)?;
    netlink.up(TUNNEL).map_err(plain)?;
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BROADCAST, &on)?;
    let inner = SocketAddr::new(to.into(), aim.target.port());
    sys::send(socket.as_fd(), &aim.marker, 0, &bytes::sockaddr(inner))?;
    std::thread::sleep(STANDS);
    netlink.remove(TUNNEL).map_err(plain)
}

/// Gives the interface a key, and a peer at this address for everything inside.
fn set_peer(endpoint: SocketAddr) -> Result<()> {
    let inside = WireguardAllowedIp(vec![
        WireguardAllowedIpAttr::Family(WireguardAddressFamily::Ipv4),
        WireguardAllowedIpAttr::IpAddr(Ipv4Addr::UNSPECIFIED.into()),
        WireguardAllowedIpAttr::Cidr(0),
    ]);
    let peer = WireguardPeer(vec![
        // The base point of curve 25519: as good a key as any, for a peer that never answers.
        WireguardPeerAttribute::PublicKey(key(9, 0)),
        WireguardPeerAttribute::Endpoint(endpoint),
        WireguardPeerAttribute::AllowedIps(vec![inside]),
    ]);
    let attributes = vec![
        WireguardAttribute::IfName(TUNNEL.to_owned()),
        WireguardAttribute::PrivateKey(key(8, 64)),
        WireguardAttribute::Peers(vec![peer]),
    ];
    let mut channel = Channel::open(NETLINK_GENERIC)?;
    let family = family(&mut channel, "wireguard")?;
    let mut message =
        GenlMessage::from_payload(WireguardMessage { cmd: WireguardCmd::SetDevice, attributes });
    message.set_resolved_family_id(family);
    channel.request(message, 0)
}

/// A key of zeroes but for its first and last byte.
fn key(first: u8, last: u8) -> [u8; WireguardAttribute::WG_KEY_LEN] {
    std::array::from_fn(|at| match at {
        0 => first,
        31 => last,
        _ => 0,
    })
}

/// The number under which the kernel has a generic family.
fn family(channel: &mut Channel, name: &str) -> Result<u16> {
    let nlas = vec![GenlCtrlAttrs::FamilyName(name.to_owned())];
    let ask = GenlMessage::from_payload(GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas });
    let answer = channel.ask(ask, 0)?.context("the kernel names no family")?;
    let mut nlas = answer.payload.nlas.into_iter();
    let number = nlas.find_map(|nla| match nla {
        GenlCtrlAttrs::FamilyId(number) => Some(number),
        _ => None,
    });
    number.with_context(|| format!("the kernel has no generic netlink family {name}"))
}
