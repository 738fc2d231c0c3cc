//! Whose packet is it: sockets that change hands, places and times, and packets of the kernel's own.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, SocketType, ipproto};
use sentinel_tests::bypass::Family;
use sentinel_tests::cgroup;
use sentinel_tests::sniffer::Sniffer;

use super::place::{self, Arrival, BAD, GOOD, GUARDED, PORT, Place, held};

pub const MARKER: &str = "SENTINEL-MARKER-OWNER";
/// Nobody listens here.
const CLOSED: u16 = 9;
/// Set aside for experiments (RFC 3692).
const EXPERIMENT: u32 = 253;
/// A connection that hangs is not going to stand; an emulated machine is slow.
pub const SOON: Duration = Duration::from_millis(800);

type Case = fn() -> Result<Completion>;

pub fn trials() -> Vec<Trial> {
    let cases: [(&str, Case); 7] = [
        ("a_socket_made_inside_is_judged_outside", made_inside),
        ("a_socket_made_outside_comes_in", made_outside),
        ("a_cgroup_made_later_is_judged", made_later),
        ("a_reset_of_the_kernels", reset),
        ("an_unreachable_of_the_kernels", unreachable),
        ("a_server_answers_anybody", server),
        ("raw_sockets_can_be_refused", raw_refused),
    ];
    let root = rustix::process::geteuid().is_root();
    let trial = |(name, case): (&str, Case)| {
        let needs = if root { "" } else { " (needs root)" };
        let run = move || case().map_err(|error| Failed::from(format!("{error:#}")));
        Trial::ignorable_test(format!("bypass/owner/{name}{needs}"), run).with_ignored_flag(!root)
    };
    cases.into_iter().map(trial).collect()
}

impl Place {
    /// Runs a closure as a workload: the cgroup is the process's, so all of it moves there and back.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.workload.path();
        let home = path.parent().and_then(|it| it.parent()).context("no parent")?;
        cgroup::join(path)?;
        let outcome = self.lab.in_node(act);
        cgroup::join(home)?;
        outcome
    }

    pub fn at(&self, host: u8) -> SocketAddr {
        SocketAddr::new(self.address(Family::V4, host), PORT)
    }

    /// What arrived at an address of the peer's while this was done.
    pub fn watch(&self, host: u8, act: impl FnOnce() -> Result<()>) -> Result<Arrival> {
        let sniffer = Sniffer::start(&self.lab)?;
        act()?;
        place::count(sniffer.finish()?, self.address(Family::V4, host), MARKER)
    }
}

/// Closed, or open for a reason that is known.
pub fn told(arrival: &Arrival, known: Option<&str>) -> Result<Completion> {
    match (arrival.leaked(), known) {
        (false, _) => Ok(Completion::Completed),
        (true, Some(why)) => Ok(Completion::ignored_with(format!("gets out: {why}"))),
        (true, None) => anyhow::bail!("it got out: {arrival:?}"),
    }
}

pub fn datagram() -> Result<UdpSocket> {
    Ok(UdpSocket::bind("0.0.0.0:0")?)
}

/// What the kernel says to the sender is not the witness.
pub fn sends(socket: &UdpSocket, to: SocketAddr) {
    let _ = socket.send_to(MARKER.as_bytes(), to);
}

/// Handed out by `SCM_RIGHTS`, or kept by a process that moves: either way somebody outside sends.
fn made_inside() -> Result<Completion> {
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let socket = place.inside(datagram)?;
    let denied = place.watch(BAD, || {
        sends(&socket, place.at(BAD));
        Ok(())
    })?;
    let allowed = place.watch(GOOD, || {
        sends(&socket, place.at(GOOD));
        Ok(())
    })?;
    ensure!(allowed.marked > 0, "it did not reach the allowed address: {allowed:?}");
    told(&denied, None)
}

fn made_outside() -> Result<Completion> {
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let socket = place.lab.in_node(datagram)?;
    let denied = place.watch(BAD, || {
        place.inside(|| {
            sends(&socket, place.at(BAD));
            Ok(())
        })
    })?;
    told(&denied, Some("a socket is its maker's, and nobody judges the cgroup it was made in"))
}

fn made_later() -> Result<Completion> {
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let home = place.workload.path().parent().and_then(|it| it.parent()).context("no parent")?;
    let later = place.workload.child("later")?;
    cgroup::join(later.path())?;
    let denied = place.watch(BAD, || {
        place.lab.in_node(|| {
            sends(&datagram()?, place.at(BAD));
            Ok(())
        })
    });
    cgroup::join(home)?;
    told(&denied?, None)
}

pub fn raw() -> Result<OwnedFd> {
    let protocol = std::num::NonZeroU32::new(EXPERIMENT).map(Protocol::from_raw);
    Ok(rustix::net::socket(AddressFamily::INET, SocketType::RAW, protocol)?)
}

/// By the setting; whoever is not judged makes them as before.
fn raw_refused() -> Result<Completion> {
    let mut place = Place::waiting(26)?;
    let before = place.inside(raw)?;
    place.guard_with("mode: enforce\nrawSockets: refuse\n")?;
    let refused = place.inside(raw).err().context("a raw socket was made")?;
    let errno = refused.downcast_ref::<rustix::io::Errno>();
    ensure!(errno == Some(&rustix::io::Errno::PERM), "{refused:#}");
    place.inside(datagram)?;
    place.lab.in_node(raw)?;
    drop(before);
    Ok(Completion::Completed)
}

const KERNELS: &str = "the kernel answers by a socket of its own, which no cgroup hook sees";

/// A workload's closed port answers a SYN.
fn reset() -> Result<Completion> {
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let target = SocketAddr::new(place.address(Family::V4, 1), CLOSED);
    let denied = place.watch(BAD, || {
        place.lab.in_peer(|| {
            let socket = stream_from(place.at(BAD).ip())?;
            // Refused or not: the witness says which.
            let _ = rustix::net::connect(&socket, &target);
            Ok(())
        })
    })?;
    kernels(place, &denied)
}

/// A workload's closed port answers a datagram, and quotes it.
fn unreachable() -> Result<Completion> {
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let target = SocketAddr::new(place.address(Family::V4, 1), CLOSED);
    let bad: IpAddr = place.at(BAD).ip();
    let denied = place.watch(BAD, || {
        place.lab.in_peer(|| {
            sends(&UdpSocket::bind((bad, 0))?, target);
            std::thread::sleep(SOON);
            Ok(())
        })
    })?;
    kernels(place, &denied)
}

/// Answers on an accepted connection are nobody's new destination, at the end of the wire either.
fn server() -> Result<Completion> {
    const GREETING: &[u8] = b"welcome";
    let guard = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guard)?;
    let address = SocketAddr::new(place.address(Family::V4, 1), PORT);
    let listener = place.inside(|| Ok(TcpListener::bind(address)?))?;
    let server = std::thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        Ok(stream.write_all(GREETING)?)
    });
    let heard = place.lab.in_peer(|| {
        let socket = stream_from(place.at(BAD).ip())?;
        rustix::net::connect(&socket, &address)?;
        let mut heard = Vec::new();
        TcpStream::from(socket).read_to_end(&mut heard)?;
        Ok(heard)
    })?;
    ensure!(heard == GREETING, "the client heard {heard:?}\n{}", place.log());
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    Ok(Completion::Completed)
}

/// A TCP socket with this address of ours, which waits half a second at most.
fn stream_from(address: IpAddr) -> Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP))?;
    rustix::net::bind(&socket, &SocketAddr::new(address, 0))?;
    for timeout in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, timeout, Some(SOON))?;
    }
    Ok(socket)
}

fn kernels(place: &Place, denied: &Arrival) -> Result<Completion> {
    told(denied, (!place.has_backstop).then_some(KERNELS))
}
