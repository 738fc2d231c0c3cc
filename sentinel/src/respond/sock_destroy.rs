//! Ends a socket from outside: its owner's next call fails at once instead of hanging.

use super::{namespace, sock_diag};
use crate::action::Outcome;
use crate::attribution::Socket;

/// Destroys a socket in whichever network namespace it lives. `likely` are processes that probably
/// share it. May take milliseconds; not for an async thread.
#[must_use]
pub fn sock_destroy(socket: &Socket, likely: impl IntoIterator<Item = u32>) -> Outcome {
    let found = namespace::search(likely, || {
        let destroyed = sock_diag::destroy(socket)?;
        Ok(destroyed.then_some(()))
    });
    match found {
        Ok(Some(())) => Outcome::Destroyed,
        Ok(None) => Outcome::NotFound,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Needs root and a kernel with `CONFIG_INET_DIAG_DESTROY`; says so when it cannot.
    #[test]
    fn a_destroyed_socket_fails_at_once() {
        for server in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(server).unwrap();
            let mut port = listener.local_addr().unwrap();
            if port.ip().is_unspecified() {
                port.set_ip("127.0.0.1".parse().unwrap());
            }
            let client = TcpStream::connect(port).unwrap();
            let (mut accepted, _) = listener.accept().unwrap();
            let canonical = |end: std::net::SocketAddr| {
                std::net::SocketAddr::new(end.ip().to_canonical(), end.port())
            };
            let socket = Socket {
                protocol: 6,
                local: accepted.local_addr().ok().map(canonical),
                remote: accepted.peer_addr().ok().map(canonical),
                cookie: 0,
            };
            match sock_destroy(&socket, [std::process::id()]) {
                Outcome::Destroyed => {
                    let error = accepted.read(&mut [0]).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
                    let again = sock_destroy(&socket, [std::process::id()]);
                    assert_eq!(again, Outcome::NotFound);
                    TcpStream::connect(port).expect("the listener lives");
                }
                other => eprintln!("skipped: this host cannot destroy sockets: {other:?}"),
            }
            drop(client);
        }
    }
}
