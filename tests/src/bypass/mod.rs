//! Ways to get a packet to an address: every one that a workload might try past an allowlist.
//!
//! Each sends a marker to `target`, some by the detour of naming `other`; whether it arrived is for
//! somebody else to say.

mod bytes;
mod datagram;
mod device;
mod ipsec;
mod link;
mod raw;
mod routing;
mod stream;
mod sweep;
mod transport;
mod tunnel;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::errno;
use crate::sys;

pub use sweep::{Sweep, sweep};

/// Inner network of the tunnels: what goes in there is to be allowed, and what comes out is judged.
pub const TUNNEL_NETWORK: &str = "10.77.0.0/24";

/// One way.
#[derive(Clone, Copy)]
pub struct Way {
    /// Its name, for people and the command line.
    pub name: &'static str,
    /// The families it exists for.
    pub families: &'static [Family],
    /// How an arrival shows.
    pub witness: Witness,
    /// Which layer it goes by.
    pub layer: Layer,
    /// Whether it may be used to an allowed address.
    pub mirror: Mirror,
    go: fn(&Aim) -> io::Result<()>,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How an arrival shows on the peer's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A frame contains the marker.
    Marker,
    /// An IP packet of this protocol goes to the target.
    Protocol(u8),
    /// An IP packet of this protocol goes to the target, to a port that no other way goes to.
    Port(u8, u16),
}

/// Where a way leaves the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Through a socket's IP output: the cgroup hooks see it.
    Socket,
    /// Below or beside it: only the other end of the wire does.
    Wire,
}

/// What becomes of the same packet to an allowed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// It arrives.
    Arrives,
    /// Nobody may send such packets, wherever they go.
    Refused,
}

/// Where a way is to lead.
pub(crate) struct Aim {
    target: SocketAddr,
    other: SocketAddr,
    source: IpAddr,
    interface: String,
    marker: Vec<u8>,
    wait: Duration,
}

const BOTH: &[Family] = &[Family::V4, Family::V6];
const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];
/// `IPPROTO_SCTP`.
const SCTP: u8 = 132;
/// The kernel finds the neighbour before it sends, and a device or a worker's connection has to stand
/// as long: the same time where it is denied as where it is not.
const STANDS: Duration = Duration::from_secs(1);

const fn way(
    name: &'static str,
    families: &'static [Family],
    go: fn(&Aim) -> io::Result<()>,
) -> Way {
    let (witness, layer, mirror) = (Witness::Marker, Layer::Socket, Mirror::Arrives);
    Way { name, families, witness, layer, mirror, go }
}

const fn wire(
    name: &'static str,
    families: &'static [Family],
    go: fn(&Aim) -> io::Result<()>,
) -> Way {
    Way { layer: Layer::Wire, ..way(name, families, go) }
}

const fn never(way: Way) -> Way {
    Way { mirror: Mirror::Refused, ..way }
}

const fn shown_by(witness: Witness, way: Way) -> Way {
    Way { witness, ..way }
}

/// Every way.
pub const WAYS: [Way; 60] = [
    way("tcp_connect", BOTH, stream::connect),
    way("tcp_connect_mapped", V4, stream::connect_mapped),
    way("tcp_fast_open", BOTH, stream::fast_open),
    way("tcp_fast_open_connect", BOTH, stream::fast_open_connect),
    way("tcp_sendfile", BOTH, stream::send_file),
    way("tcp_zerocopy", BOTH, stream::zerocopy),
    way("tcp_io_uring", BOTH, stream::ring),
    way("tcp_io_uring_polled", V4, stream::ring_polled),
    way("mptcp_connect", BOTH, stream::multipath),
    shown_by(Witness::Protocol(SCTP), way("sctp_connect", BOTH, transport::sctp)),
    shown_by(Witness::Protocol(transport::DCCP), way("dccp_connect", BOTH, transport::dccp)),
    way("smc_connect", BOTH, transport::smc),
    shown_by(
        Witness::Port(bytes::TCP, transport::RDS_TCP_PORT),
        wire("rds_over_tcp", BOTH, transport::rds),
    ),
    way("l2tp_ip_sendto", BOTH, transport::l2tp),
    way("l2tp_ip_connected", BOTH, transport::l2tp_connected),
    way("ipsec_transport", BOTH, ipsec::transport),
    way("ipsec_tunnel", BOTH, ipsec::tunnel),
    way("udp_sendto", BOTH, datagram::send_to),
    way("udp_connected", BOTH, datagram::connected),
    way("udp_connected_elsewhere", BOTH, datagram::connected_elsewhere),
    way("udp_reconnected", BOTH, datagram::reconnected),
    way("udp_mapped_sendto", V4, datagram::mapped),
    way("udp_mapped_connected", V4, datagram::mapped_connected),
    way("udp_inet_address_on_inet6", V4, datagram::inet_on_inet6),
    way("udp_unspecified_family", V4, datagram::unspecified),
    way("udp_large", BOTH, datagram::large),
    way("udp_corked", BOTH, datagram::corked),
    way("udp_segmented", BOTH, datagram::segmented),
    way("udp_io_uring", BOTH, datagram::ring),
    way("udp_io_uring_polled", V4, datagram::ring_polled),
    way("udp_lite_sendto", BOTH, datagram::lite),
    way("udp_lite_connected", BOTH, datagram::lite_connected),
    way("ping_socket", BOTH, datagram::ping),
    way("raw_icmp", BOTH, raw::icmp),
    way("raw_protocol_253", BOTH, raw::protocol),
    way("raw_protocol_253_connected", BOTH, raw::protocol_connected),
    way("raw_header", BOTH, raw::header),
    way("raw_header_says_another", BOTH, raw::header_says_another),
    way("raw_tcp_syn", BOTH, raw::tcp_syn),
    way("raw_later_fragment", BOTH, raw::later_fragment),
    way("raw_first_fragment", BOTH, raw::first_fragment),
    never(way("raw_source_route_hides_it", V4, raw::hidden_source_route)),
    never(way("raw_routing_header_hides_it", V6, raw::hidden_routing_header)),
    never(way("raw_many_extension_headers", V6, raw::many_headers)),
    never(way("loose_source_route", V4, routing::loose)),
    never(way("strict_source_route", V4, routing::strict)),
    never(way("segment_routing_header", V6, routing::segments)),
    never(way("segment_routing_header_later", V6, routing::segments_later)),
    way("hop_by_hop_options", V6, routing::hop_by_hop),
    way("destination_options", V6, routing::destination),
    wire("packet_raw", BOTH, link::raw),
    wire("packet_datagram", BOTH, link::datagram),
    wire("packet_past_the_queue", BOTH, link::past_the_queue),
    wire("packet_with_vlan_tag", BOTH, link::tagged),
    never(wire("packet_of_another_ethertype", V4, link::foreign)),
    wire("xdp_socket", BOTH, link::express),
    wire("tun_forwarded", BOTH, device::forwarded),
    wire("vxlan_outer", V4, tunnel::vxlan),
    wire("gre_outer", BOTH, tunnel::gre),
    shown_by(
        Witness::Port(bytes::UDP, tunnel::WIREGUARD_PORT),
        wire("wireguard_outer", BOTH, tunnel::wireguard),
    ),
];

/// One attempt.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct Options {
    /// The way.
    pub way: String,
    /// Where the marker is to arrive.
    pub target: SocketAddr,
    /// The address named to the kernel where the way names another.
    pub other: SocketAddr,
    /// This end's address of the same family.
    pub source: IpAddr,
    /// The interface towards the peer.
    pub interface: String,
    /// What is sent.
    pub marker: String,
    /// Milliseconds to wait for a connection.
    #[arg(long, default_value_t = 300)]
    pub wait_ms: u64,
}

impl Options {
    /// These options as arguments.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let Self { way, target, other, source, interface, marker, wait_ms } = self;
        vec![
            way.clone(),
            target.to_string(),
            other.to_string(),
            source.to_string(),
            interface.clone(),
            marker.clone(),
            format!("--wait-ms={wait_ms}"),
        ]
    }
}

/// How an attempt looked to the one who made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What the kernel said no with, by name.
    pub error: Option<String>,
}

/// Tries a way once.
///
/// # Errors
/// When there is no such way.
pub fn run(options: &Options) -> Result<Report> {
    let way =
        WAYS.into_iter().find(|way| way.name == options.way).context("there is no such way")?;
    let aim = Aim {
        target: options.target,
        other: options.other,
        source: options.source,
        interface: options.interface.clone(),
        marker: options.marker.clone().into_bytes(),
        wait: Duration::from_millis(options.wait_ms),
    };
    Ok(Report { error: (way.go)(&aim).err().map(|error| errno::name(&error)) })
}

/// An error of the kernel's as the kernel said it, whatever stands around it.
fn plain(error: anyhow::Error) -> io::Error {
    let said = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    said.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

impl Aim {
    /// The target as system calls take it.
    fn sockaddr(&self) -> Vec<u8> {
        bytes::sockaddr(self.target)
    }

    /// The IPv4 target in the form of an IPv6 address.
    fn mapped(&self) -> SocketAddr {
        match self.target.ip() {
            IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), self.target.port()),
            IpAddr::V6(_) => self.target,
        }
    }

    /// A socket of the target's family.
    fn socket(&self, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
        let domain = if self.target.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        sys::socket(domain, kind, protocol)
    }

    /// One number for IPv4, another for IPv6.
    fn by_family<T>(&self, v4: T, v6: T) -> T {
        if self.target.is_ipv6() { v6 } else { v4 }
    }
}
