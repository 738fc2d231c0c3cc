//! Every connection that is open on this host, in all of its network namespaces.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use sentinel_common::policy::{TCP, UDP};

use crate::attribution::Socket;
use crate::respond::namespace;
use crate::respond::sock_diag::{self, Listed, Traffic};

/// Connections that are listed at most; a listed one takes about 200 bytes.
pub const CONNECTIONS: usize = 131_072;

/// `1 << TCP_ESTABLISHED`; of a UDP socket: it is connected.
const ESTABLISHED: u32 = 1 << 1;
/// `1 << TCP_CLOSE_WAIT`: the other end has finished, this one may still speak.
const CLOSE_WAIT: u32 = 1 << 8;
const LISTEN: u8 = 10;

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its ends and its cookie.
    pub socket: Socket,
    /// User id of its owner.
    pub uid: u32,
    /// Its inode; 0 when no process holds it.
    pub inode: u32,
    /// Its cgroup; 0 where the kernel does not tell.
    pub cgroup: u64,
    /// Nothing listens on its local port: this host opened it.
    pub outbound: bool,
    /// What has passed through it; UDP does not tell.
    pub traffic: Option<Traffic>,
}

impl Open {
    /// Whether it is TCP, else it is UDP.
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        self.socket.protocol == TCP
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Listing {
    /// The connections.
    pub open: Vec<Open>,
    /// Connections for which there was no room.
    pub left_out: usize,
    /// Namespaces that could not be looked into, and why.
    pub failed: Vec<io::Error>,
}

/// Which protocols are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// Only TCP.
    Tcp,
    /// TCP, and UDP sockets that are connected.
    All,
}

/// Lists every connection of every network namespace. Takes milliseconds, more where there are many.
#[must_use]
pub fn connections(protocols: Protocols) -> Listing {
    let room = AtomicUsize::new(CONNECTIONS);
    let (lists, failed) = namespace::each(|_| here(protocols, &room));
    let mut listing = Listing { failed, ..Listing::default() };
    for (open, left_out) in lists {
        listing.open.extend(open);
        listing.left_out += left_out;
    }
    listing
}

/// The connections of the network namespace that the calling thread is in, and how many found no
/// room.
///
/// # Errors
/// What the kernel says.
pub fn here(protocols: Protocols, room: &AtomicUsize) -> io::Result<(Vec<Open>, usize)> {
    let mut listening = HashSet::new();
    let (mut open, mut left_out) = (Vec::new(), 0);
    let states = ESTABLISHED | CLOSE_WAIT | 1 << LISTEN;
    let mut take = |protocol: u8, listed: Listed| {
        if listed.state == LISTEN {
            listening.insert(listed.local.port());
        } else if room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            open.push(connection(protocol, listed));
        } else {
            left_out += 1;
        }
        true
    };
    sock_diag::list(TCP, states, |listed| take(TCP, listed))?;
    if protocols == Protocols::All {
        // A kernel without CONFIG_INET_UDP_DIAG answers ENOENT, which is an empty list.
        sock_diag::list(UDP, ESTABLISHED, |listed| take(UDP, listed))?;
    }
    for one in &mut open {
        let port = one.socket.local.map_or(0, |local| local.port());
        one.outbound = one.socket.protocol != TCP || !listening.contains(&port);
    }
    Ok((open, left_out))
}

fn connection(protocol: u8, listed: Listed) -> Open {
    Open {
        socket: Socket {
            protocol,
            local: Some(listed.local),
            remote: Some(listed.remote),
            cookie: listed.cookie,
        },
        uid: listed.uid,
        inode: listed.inode,
        cgroup: listed.cgroup,
        outbound: true,
        traffic: listed.traffic,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn both_ends_are_listed_and_only_one_of_them_went_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect("127.0.0.1:9").unwrap();
        let room = AtomicUsize::new(1 << 20);
        let (open, left_out) = here(Protocols::All, &room).unwrap();
        assert_eq!(left_out, 0);
        let of = |end: std::net::SocketAddr| {
            open.iter().find(|one| one.socket.local == Some(end)).unwrap()
        };
        assert!(of(client.local_addr().unwrap()).outbound);
        let inbound = open.iter().find(|one| {
            one.socket.local == server.local_addr().ok()
                && one.socket.remote == server.peer_addr().ok()
        });
        assert!(!inbound.unwrap().outbound);
        assert_eq!(of(udp.local_addr().unwrap()).socket.protocol, UDP);
        let (open, left_out) = here(Protocols::Tcp, &AtomicUsize::new(1)).unwrap();
        assert_eq!(open.len(), 1);
        assert!(left_out > 0, "what has no room is counted");
    }
}
