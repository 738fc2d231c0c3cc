//! Which process holds a socket, for sockets whose maker the kernel programs did not see: those that
//! are older than the agent.

use std::fs;

use crate::attribution::Socket;
use crate::event::line::Missing;
use crate::respond::{namespace, sock_diag};

/// Processes whose open files are looked through.
const PROCESSES: usize = 32_768;

/// The process that holds a socket. `likely` are looked at first.
///
/// # Errors
/// Why there is none.
pub fn holder(socket: &Socket, likely: &[u32]) -> Result<u32, Missing> {
    let guesses = likely.iter().copied().chain([std::process::id()]);
    let listed = namespace::search(guesses, || sock_diag::find(socket));
    let inode = match listed {
        Ok(Some(listed)) if listed.inode != 0 => listed.inode,
        Ok(_) => return Err(Missing::Unowned),
        Err(error) => {
            tracing::debug!("a socket could not be looked up: {error}");
            return Err(Missing::Denied);
        }
    };
    let name = format!("socket:[{inode}]");
    let all = likely.iter().copied().chain(namespace::processes());
    all.take(PROCESSES).find(|pid| holds(*pid, &name)).ok_or(Missing::Unowned)
}

fn holds(pid: u32, name: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut links = files.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.any(|link| link.as_os_str() == name)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Needs the right to enter one's own network namespace; says so when it has it not.
    #[test]
    fn a_socket_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket {
            protocol: 6,
            local: client.local_addr().ok(),
            remote: client.peer_addr().ok(),
            cookie: 0,
        };
        match holder(&socket, &[]) {
            Err(Missing::Denied) => eprintln!("skipped: entering a network namespace needs root"),
            found => assert_eq!(found, Ok(std::process::id())),
        }
        drop(client);
        drop(listener);
        let gone = holder(&socket, &[]);
        assert!(matches!(gone, Err(Missing::Denied | Missing::Unowned)), "{gone:?}");
    }
}
