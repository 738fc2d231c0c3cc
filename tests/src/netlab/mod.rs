//! Two network namespaces joined by a veth pair, gone when the [`Lab`] is dropped.
//!
//! The namespaces have no name under `/run/netns`: open descriptors keep them alive, so nothing
//! is left behind even if the process is killed.

mod channel;
mod netlink;
mod netns;
mod subnet;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use netns::NetNs;
pub use subnet::Subnet;

pub(crate) use channel::Channel;
pub(crate) use netlink::{Netlink, interface_index};

/// The veth end in the node namespace.
pub const NODE_INTERFACE: &str = "node0";
/// The veth end in the peer namespace, where the sniffer listens.
pub const PEER_INTERFACE: &str = "peer0";
/// Where a host stands between the two: its end of the node's veth, of the peer's, and the bridge.
pub const HOST_INTERFACE: &str = "pod0";
const UPLINK_INTERFACE: &str = "up0";
const BRIDGE: &str = "bridge0";
/// Last octet of the node's address; the peer holds [`PEER_HOSTS`].
pub const NODE_HOST: u8 = 1;
/// Last octets of the peer's addresses.
pub const PEER_HOSTS: [u8; 3] = [2, 3, 4];

const READY_WITHIN: Duration = Duration::from_secs(5);

/// A node (where workloads run) and a peer (where pools and honest servers run).
#[derive(Debug)]
pub struct Lab {
    name: String,
    subnet: Subnet,
    node: NetNs,
    peer: NetNs,
    /// The namespace that the wire goes through, if any.
    host: Option<NetNs>,
}

impl Lab {
    /// Builds a laboratory on the default subnet, 10.99.0.0/24 and fd00:99::/64.
    pub fn new(name: &str) -> Result<Lab> {
        Lab::with_subnet(name, Subnet::numbered(0))
    }

    /// Builds a laboratory on the given subnet and waits until both address families pass.
    pub fn with_subnet(name: &str, subnet: Subnet) -> Result<Lab> {
        let node = NetNs::new(&format!("{name}-node"))?;
        let peer = NetNs::new(&format!("{name}-peer"))?;
        Lab { name: name.to_owned(), subnet, node, peer, host: None }.built()
    }

    /// The same with a host between: the node is a pod, whose veth ends in a bridge of the host's,
    /// and the peer is behind that.
    pub fn with_host(name: &str, subnet: Subnet) -> Result<Lab> {
        let node = NetNs::new(&format!("{name}-node"))?;
        let peer = NetNs::new(&format!("{name}-peer"))?;
        let host = NetNs::new(&format!("{name}-host"))?;
        Lab { name: name.to_owned(), subnet, node, peer, host: Some(host) }.built()
    }

    fn built(self) -> Result<Lab> {
        let wired = match &self.host {
            Some(host) => self.wire_through(host),
            None => self.wire(),
        };
        let name = &self.name;
        wired.with_context(|| format!("laboratory {name}: the network was not built"))?;
        self.wait_ready()?;
        Ok(self)
    }

    /// The name given at birth.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses in use.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The namespace of workloads.
    pub fn node(&self) -> &NetNs {
        &self.node
    }

    /// The namespace of pools and servers.
    pub fn peer(&self) -> &NetNs {
        &self.peer
    }

    /// The namespace of the host between the two, if there is one.
    pub fn host(&self) -> Option<&NetNs> {
        self.host.as_ref()
    }

    /// Runs a closure in the node namespace; sockets and threads it makes stay there.
    pub fn in_node<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.node.run(act)
    }

    /// Runs a closure in the peer namespace; sockets and threads it makes stay there.
    pub fn in_peer<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.peer.run(act)
    }

    /// Gives the peer every address of an IPv4 /16, and the node the way there.
    pub fn add_crowd(&self, first: Ipv4Addr) -> Result<()> {
        // An address of a loopback device makes the whole of its network local.
        let [a, b, ..] = first.octets();
        let member = Ipv4Addr::new(a, b, 0, 1);
        self.peer.run(|| Netlink::open()?.add_address("lo", member.into(), 16))?;
        let [host, ..] = PEER_HOSTS;
        let by = self.subnet.v4(host);
        self.node.run(|| Netlink::open()?.add_route(Ipv4Addr::new(a, b, 0, 0), 16, by))
    }

    /// Joins the namespaces and gives each end its addresses.
    fn wire(&self) -> Result<()> {
        self.peer.run(|| Netlink::open()?.up("lo"))?;
        self.node.run(|| {
            let mut netlink = Netlink::open()?;
            netlink.up("lo")?;
            netlink.add_veth(NODE_INTERFACE, PEER_INTERFACE, self.peer.fd())?;
            self.address(&mut netlink, NODE_INTERFACE, &[NODE_HOST])
        })?;
        self.peer.run(|| self.address(&mut Netlink::open()?, PEER_INTERFACE, &PEER_HOSTS))
    }

    /// Joins the namespaces by a bridge between them.
    fn wire_through(&self, host: &NetNs) -> Result<()> {
        self.peer.run(|| Netlink::open()?.up("lo"))?;
        self.node.run(|| Netlink::open()?.up("lo"))?;
        host.run(|| {
            let mut netlink = Netlink::open()?;
            netlink.up("lo")?;
            netlink.add_bridge(BRIDGE)?;
            netlink.add_veth(HOST_INTERFACE, NODE_INTERFACE, self.node.fd())?;
            netlink.add_veth(UPLINK_INTERFACE, PEER_INTERFACE, self.peer.fd())?;
            for port in [HOST_INTERFACE, UPLINK_INTERFACE] {
                netlink.join(port, BRIDGE)?;
                netlink.up(port)?;
            }
            netlink.up(BRIDGE)
        })?;
        self.node.run(|| self.address(&mut Netlink::open()?, NODE_INTERFACE, &[NODE_HOST]))?;
        self.peer.run(|| self.address(&mut Netlink::open()?, PEER_INTERFACE, &PEER_HOSTS))
    }

    fn address(&self, netlink: &mut Netlink, interface: &str, hosts: &[u8]) -> Result<()> {
        for &host in hosts {
            netlink.add_address(interface, self.subnet.v4(host).into(), 24)?;
            netlink.add_address(interface, self.subnet.v6(host).into(), 64)?;
        }
        netlink.up(interface)
    }

    /// Sends datagrams until one arrives, for each family: the link comes up asynchronously.
    fn wait_ready(&self) -> Result<()> {
        let [host, ..] = PEER_HOSTS;
        let addresses: [IpAddr; 2] = [self.subnet.v4(host).into(), self.subnet.v6(host).into()];
        for address in addresses {
            self.wait_passes(address)?;
        }
        Ok(())
    }

    fn wait_passes(&self, address: IpAddr) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let ear = self.in_peer(|| Ok(UdpSocket::bind(SocketAddr::new(address, 0))?));
        let ear = ear.with_context(|| format!("the peer cannot use its address {address}"))?;
        ear.set_read_timeout(Some(Duration::from_millis(10)))?;
        let target = ear.local_addr()?;
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let mouth = self.in_node(|| Ok(UdpSocket::bind(SocketAddr::new(any, 0))?))?;
        while Instant::now() < deadline {
            // Unreachable until the link is up: the next round tries again.
            let _ = mouth.send_to(b"?", target);
            if ear.recv_from(&mut [0; 8]).is_ok() {
                return Ok(());
            }
        }
        bail!("no datagram from node to {address} arrived within {READY_WITHIN:?}")
    }
}
