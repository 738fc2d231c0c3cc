//! Network interfaces of a namespace, and which of them lead into another one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Messages of one answer; a host has thousands of interfaces at most.
const MESSAGES: usize = 65_536;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The namespace that it leads into, by the number that its own gives to that one.
    pub leads_to: Option<u32>,
}

/// What an interface is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A wire with two ends.
    Veth,
    /// This host itself.
    Loopback,
    /// A device without software behind it.
    Physical,
    /// Another kind, by its name.
    Other(String),
}

/// The interfaces of the network namespace that the calling thread is in.
///
/// # Errors
/// What the kernel says.
pub fn links() -> io::Result<Vec<Link>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut links = Vec::new();
    ask(request, NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewLink(message) = answer {
            links.push(link(message));
        }
    })?;
    Ok(links)
}

/// The number that the calling thread's namespace gives to another one; `None` when it has none, and
/// then no interface leads there.
///
/// # Errors
/// What the kernel says.
pub fn number_of(namespace: &File) -> io::Result<Option<u32>> {
    let mut message = NsidMessage::default();
    let descriptor = u32::try_from(namespace.as_raw_fd()).map_err(io::Error::other)?;
    message.attributes.push(NsidAttribute::Fd(descriptor));
    let mut number = None;
    ask(RouteNetlinkMessage::GetNsId(message), 0, |answer| {
        if let RouteNetlinkMessage::NewNsId(message) = answer {
            let id = message.attributes.into_iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) => Some(id),
                _ => None,
            });
            // -1 is "none".
            number = id.and_then(|id| u32::try_from(id).ok());
        }
    })?;
    Ok(number)
}

/// Numbers of the programs that filters on what comes in at this interface run (tc-bpf(8)).
///
/// # Errors
/// What the kernel says.
pub fn ingress_filters(index: u32) -> io::Result<Vec<u32>> {
    let mut message = TcMessage::with_index(i32::try_from(index).map_err(io::Error::other)?);
    message.header.parent = TcHandle { major: u16::MAX, minor: TcHandle::MIN_INGRESS };
    let mut programs = Vec::new();
    ask(RouteNetlinkMessage::GetTrafficFilter(message), NLM_F_DUMP, |answer| {
        let RouteNetlinkMessage::NewTrafficFilter(filter) = answer else { return };
        for attribute in filter.attributes {
            let TcAttribute::Options(options) = attribute else { continue };
            programs.extend(options.into_iter().filter_map(|option| match option {
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(id),
                _ => None,
            }));
        }
    })?;
    Ok(programs)
}

fn link(message: LinkMessage) -> Link {
    let is_loopback = message.header.link_layer_type == LinkLayerType::Loopback;
    let kind = if is_loopback { Kind::Loopback } else { Kind::Physical };
    let mut link = Link { index: message.header.index, name: String::new(), kind, leads_to: None };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::LinkNetNsId(id) => link.leads_to = u32::try_from(id).ok(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = match kind {
                            InfoKind::Veth => Kind::Veth,
                            other => Kind::Other(other.to_string()),
                        };
                    }
                }
            }
            _ => {}
        }
    }
    link
}

/// Asks the kernel, and hands on every answer.
fn ask(
    request: RouteNetlinkMessage,
    flags: u16,
    mut take: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
    let mut packet = NetlinkMessage::from(request);
    packet.header.flags = NLM_F_REQUEST | flags;
    packet.header.sequence_number = 1;
    packet.finalize();
    let mut buffer = vec![0; packet.buffer_len()];
    packet.serialize(&mut buffer);
    socket.send(&buffer, 0)?;
    for _ in 0..MESSAGES {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let len = (message.header.length as usize).next_multiple_of(4).max(16);
            rest = rest.get(len..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) => return Ok(()),
                NetlinkPayload::InnerMessage(answer) => take(answer),
                _ => {}
            }
        }
        if !is_dump {
            return Ok(());
        }
    }
    Err(io::Error::other("the kernel's list has no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_has_a_loopback_that_leads_nowhere() {
        let links = links().unwrap();
        let loopback = links.iter().find(|link| link.kind == Kind::Loopback).unwrap();
        assert_eq!((loopback.index, loopback.name.as_str()), (1, "lo"));
        assert_eq!(loopback.leads_to, None);
    }

    #[test]
    fn its_own_namespace_needs_no_number() {
        let own = File::open("/proc/self/ns/net").unwrap();
        // One may have been given; the kernel does not refuse the question.
        number_of(&own).unwrap();
    }
}
