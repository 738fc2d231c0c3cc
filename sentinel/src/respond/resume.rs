//! Connections that are older than the agent: their sockets get a flow's state from here, so that
//! the kernel reads them from their next packet on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::sockopt::socket_cookie;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// What came of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resume {
    /// It is read from its next packet on.
    Resumed,
    /// The kernel had state for it already: it spoke since the hooks are attached.
    Known,
    /// The process or its socket is gone.
    Gone,
    /// The kernel refused.
    Refused,
}

/// Borrows descriptor `fd` of process `pid` (`pidfd_getfd(2)`, Linux 5.6) and, where it is the socket
/// with this cookie, hands it to `seed`, which says whether the socket had no state yet.
pub fn resume<E: std::fmt::Display>(
    (pid, fd): (u32, i32),
    cookie: u64,
    seed: impl FnOnce(BorrowedFd<'_>) -> Result<bool, E>,
) -> Resume {
    let socket = match borrow(pid, fd) {
        Ok(socket) => socket,
        Err(error) if is_gone(&error) => return Resume::Gone,
        Err(error) => {
            tracing::debug!("descriptor {fd} of process {pid} cannot be had: {error}");
            return Resume::Refused;
        }
    };
    // The number may stand for another file by now.
    if socket_cookie(&socket).ok() != Some(cookie) {
        return Resume::Gone;
    }
    match seed(socket.as_fd()) {
        Ok(true) => Resume::Resumed,
        Ok(false) => Resume::Known,
        Err(error) => {
            tracing::debug!("the state of socket {cookie} was not taken: {error}");
            Resume::Refused
        }
    }
}

fn borrow(pid: u32, fd: i32) -> io::Result<std::os::fd::OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(pidfd_getfd(&process, fd, PidfdGetfdFlags::empty())?)
}

/// `ESRCH`: no such process. `EBADF`: no such descriptor.
fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    const EBADF: i32 = 9;
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ESRCH | EBADF))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn only_the_very_socket_is_handed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let place = (std::process::id(), client.as_raw_fd());
        let cookie = socket_cookie(&client).unwrap();
        let mut seen = 0;
        let found = resume(place, cookie, |socket| {
            seen = socket_cookie(socket).unwrap();
            Ok::<_, Infallible>(true)
        });
        assert_eq!((found, seen), (Resume::Resumed, cookie));
        let known = resume(place, cookie, |_| Ok::<_, Infallible>(false));
        assert_eq!(known, Resume::Known);
        let never = |_: BorrowedFd<'_>| -> Result<bool, Infallible> { panic!("another socket") };
        assert_eq!(resume(place, cookie + 1, never), Resume::Gone);
        assert_eq!(resume((place.0, 1 << 20), cookie, never), Resume::Gone);
        assert_eq!(resume((0x3fff_ffff, 1), cookie, never), Resume::Gone);
        assert_eq!(resume(place, cookie, |_| Err::<bool, _>("no")), Resume::Refused);
    }
}
