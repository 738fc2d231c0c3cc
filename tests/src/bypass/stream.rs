//! TCP in its variants.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;

use super::{Aim, bytes};
use crate::sys;

/// Enough for several segments and, where the device takes them, one large packet.
const LARGE: usize = 20_000;

pub(super) fn tcp(aim: &Aim) -> io::Result<OwnedFd> {
    aim.socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)
}

/// Connects, as long as the aim waits.
pub(super) fn reach(socket: &OwnedFd, aim: &Aim, to: &[u8]) -> io::Result<()> {
    match sys::connect(socket.as_fd(), to) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => writable(socket, aim),
        other => other,
    }
}

/// Waits until the connection stands.
fn writable(socket: &OwnedFd, aim: &Aim) -> io::Result<()> {
    let wait =
        Timespec { tv_sec: aim.wait.as_secs() as i64, tv_nsec: aim.wait.subsec_nanos().into() };
    if poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&wait))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rustix::net::sockopt::socket_error(socket)??)
}

pub(super) fn says(socket: &OwnedFd, aim: &Aim) -> io::Result<()> {
    sys::send(socket.as_fd(), &aim.marker, libc::MSG_NOSIGNAL, &[]).map(drop)
}

pub(super) fn connect(aim: &Aim) -> io::Result<()> {
    let socket = tcp(aim)?;
    reach(&socket, aim, &aim.sockaddr())?;
    says(&socket, aim)
}

pub(super) fn connect_mapped(aim: &Aim) -> io::Result<()> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let socket = sys::socket(libc::AF_INET6, kind, 0)?;
    reach(&socket, aim, &bytes::sockaddr(aim.mapped()))?;
    says(&socket, aim)
}

/// `sendto` with `MSG_FASTOPEN` instead of `connect`.
pub(super) fn fast_open(aim: &Aim) -> io::Result<()> {
    let socket = tcp(aim)?;
    let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL;
    match sys::send(socket.as_fd(), &aim.marker, flags, &aim.sockaddr()) {
        Ok(_) => writable(&socket, aim),
        // Without a cookie of the server's: the connection is under way, the bytes are not.
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            writable(&socket, aim)?;
            says(&socket, aim)
        }
        Err(error) => Err(error),
    }
}

/// `TCP_FASTOPEN_CONNECT`: `connect` does nothing and the first write connects.
pub(super) fn fast_open_connect(aim: &Aim) -> io::Result<()> {
    let socket = tcp(aim)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_TCP, libc::TCP_FASTOPEN_CONNECT, &on)?;
    reach(&socket, aim, &aim.sockaddr())?;
    match says(&socket, aim) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            writable(&socket, aim)?;
            says(&socket, aim)
        }
        other => other.and_then(|()| writable(&socket, aim)),
    }
}

pub(super) fn send_file(aim: &Aim) -> io::Result<()> {
    let socket = tcp(aim)?;
    reach(&socket, aim, &aim.sockaddr())?;
    let file = rustix::fs::memfd_create(c"marker", MemfdFlags::CLOEXEC)?;
    std::fs::File::from(file.try_clone()?).write_all(&large(aim))?;
    rustix::fs::sendfile(&socket, &file, Some(&mut 0), LARGE)?;
    Ok(())
}

pub(super) fn zerocopy(aim: &Aim) -> io::Result<()> {
    let socket = tcp(aim)?;
    let on = 1i32.to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ZEROCOPY, &on)?;
    reach(&socket, aim, &aim.sockaddr())?;
    let bytes = large(aim);
    let flags = libc::MSG_ZEROCOPY | libc::MSG_NOSIGNAL;
    sys::send(socket.as_fd(), &bytes, flags, &[]).map(drop)
}

fn large(aim: &Aim) -> Vec<u8> {
    let mut bytes = aim.marker.clone();
    bytes.resize(LARGE, b'.');
    bytes
}

pub(super) fn ring(aim: &Aim) -> io::Result<()> {
    by_ring(aim, false)
}

pub(super) fn ring_polled(aim: &Aim) -> io::Result<()> {
    by_ring(aim, true)
}

fn by_ring(aim: &Aim, polled: bool) -> io::Result<()> {
    let socket = aim.socket(libc::SOCK_STREAM, 0)?;
    // The kernel connects for as long as it waits to send.
    let seconds = (aim.wait.as_secs() as i64).to_ne_bytes();
    let micros = i64::from(aim.wait.subsec_micros()).to_ne_bytes();
    let wait = [seconds, micros].concat();
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDTIMEO, &wait)?;
    sys::ring_send(socket.as_fd(), &aim.marker, &aim.sockaddr(), true, polled)
}

pub(super) fn multipath(aim: &Aim) -> io::Result<()> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    let socket = aim.socket(kind, libc::IPPROTO_MPTCP)?;
    reach(&socket, aim, &aim.sockaddr())?;
    says(&socket, aim)
}
