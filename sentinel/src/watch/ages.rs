//! Since when connections are open. The kernel does not tell a socket's age: it is what the agent has
//! seen, or what the last words on it prove.

use std::collections::HashMap;

use super::inventory::{Open, Protocols};

/// Since when, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// It was open when the agent started.
    BeforeStart,
    /// It was first seen then, nanoseconds of the monotonic clock.
    Seen(u64),
}

/// How old a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    /// It is older than the agent.
    pub older_than_agent: bool,
    /// It is at least so old, seconds.
    pub at_least: u64,
}

/// The connections that were seen, by cookie, and whether each is TCP.
#[derive(Debug, Default)]
pub struct Ages(HashMap<u64, (Since, bool)>);

impl Ages {
    /// These were open at the start.
    pub fn at_start(&mut self, open: &[Open]) {
        let entry = |open: &Open| (open.socket.cookie, (Since::BeforeStart, open.is_tcp()));
        self.0.extend(open.iter().map(entry));
    }

    /// These are open now, of these protocols; what is not among them is forgotten.
    pub fn look(&mut self, now: u64, open: &[Open], protocols: Protocols) {
        let mut before = std::mem::take(&mut self.0);
        self.0.reserve(open.len());
        for open in open {
            let cookie = open.socket.cookie;
            let known = before.remove(&cookie);
            self.0.insert(cookie, known.unwrap_or((Since::Seen(now), open.is_tcp())));
        }
        if protocols == Protocols::Tcp {
            self.0.extend(before.into_iter().filter(|(_, (_, is_tcp))| !is_tcp));
        }
    }

    /// The age of a connection, now.
    #[must_use]
    pub fn of(&self, now: u64, open: &Open) -> Age {
        let since = self.0.get(&open.socket.cookie).map(|(since, _)| *since);
        let seen = match since {
            Some(Since::Seen(at)) => now.saturating_sub(at) / 1_000_000_000,
            Some(Since::BeforeStart) | None => 0,
        };
        Age {
            older_than_agent: since == Some(Since::BeforeStart),
            at_least: seen.max(proven(open)),
        }
    }
}

/// Seconds that a TCP connection is at least open: each side's last words, or its opening where it has
/// said none (`tcp_finish_connect`, net/ipv4/tcp_input.c, sets both times).
#[must_use]
pub fn proven(open: &Open) -> u64 {
    let milliseconds =
        open.traffic.map_or(0, |traffic| traffic.last_sent.max(traffic.last_received));
    u64::from(milliseconds) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Socket;
    use crate::respond::sock_diag::Traffic;

    const SECOND: u64 = 1_000_000_000;

    fn open(cookie: u64) -> Open {
        let socket = Socket { protocol: 6, local: None, remote: None, cookie };
        Open { socket, uid: 0, inode: 1, cgroup: 1, outbound: true, traffic: None }
    }

    #[test]
    fn what_was_there_at_the_start_stays_older_and_the_rest_has_an_age() {
        let mut ages = Ages::default();
        // A look may come before the list of the start is there.
        ages.look(SECOND, &[open(1), open(2)], Protocols::All);
        ages.at_start(&[open(1)]);
        ages.look(10 * SECOND, &[open(1), open(2), open(3)], Protocols::Tcp);
        let age = |ages: &Ages, cookie| {
            let Age { older_than_agent, at_least } = ages.of(30 * SECOND, &open(cookie));
            (older_than_agent, at_least)
        };
        assert_eq!(age(&ages, 1), (true, 0));
        assert_eq!(age(&ages, 2), (false, 29));
        assert_eq!(age(&ages, 3), (false, 20));
        assert_eq!(age(&ages, 4), (false, 0), "never seen");
        ages.look(20 * SECOND, &[open(3)], Protocols::Tcp);
        assert_eq!(ages.0.len(), 1, "what has ended is forgotten");
        let mut udp = open(9);
        udp.socket.protocol = 17;
        ages.at_start(&[udp]);
        ages.look(30 * SECOND, &[], Protocols::Tcp);
        assert!(ages.0.contains_key(&9), "not looked for");
        ages.look(30 * SECOND, &[], Protocols::All);
        assert!(ages.0.is_empty());
    }

    #[test]
    fn last_words_prove_an_age() {
        let traffic = Traffic { last_sent: 7000, last_received: 90_500, ..Traffic::default() };
        let quiet = Open { traffic: Some(traffic), ..open(1) };
        assert_eq!(Ages::default().of(0, &quiet).at_least, 90);
    }
}
