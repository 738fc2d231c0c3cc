//! Netlink messages of `sock_diag(7)`, put together and taken apart byte by byte.
//!
//! Layouts: include/uapi/linux/netlink.h `nlmsghdr`, include/uapi/linux/inet_diag.h
//! `inet_diag_req_v2`, `inet_diag_sockid`, `inet_diag_msg`.

use std::net::{IpAddr, SocketAddr};

use super::tcp_info::Traffic;
use crate::attribution::Socket;

/// `SOCK_DIAG_BY_FAMILY`
pub(super) const BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY`
pub(super) const DESTROY: u16 = 21;
/// `NLM_F_REQUEST`
pub(super) const REQUEST: u16 = 0x001;
/// `NLM_F_ACK`
pub(super) const ACK: u16 = 0x004;
/// `NLM_F_ROOT | NLM_F_MATCH`
pub(super) const DUMP: u16 = 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
const SEQUENCE: u32 = 1;
/// Bytes of `inet_diag_msg`, before its attributes.
const BODY: usize = 72;
/// `INET_DIAG_INFO`
const INFO: u8 = 2;
/// `INET_DIAG_CGROUP_ID`
const CGROUP_ID: u16 = 21;
/// `NLA_TYPE_MASK`
const ATTRIBUTE: u16 = 0x3fff;
/// `INET_DIAG_NOCOOKIE`, both halves.
const NO_COOKIE: u64 = u64::MAX;

/// Address family of a request: a v4-mapped flow may belong to either kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The families in which a socket with these ends may be found.
    pub(super) fn of(socket: &Socket) -> &'static [Self] {
        let is_v6 = |end: Option<SocketAddr>| end.is_some_and(|end| end.is_ipv6());
        if is_v6(socket.local) || is_v6(socket.remote) {
            &[Self::V6]
        } else {
            &[Self::V4, Self::V6]
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// [`BY_FAMILY`] or [`DESTROY`].
    pub(super) kind: u16,
    /// [`REQUEST`] and what goes with it.
    pub(super) flags: u16,
    /// Bit `1 << state` of each state that is meant.
    pub(super) states: u32,
    /// Bit `1 << (attribute - 1)` of each attribute that is asked for.
    pub(super) extensions: u8,
}

impl Ask {
    /// In whatever state, and no more than the kernel tells by itself.
    pub(super) const fn new(kind: u16, flags: u16) -> Self {
        Self { kind, flags, states: u32::MAX, extensions: 0 }
    }

    /// Sockets of a protocol in these states, with their traffic.
    pub(super) const fn list(states: u32) -> Self {
        Self { kind: BY_FAMILY, flags: REQUEST | DUMP, states, extensions: 1 << (INFO - 1) }
    }
}

/// A request about one socket, or with [`DUMP`] about all of its protocol.
pub(super) fn request(ask: Ask, family: Family, socket: &Socket) -> Vec<u8> {
    let Ask { kind, flags, states, extensions } = ask;
    let mut body = vec![family.number(), socket.protocol, extensions, 0];
    body.extend(states.to_ne_bytes());
    let port = |end: Option<SocketAddr>| end.map_or(0, |end| end.port()).to_be_bytes();
    body.extend(port(socket.local));
    body.extend(port(socket.remote));
    body.extend(address(family, socket.local));
    body.extend(address(family, socket.remote));
    body.extend(0_u32.to_ne_bytes());
    let cookie = if socket.cookie == 0 { NO_COOKIE } else { socket.cookie };
    body.extend(u32::to_ne_bytes((cookie & 0xffff_ffff) as u32));
    body.extend(u32::to_ne_bytes((cookie >> 32) as u32));

    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(SEQUENCE.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

fn address(family: Family, end: Option<SocketAddr>) -> [u8; 16] {
    let mut bytes = [0; 16];
    match (family, end.map(|end| end.ip())) {
        (Family::V4, Some(IpAddr::V4(v4))) => {
            if let Some(first) = bytes.first_chunk_mut() {
                *first = v4.octets();
            }
        }
        (_, Some(ip)) => bytes = sentinel_common::address::of(ip),
        (_, None) => {}
    }
    bytes
}

/// A message from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// An answer to the request; 0 or an errno.
    Error(i32),
    /// The last one of a dump.
    Done,
    /// A socket.
    Socket(Listed),
}

/// A socket as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Its cookie.
    pub cookie: u64,
    /// User id of its owner.
    pub uid: u32,
    /// Its inode; 0 when no process holds it any more.
    pub inode: u32,
    /// `TCP_ESTABLISHED` (1) and so on, include/net/tcp_states.h.
    pub state: u8,
    /// Its cgroup; 0 where the kernel does not tell (before 5.9).
    pub cgroup: u64,
    /// What has passed through it, for TCP and where it was asked for.
    pub traffic: Option<Traffic>,
}

/// The messages in one datagram; what is cut or unknown is left out.
pub(super) fn messages(mut datagram: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    while let Some(length) = ne_u32(datagram, 0) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = datagram.get(..length).filter(|_| length >= HEADER) else { break };
        found.extend(message_of(message));
        let aligned = length.next_multiple_of(4);
        datagram = datagram.get(aligned..).unwrap_or_default();
    }
    found
}

fn message_of(message: &[u8]) -> Option<Message> {
    let body = message.get(HEADER..)?;
    match u16::from_ne_bytes(*message.get(4..)?.first_chunk()?) {
        NLMSG_ERROR => Some(Message::Error(-i32::from_ne_bytes(*body.first_chunk()?))),
        NLMSG_DONE => Some(Message::Done),
        BY_FAMILY => listed(body).map(Message::Socket),
        _ => None,
    }
}

fn listed(body: &[u8]) -> Option<Listed> {
    let family = *body.first()?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(*body.get(port..)?.first_chunk()?);
        let v6: [u8; 16] = *body.get(address..)?.first_chunk()?;
        let v4: [u8; 4] = *v6.first_chunk()?;
        let ip = if family == Family::V4.number() { IpAddr::from(v4) } else { IpAddr::from(v6) };
        Some(SocketAddr::new(ip.to_canonical(), port))
    };
    let attribute = |kind| attributes(body.get(BODY..).unwrap_or_default(), kind);
    let cgroup = attribute(CGROUP_ID).and_then(|value| value.first_chunk().copied());
    Some(Listed {
        state: *body.get(1)?,
        cgroup: cgroup.map_or(0, u64::from_ne_bytes),
        traffic: attribute(u16::from(INFO)).and_then(Traffic::read),
        local: end(4, 8)?,
        remote: end(6, 24)?,
        cookie: u64::from(ne_u32(body, 44)?) | u64::from(ne_u32(body, 48)?) << 32,
        uid: ne_u32(body, 64)?,
        inode: ne_u32(body, 68)?,
    })
}

/// The value of an attribute (include/uapi/linux/netlink.h `nlattr`).
fn attributes(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = u16::from_ne_bytes(*bytes.first_chunk()?);
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..usize::from(length))?;
        if kind & ATTRIBUTE == wanted {
            return Some(value);
        }
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..)?;
    }
}

fn ne_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        Socket {
            protocol: 6,
            local: Some("10.0.0.1:4000".parse().unwrap()),
            remote: Some("192.0.2.1:3333".parse().unwrap()),
            cookie: 0x1_0000_0002,
        }
    }

    #[test]
    fn a_request_has_the_kernels_layout() {
        let v4 = request(Ask::new(DESTROY, REQUEST | ACK), Family::V4, &socket());
        assert_eq!(v4.len(), 72);
        assert_eq!(v4[16..18], [2, 6]);
        assert_eq!(v4[24..28], [4000_u16.to_be_bytes(), 3333_u16.to_be_bytes()].concat());
        assert_eq!(v4[28..32], [10, 0, 0, 1]);
        assert_eq!(v4[44..48], [192, 0, 2, 1]);
        assert_eq!(v4[64..72], [2_u32.to_ne_bytes(), 1_u32.to_ne_bytes()].concat());
        let v6 = request(Ask::new(DESTROY, REQUEST | ACK), Family::V6, &socket());
        assert_eq!(v6[16], 10);
        assert_eq!(v6[28..44], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
    }

    #[test]
    fn attributes_are_found_and_never_read_past_their_end() {
        let mut bytes = vec![5, 0, 1, 0, 9, 0, 0, 0];
        bytes.extend([12, 0, 21, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(attributes(&bytes, 1), Some([9].as_slice()));
        assert_eq!(attributes(&bytes, CGROUP_ID), Some([1, 2, 3, 4, 5, 6, 7, 8].as_slice()));
        assert_eq!(attributes(&bytes, 3), None);
        for end in 0..bytes.len() {
            assert_eq!(attributes(&bytes[..end], CGROUP_ID), None, "{end}");
        }
        assert_eq!(attributes(&[0; 8], 1), None, "a length of nothing ends the walk");
    }

    #[test]
    fn no_datagram_is_read_past_its_end() {
        let mut datagram = Vec::new();
        datagram.extend(20_u32.to_ne_bytes());
        datagram.extend(2_u16.to_ne_bytes());
        datagram.extend([0; 10]);
        datagram.extend((-2_i32).to_ne_bytes());
        assert_eq!(messages(&datagram), [Message::Error(2)]);
        for end in 0..datagram.len() {
            assert!(messages(&datagram[..end]).is_empty());
        }
        for length in 0..16_u32 {
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(messages(&datagram).is_empty());
        }
    }
}
