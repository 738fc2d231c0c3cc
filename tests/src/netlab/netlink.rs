//! The few rtnetlink requests a laboratory needs, sent and acknowledged one at a time.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::tc::{TcHandle, TcMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::channel::Channel;

/// A route socket of the namespace in which it was opened.
pub(crate) struct Netlink(Channel);

impl Netlink {
    /// Opens the socket in the calling thread's namespace.
    pub(crate) fn open() -> Result<Netlink> {
        Channel::open(NETLINK_ROUTE).map(Self)
    }

    /// Creates a veth pair: `near` here, `far` in another namespace.
    pub(super) fn add_veth(&mut self, near: &str, far: &str, there: BorrowedFd<'_>) -> Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes.push(LinkAttribute::IfName(far.to_owned()));
        peer.attributes.push(LinkAttribute::NetNsFd(there.as_raw_fd()));
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(near.to_owned()));
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.0
            .request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
            .context("the kernel made no veth pair: is the veth module loaded, and is this root?")
    }

    /// Creates a bridge.
    pub(super) fn add_bridge(&mut self, name: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.0
            .request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
            .context("the kernel made no bridge: is the bridge module loaded?")
    }

    /// Makes an interface a port of a bridge.
    pub(super) fn join(&mut self, interface: &str, bridge: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = interface_index(interface)?;
        link.attributes.push(LinkAttribute::Controller(interface_index(bridge)?));
        self.0
            .request(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("{bridge} does not take {interface}"))
    }

    /// Creates a tunnel's interface.
    pub(crate) fn add_tunnel(&mut self, name: &str, kind: InfoKind, data: InfoData) -> Result<()> {
        let what = format!("the kernel made no tunnel of the kind {kind:?}");
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName(name.to_owned()));
        link.attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
        self.0.request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL).context(what)
    }

    /// Removes an interface.
    pub(crate) fn remove(&mut self, interface: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = interface_index(interface)?;
        self.0
            .request(RouteNetlinkMessage::DelLink(link), 0)
            .with_context(|| format!("{interface} cannot be removed"))
    }

    /// Takes away what filters the frames of an interface hang on, and them with it.
    pub(crate) fn remove_clsact(&mut self, interface: &str) -> Result<()> {
        let mut discipline = TcMessage::with_index(i32::try_from(interface_index(interface)?)?);
        discipline.header.parent = TcHandle::CLSACT;
        discipline.header.handle = TcHandle { major: u16::MAX, minor: 0 };
        self.0
            .request(RouteNetlinkMessage::DelQueueDiscipline(discipline), 0)
            .with_context(|| format!("{interface} has no filters"))
    }

    /// Gives an interface an address, usable at once: no duplicate address detection.
    pub(crate) fn add_address(
        &mut self,
        interface: &str,
        address: IpAddr,
        prefix: u8,
    ) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.header.prefix_len = prefix;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = interface_index(interface)?;
        message.attributes.push(AddressAttribute::Local(address));
        message.attributes.push(AddressAttribute::Address(address));
        self.0
            .request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("{interface} does not take the address {address}/{prefix}"))
    }

    /// Sends what goes to an IPv4 network by way of a neighbour.
    pub(super) fn add_route(&mut self, network: Ipv4Addr, prefix: u8, by: Ipv4Addr) -> Result<()> {
        let mut route = RouteMessage::default();
        route.header.address_family = AddressFamily::Inet;
        route.header.destination_prefix_length = prefix;
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.protocol = RouteProtocol::Static;
        route.header.scope = RouteScope::Universe;
        route.header.kind = RouteType::Unicast;
        route.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(network)));
        route.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(by)));
        self.0
            .request(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("no route to {network}/{prefix} by way of {by}"))
    }

    /// Sets an interface up.
    pub(crate) fn up(&mut self, interface: &str) -> Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = interface_index(interface)?;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.0
            .request(RouteNetlinkMessage::SetLink(link), 0)
            .with_context(|| format!("{interface} does not come up"))
    }
}

/// The index of an interface in the calling thread's namespace.
pub(crate) fn interface_index(name: &str) -> Result<u32> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))
        .or_else(|_| std::net::UdpSocket::bind(("0.0.0.0", 0)))?;
    rustix::net::netdevice::name_to_index(socket.as_fd(), name)
        .with_context(|| format!("there is no interface {name}"))
}
