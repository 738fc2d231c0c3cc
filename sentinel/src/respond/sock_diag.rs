//! Asks the kernel about the sockets of the network namespace that the calling thread is in.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use sentinel_common::policy::TCP;

pub use super::tcp_info::Traffic;
pub use super::wire::Listed;
use super::wire::{
    ACK, Ask, BY_FAMILY, DESTROY, DUMP, Family, Message, REQUEST, messages, request,
};
use crate::attribution::Socket;

/// The kernel answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// The kernel sends at most this much of a dump in one datagram (net/netlink/af_netlink.c).
const DATAGRAM: usize = 32 * 1024;

/// Destroys a socket; `Ok(false)` when this namespace has no such socket.
///
/// Always by cookie: where a connection is gone the kernel's lookup falls back to the listener on its
/// port (net/ipv4/inet_diag.c, `inet_diag_find_one_icsk`), and a server must not die for its guest.
///
/// # Errors
/// What the kernel says: `EPERM` without `CAP_NET_ADMIN`, `EOPNOTSUPP` without
/// `CONFIG_INET_DIAG_DESTROY`.
pub fn destroy(socket: &Socket) -> io::Result<bool> {
    let known = (socket.cookie != 0).then_some(socket.cookie);
    let Some(cookie) = known.map_or_else(|| cookie_of(socket), |cookie| Ok(Some(cookie)))? else {
        return Ok(false);
    };
    let socket = &Socket { cookie, ..socket.clone() };
    for family in Family::of(socket) {
        let connection = connect()?;
        send(&connection, &request(Ask::new(DESTROY, REQUEST | ACK), *family, socket))?;
        match first(&connection)? {
            Some(Message::Error(0)) => return Ok(true),
            Some(Message::Error(code)) if !is_absent(code) => {
                return Err(io::Error::from_raw_os_error(code));
            }
            _ => {}
        }
    }
    Ok(false)
}

fn cookie_of(socket: &Socket) -> io::Result<Option<u64>> {
    let found = find(socket)?.map(|listed| listed.cookie);
    Ok(found.filter(|cookie| *cookie != 0))
}

/// Finds a socket: by its ends where both are known, else by a walk over all of its protocol.
///
/// # Errors
/// What the kernel says.
pub fn find(socket: &Socket) -> io::Result<Option<Listed>> {
    let exact = socket.protocol == TCP
        && socket.local.is_some()
        && socket.remote.is_some_and(|remote| remote.port() != 0);
    for family in Family::of(socket) {
        let found = if exact { find_exact(*family, socket)? } else { search(*family, socket)? };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn find_exact(family: Family, socket: &Socket) -> io::Result<Option<Listed>> {
    let connection = connect()?;
    send(&connection, &request(Ask::new(BY_FAMILY, REQUEST), family, socket))?;
    match first(&connection)? {
        // A listener is what the kernel finds where the connection is gone.
        Some(Message::Socket(listed)) => {
            Ok(Some(listed).filter(|listed| Some(listed.remote) == socket.remote))
        }
        Some(Message::Error(code)) if code != 0 && !is_absent(code) => {
            Err(io::Error::from_raw_os_error(code))
        }
        _ => Ok(None),
    }
}

fn search(family: Family, socket: &Socket) -> io::Result<Option<Listed>> {
    let all = Socket { local: None, remote: None, ..socket.clone() };
    let mut found = None;
    dump(&request(Ask::new(BY_FAMILY, REQUEST | DUMP), family, &all), |listed| {
        if is_meant(&listed, socket) {
            found = Some(listed);
        }
        true
    })?;
    Ok(found)
}

/// Lists the sockets of a protocol that are in one of `states` (bit `1 << state`), with what has
/// passed through them where the protocol is TCP. `take` is called for each and says whether it
/// wants more.
///
/// # Errors
/// What the kernel says.
pub fn list(protocol: u8, states: u32, mut take: impl FnMut(Listed) -> bool) -> io::Result<()> {
    let all = Socket { protocol, local: None, remote: None, cookie: 0 };
    for family in Family::ALL {
        dump(&request(Ask::list(states), family, &all), &mut take)?;
    }
    Ok(())
}

fn dump(request: &[u8], mut take: impl FnMut(Listed) -> bool) -> io::Result<()> {
    let connection = connect()?;
    send(&connection, request)?;
    loop {
        for message in receive(&connection)? {
            match message {
                Message::Done | Message::Error(0) => return Ok(()),
                Message::Error(code) if is_absent(code) => return Ok(()),
                Message::Error(code) => return Err(io::Error::from_raw_os_error(code)),
                Message::Socket(listed) => {
                    if !take(listed) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The cookie decides where it is known; a UDP socket may serve many remotes, so an unconnected one
/// is meant by its own end.
fn is_meant(listed: &Listed, socket: &Socket) -> bool {
    if socket.cookie != 0 {
        return listed.cookie == socket.cookie;
    }
    let remote = listed.remote.port() == 0 || Some(listed.remote) == socket.remote;
    Some(listed.local) == socket.local && remote
}

/// `ENOENT`: no such socket. `ESTALE`: its ends belong to another socket by now.
const fn is_absent(code: i32) -> bool {
    const ENOENT: i32 = 2;
    const ESTALE: i32 = 116;
    matches!(code, ENOENT | ESTALE)
}

fn connect() -> io::Result<OwnedFd> {
    let kind = (AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

fn send(connection: &OwnedFd, message: &[u8]) -> io::Result<()> {
    rustix::net::send(connection, message, SendFlags::empty())?;
    Ok(())
}

fn receive(connection: &OwnedFd) -> io::Result<Vec<Message>> {
    let mut datagram = vec![0; DATAGRAM];
    let (length, _) = rustix::net::recv(connection, &mut datagram, RecvFlags::empty())?;
    Ok(messages(datagram.get(..length).unwrap_or_default()))
}

fn first(connection: &OwnedFd) -> io::Result<Option<Message>> {
    Ok(receive(connection)?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_connection_is_found_by_its_ends_and_by_a_walk() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut socket = Socket {
            protocol: TCP,
            local: client.local_addr().ok(),
            remote: client.peer_addr().ok(),
            cookie: 0,
        };
        let found = find(&socket).unwrap().unwrap();
        assert_eq!(Some(found.local), socket.local);
        assert_eq!(u64::from(found.inode), inode(&client));
        socket.cookie = found.cookie;
        assert_eq!(find(&socket).unwrap().as_ref(), Some(&found));
        let by_cookie = Socket { local: None, remote: None, ..socket.clone() };
        assert_eq!(find(&by_cookie).unwrap(), Some(found));
        let other = Socket { cookie: socket.cookie + 1, ..socket };
        assert_eq!(find(&other).unwrap(), None);
    }

    #[test]
    fn a_list_tells_what_has_passed() {
        use std::io::{Read, Write};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        server.write_all(b"hi").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        let mut listed = Vec::new();
        list(TCP, 1 << 1, |one| {
            listed.push(one);
            true
        })
        .unwrap();
        assert!(listed.iter().all(|one| one.state == 1), "only what is established");
        let local = client.local_addr().unwrap();
        let found = listed.iter().find(|one| one.local == local).unwrap();
        assert_eq!(Some(found.remote), client.peer_addr().ok());
        let traffic = found.traffic.unwrap();
        assert_eq!((traffic.segments_out, traffic.segments_in), (1, 1));
        assert_eq!((traffic.bytes_received, traffic.bytes_sent), (2, 5));
    }

    #[test]
    fn an_unconnected_udp_socket_is_found() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket {
            protocol: 17,
            local: udp.local_addr().ok(),
            remote: Some("192.0.2.1:53".parse().unwrap()),
            cookie: 0,
        };
        let found = find(&socket).unwrap().unwrap();
        assert_eq!(u64::from(found.inode), inode(&udp));
    }

    fn inode(socket: &impl std::os::fd::AsRawFd) -> u64 {
        std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino()
    }
}
