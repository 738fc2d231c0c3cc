//! Sockets made, and connected where they can be, before there was an agent: one agent for all.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};

use super::owner::{MARKER, SOON, datagram, raw, sends, told};
use super::place::{Arrival, BAD, Place};

const KINDS: [Kind; 4] = [Kind::Udp, Kind::Connected, Kind::Raw, Kind::Established];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Udp,
    Connected,
    Raw,
    Established,
}

/// What such a socket's packet came to without an agent, and under the allowlist.
struct Row {
    kind: Kind,
    before: Arrival,
    after: Arrival,
}

pub fn trials() -> Vec<Trial> {
    let root = rustix::process::geteuid().is_root();
    let trial = |kind: Kind| {
        let needs = if root { "" } else { " (needs root)" };
        let run = move || judged(kind).map_err(|error| Failed::from(format!("{error:#}")));
        let name = format!("bypass/owner/older/{}{needs}", kind.name());
        Trial::ignorable_test(name, run).with_ignored_flag(!root)
    };
    KINDS.map(trial).into()
}

fn judged(kind: Kind) -> Result<Completion> {
    static ROWS: OnceLock<Result<Vec<Row>, String>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| rows().map_err(|error| format!("{error:#}")));
    let rows = rows.as_ref().map_err(|error| anyhow::anyhow!("nothing was tried: {error}"))?;
    let row = rows.iter().find(|row| row.kind == kind).context("it was not tried")?;
    ensure!(row.before.marked > 0, "it does not work without an agent: {:?}", row.before);
    let known = (kind == Kind::Established)
        .then_some("an established connection is not judged again by its destination");
    told(&row.after, known)
}

/// All kinds, in one place.
fn rows() -> Result<Vec<Row>> {
    let mut place = Place::waiting(22)?;
    let target = SocketAddr::new(place.at(BAD).ip(), 7002);
    let _listener = place.lab.in_peer(|| Ok(TcpListener::bind(target)?))?;
    let mut tried = Vec::new();
    for kind in KINDS {
        let mut send = kind.sender(&place, target)?;
        let before = attempt(&place, &mut send)?;
        tried.push((kind, send, before));
    }
    place.guard()?;
    let mut rows = Vec::new();
    for (kind, mut send, before) in tried {
        rows.push(Row { kind, before, after: attempt(&place, &mut send)? });
    }
    let agent = place.agent.take().context("there was no agent")?;
    agent.stop()?;
    Ok(rows)
}

type Sender = Box<dyn FnMut() + Send>;

fn attempt(place: &Place, send: &mut Sender) -> Result<Arrival> {
    place.watch(BAD, || {
        send();
        Ok(())
    })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Connected => "udp_connected",
            Self::Raw => "raw",
            Self::Established => "tcp_established",
        }
    }

    /// Makes a socket as a workload; what is returned sends through it.
    fn sender(self, place: &Place, target: SocketAddr) -> Result<Sender> {
        Ok(match self {
            Self::Udp => {
                let socket = place.inside(datagram)?;
                Box::new(move || sends(&socket, target))
            }
            Self::Connected => {
                let socket = place.inside(datagram)?;
                socket.connect(target)?;
                Box::new(move || {
                    // Nobody listens there: an unreachable that came back would be told instead of sending.
                    drop(socket.take_error());
                    drop(socket.send(MARKER.as_bytes()));
                })
            }
            Self::Raw => {
                let socket = place.inside(raw)?;
                let to = SocketAddr::new(target.ip(), 0);
                Box::new(move || {
                    let flags = rustix::net::SendFlags::empty();
                    let _ = rustix::net::sendto(&socket, MARKER.as_bytes(), flags, &to);
                })
            }
            Self::Established => {
                let mut stream = place.inside(|| Ok(TcpStream::connect_timeout(&target, SOON)?))?;
                Box::new(move || drop(stream.write_all(MARKER.as_bytes())))
            }
        })
    }
}
