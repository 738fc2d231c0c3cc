//! Destinations allowed by name: what an answer names is open before the client can connect, and
//! nothing else is.

mod forged;
mod scene;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::Datapath as _;
use sentinel::names::Holding;
use sentinel_common::learn::Lesson;
use sentinel_tests::netlab::PEER_HOSTS;
use sentinel_tests::resolver::{Client, MANY, Place, Resolver, addresses, member};

pub use forged::forge;

use crate::trial;
use scene::{Scene, lessons, policy, scene};
pub use scene::{accept_all, as_workload, connect, is_denied};

/// Lookups that are each followed at once by a connection.
const LOOKUPS: u16 = 10_000;
/// How often each name is looked up where what it opens is over soon and taken away.
const ROUNDS: usize = 5;
/// From one lookup of a name to the next, at least.
const ROUND: Duration = Duration::from_millis(1050);
/// How many may be late where one could tell them from denied ones by the time alone.
const LATE: u32 = 10;
/// How long it is not over.
const HELD: Duration = Duration::from_millis(900);
const ALL: &[&str] = &["*.lab.example"];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("learn/at_once", || at_once(false)),
        trial("learn/at_once_while_swept", || at_once(true)),
        trial("learn/answers", answers),
        trial("learn/what_opens_nothing", what_opens_nothing),
        trial("learn/holding", holding),
    ];
    trials.extend(forged::trials());
    trials
}

fn at_once(swept: bool) -> Result<()> {
    let name = if swept { "learn-swept" } else { "learn-once" };
    let Scene { lab, mut kernel, workload, server, .. } = scene(name, 40 + u8::from(swept), ALL)?;
    if swept {
        // What is over so soon is what a sweep would like to take away.
        kernel.set_holding(Holding { floor: 1, ceiling: 1, grace: 0 })?;
    }
    let rounds = if swept { ROUNDS } else { 1 };
    let resolver = lab.in_peer(|| Resolver::start(server))?;
    let (stop, lab, kernel) = (AtomicBool::new(false), &lab, &mut kernel);
    let (denied, (sweeps, removed)) = thread::scope(|scope| {
        let accepting = scope.spawn(|| accept_all(lab, &stop));
        let sweeping = scope.spawn(|| {
            let (mut sweeps, mut removed) = (0_u32, 0);
            while swept && !stop.load(Ordering::Acquire) {
                removed += kernel.sweep(&HashSet::new())?.removed;
                sweeps += 1;
            }
            anyhow::Ok((sweeps, removed))
        });
        let denied = as_workload(&workload, lab, || look_up_and_connect(server, rounds));
        stop.store(true, Ordering::Release);
        let sweeps = sweeping.join().map_err(|_| anyhow::anyhow!("the sweeper panicked"))??;
        accepting.join().map_err(|_| anyhow::anyhow!("the servers panicked"))??;
        anyhow::Ok((denied?, sweeps))
    })?;
    drop(resolver);
    eprintln!("{denied} denied, {sweeps} sweeps meanwhile took {removed} away");
    ensure!(denied == 0, "{denied} denied");
    ensure!(!swept || (sweeps > 10 && removed > 0), "nothing was proved");
    ensure!(lessons(kernel, Lesson::Learned)? >= u64::from(LOOKUPS));
    for lesson in Lesson::ALL.iter().filter(|lesson| **lesson != Lesson::Learned) {
        ensure!(lessons(kernel, *lesson)? == 0, "{}", lesson.label());
    }
    Ok(())
}

/// How many of the lookups were followed by a connection that failed, while what they opened held.
fn look_up_and_connect(server: IpAddr, rounds: usize) -> Result<u32> {
    ensure!(is_denied(member(256).into()), "open before it was asked for");
    let begun = Instant::now();
    let mut client = Client::new(server, true)?;
    let (mut denied, mut late, mut round) = (0, 0, begun);
    for number in (0..rounds).flat_map(|_| 256..256 + LOOKUPS) {
        if number == 256 && rounds > 1 {
            // What the round before has opened is just over.
            thread::sleep(ROUND.saturating_sub(round.elapsed()));
            round = Instant::now();
        }
        loop {
            let asked = Instant::now();
            let found = addresses(&client.ask(&format!("n{number}.lab.example."))?);
            ensure!(found == [IpAddr::from(member(number))], "{found:?}");
            let Err(error) = connect(member(number).into()) else {
                break;
            };
            // A SYN that a busy machine has lost comes again when the answer is over.
            let is_over = error.raw_os_error() == Some(1) || error.kind() == ErrorKind::TimedOut;
            if rounds > 1 && is_over && asked.elapsed() > HELD && late < LATE {
                // This thread had no processor for so long that the answer was over.
                late += 1;
                continue;
            }
            eprintln!("n{number}: {error} {:.1?} after the question", asked.elapsed());
            denied += 1;
            break;
        }
    }
    let lookups = rounds * usize::from(LOOKUPS);
    eprintln!("{lookups} lookups and connections in {:.1?}, {late} too late", begun.elapsed());
    Ok(denied)
}

/// Whatever an answer looks like, all of its addresses are open.
fn answers() -> Result<()> {
    let patterns = ["*.Lab.example.", "alias.two.example"];
    let Scene { lab, kernel, workload, server, .. } = scene("learn-answers", 42, &patterns)?;
    let _resolver = lab.in_peer(|| Resolver::start(server))?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let accepting = scope.spawn(|| accept_all(&lab, &stop));
        let done = as_workload(&workload, &lab, || {
            for connected in [true, false] {
                every_kind_of_answer(&mut Client::new(server, connected)?)?;
            }
            Ok(())
        });
        stop.store(true, Ordering::Release);
        accepting.join().map_err(|_| anyhow::anyhow!("the servers panicked"))??;
        done
    })?;
    ensure!(lessons(&kernel, Lesson::Malformed)? == 0 && lessons(&kernel, Lesson::Unread)? == 0);
    Ok(())
}

fn every_kind_of_answer(client: &mut Client) -> Result<()> {
    let many = addresses(&client.ask("many.lab.example.")?);
    ensure!(many.len() == usize::from(MANY));
    let denied = many.iter().filter(|address| connect(**address).is_err()).count();
    ensure!(denied == 0, "{denied} of {MANY} denied");
    for (name, place) in [
        ("aLIAS.lab.EXAMPLE.", Place::ALIAS),
        ("ALIAS.two.example.", Place::ALIAS),
        ("n701.b.c.d.e.f.g.h.lab.example.", 701),
        ("n700.lab.example.", 700),
    ] {
        let found = addresses(&client.ask(name)?);
        ensure!(found == [IpAddr::from(member(place))], "{name}: {found:?}");
        connect(member(place).into()).with_context(|| name.to_owned())?;
    }
    let cut = client.ask("cut.lab.example.")?;
    ensure!(cut.metadata.truncation && cut.answers.is_empty());
    let over_tcp = addresses(&client.ask_stream("cut.lab.example.")?);
    ensure!(over_tcp == [IpAddr::from(member(Place::CUT))]);
    connect(member(Place::CUT).into()).context("an answer over TCP")?;
    Ok(())
}

/// Other names, other servers, other ids, errors and private addresses.
fn what_opens_nothing() -> Result<()> {
    let Scene { lab, kernel, workload, server, .. } = scene("learn-nothing", 43, ALL)?;
    let [_, unlisted, _] = PEER_HOSTS;
    let unlisted: IpAddr = lab.subnet().v4(unlisted).into();
    let _resolvers = lab.in_peer(|| Ok([Resolver::start(server)?, Resolver::start(unlisted)?]))?;
    as_workload(&workload, &lab, || {
        let mut client = Client::new(server, false)?;
        let closed = |what: &str, place| {
            ensure!(is_denied(member(place).into()), "{what} opened an address");
            Ok(())
        };
        for name in ["n900.other.example.", "n900.lab.example.org.", "n900.xlab.example."] {
            ensure!(addresses(&client.ask(name)?).len() == 1);
            closed(name, 900)?;
        }
        let mut other = Client::new(unlisted, false)?;
        ensure!(addresses(&other.ask("n901.lab.example.")?).len() == 1);
        closed("another server", 901)?;
        for (name, place) in [
            ("wrongid.lab.example.", Place::WRONG_ID),
            ("wrongname.lab.example.", Place::WRONG_NAME),
            ("refused.lab.example.", Place::REFUSED),
        ] {
            client.ask(name)?;
            closed(name, place)?;
        }
        for address in addresses(&client.ask("private.lab.example.")?) {
            let error = connect(address).err().and_then(|error| error.raw_os_error());
            // Loopback is open to everyone, without any name.
            let is_open = address.to_canonical().is_loopback();
            ensure!(is_open || error == Some(1), "{address}: {error:?}");
        }
        Ok(())
    })?;
    ensure!(lessons(&kernel, Lesson::Learned)? == 0, "something was learned");
    ensure!(lessons(&kernel, Lesson::Unasked)? == 2, "a wrong id and a wrong name");
    ensure!(lessons(&kernel, Lesson::Scope)? == 12, "twelve private addresses");
    Ok(())
}

/// What is over is taken away, but not under an open connection, and not what a second pattern has.
fn holding() -> Result<()> {
    let patterns = ["*.lab.example", "shared.lab.example"];
    let Scene { lab, mut kernel, workload, server, .. } = scene("learn-holding", 44, &patterns)?;
    kernel.set_holding(Holding { floor: 1, ceiling: 1, grace: 0 })?;
    let _resolver = lab.in_peer(|| Resolver::start(server))?;
    let asked = |name: &str| {
        as_workload(&workload, &lab, || Ok(addresses(&Client::new(server, true)?.ask(name)?)))
    };
    let shared: IpAddr = member(Place::SHARED).into();
    ensure!(asked("shared.lab.example.")? == [shared]);
    let swept = kernel.sweep(&HashSet::new())?;
    ensure!((swept.known, swept.removed) == (2, 0), "{swept:?}");
    ensure!(swept.shared.len() == 1 && swept.shared.iter().all(|it| it.address == shared));
    thread::sleep(Duration::from_millis(1100));
    ensure!(asked("n800.lab.example.")? == [IpAddr::from(member(800))]);
    let swept = kernel.sweep(&HashSet::from([shared]))?;
    ensure!((swept.known, swept.removed) == (3, 0), "a connection was open: {swept:?}");
    let swept = kernel.sweep(&HashSet::new())?;
    ensure!((swept.known, swept.removed) == (1, 2), "its time was over: {swept:?}");
    kernel.set_policy(&policy(&lab, &["shared.lab.example"])?)?;
    let swept = kernel.sweep(&HashSet::new())?;
    ensure!((swept.known, swept.removed) == (0, 1), "its pattern is gone: {swept:?}");
    Ok(())
}
