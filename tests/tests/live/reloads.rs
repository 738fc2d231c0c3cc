//! Many policy changes under load: each packet and each call is judged by the old set or by the new one.
//!
//! Two sets agree on two addresses, and come to it by opposite means. One isolates and allows the shop
//! by a prefix; the other isolates nothing and denies the forbidden one by a prefix. The head of either
//! with the prefixes of the other would deny the shop, or let the forbidden one through.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::{Datapath as _, Kernel};
use sentinel_common::config::Modes;
use sentinel_common::verdict::Mode;
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::policy::node_policy;
use sentinel_tests::sniffer::Sniffer;

use crate::stage::PEER;
use crate::trial;

const FORBIDDEN: u8 = 3;
/// Changes here, and on an emulated machine, which is ten times slower.
const RELOADS: u32 = 1000;
const IN_GUEST: u32 = 100;
const EPERM: i32 = 1;
/// A refused connection is an answer of the peer's: it came through.
const REFUSED: i32 = 111;

pub fn trials() -> Vec<Trial> {
    vec![trial("reloads/every_packet_by_one_set", every_packet)]
}

/// What callers saw.
#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    hindered: AtomicU64,
    through: AtomicU64,
}

fn every_packet() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-reloads", Subnet::numbered(39))?;
    let group = TestCgroup::unique("sentinel-reloads")?;
    let home = group.path().parent().context("no parent")?.to_path_buf();
    let (shop, forbidden) = (lab.subnet().v4(PEER), lab.subnet().v4(FORBIDDEN));
    let modes = Modes { egress: Mode::Enforce, ..Modes::OFF };
    let sets = [
        node_policy(modes, &format!("egress: [{{toCIDRs: [\"{shop}/32\"]}}]"))?,
        node_policy(modes, &format!("egressDeny: [{{toCIDRs: [\"{forbidden}/32\"]}}]"))?,
    ];
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(group.path()))?;
    kernel.set_policy(sets.first().context("no set")?)?;
    let sniffer = Sniffer::start(&lab)?;
    let reloads = if std::env::var_os("SENTINEL_VM").is_some() { IN_GUEST } else { RELOADS };
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    cgroup::join(group.path())?;
    let reloaded = thread::scope(|scope| {
        let callers: Vec<_> = [call_by_datagram, call_by_connection]
            .into_iter()
            .map(|call| {
                let (lab, seen, stop) = (&lab, &seen, &stop);
                scope.spawn(move || {
                    lab.in_node(|| {
                        while !stop.load(Ordering::Acquire) {
                            call(shop, forbidden, seen)?;
                        }
                        Ok(())
                    })
                })
            })
            .collect();
        let [first, second] = &sets;
        let reloaded = (1..=reloads).try_for_each(|number| {
            kernel.set_policy(if number % 2 == 0 { first } else { second }).map(drop)
        });
        stop.store(true, Ordering::Release);
        for caller in callers {
            caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
        }
        anyhow::Ok(reloaded?)
    });
    cgroup::join(&home)?;
    reloaded?;
    let capture = sniffer.finish()?;
    let calls = seen.calls.into_inner();
    eprintln!("{calls} calls to each of two addresses during {reloads} changes");
    ensure!(calls > u64::from(reloads), "only {calls} calls: nothing was proved");
    let (hindered, through) = (seen.hindered.into_inner(), seen.through.into_inner());
    ensure!(hindered == 0, "{hindered} of {calls} calls to the shop were refused");
    ensure!(through == 0, "{through} of {calls} calls to the forbidden one were not");
    let leaked = capture.frames_to(IpAddr::V4(forbidden));
    ensure!(leaked == 0, "{leaked} frames reached {forbidden}");
    ensure!(capture.frames_to(IpAddr::V4(shop)) > 0, "nothing reached the shop");
    Ok(())
}

fn call_by_datagram(shop: Ipv4Addr, forbidden: Ipv4Addr, seen: &Seen) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    for _ in 0..64 {
        let fared = |to: Ipv4Addr| match socket.send_to(b"x", SocketAddr::new(to.into(), 9)) {
            // The port that nobody listens on answers, and the next call on the socket says so.
            Err(error) if error.raw_os_error() != Some(REFUSED) => Err(error),
            _ => Ok(()),
        };
        note(seen, fared(shop), fared(forbidden))?;
    }
    Ok(())
}

fn call_by_connection(shop: Ipv4Addr, forbidden: Ipv4Addr, seen: &Seen) -> Result<()> {
    let fared = |to: Ipv4Addr| match TcpStream::connect_timeout(
        &SocketAddr::new(to.into(), 9),
        Duration::from_secs(2),
    ) {
        Err(error) if error.raw_os_error() != Some(REFUSED) => Err(error),
        _ => Ok(()),
    };
    note(seen, fared(shop), fared(forbidden))
}

fn note(seen: &Seen, shop: std::io::Result<()>, forbidden: std::io::Result<()>) -> Result<()> {
    seen.calls.fetch_add(1, Ordering::Relaxed);
    match shop {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(EPERM) => {
            seen.hindered.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => return Err(error).context("a call to the shop"),
    }
    match forbidden {
        Ok(()) => drop(seen.through.fetch_add(1, Ordering::Relaxed)),
        Err(error) if error.raw_os_error() == Some(EPERM) => {}
        Err(error) => return Err(error).context("a call to the forbidden one"),
    }
    Ok(())
}
