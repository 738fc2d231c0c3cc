//! What is enforced outlives the agent where it is pinned, and goes over to the next without a gap.

mod scene;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::Agent;
use sentinel_tests::netlab::PEER_HOSTS;
use sentinel_tests::resolver::{Client, Resolver, addresses, member};
use sentinel_tests::sniffer::Sniffer;

use crate::learn::{accept_all, as_workload, connect, is_denied};
use crate::trial;
pub use scene::Scene;

/// Lookups that are each followed at once by a connection.
const LOOKUPS: u16 = 10_000;
const RESTARTS: u32 = 20;
/// Hooks that judge.
const HOOKS: usize = 7;
/// Probes at most: two of sockets, three of processes.
const PROBES: usize = 5;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pinned/names_are_learned_without_an_agent", without_an_agent),
        trial("pinned/restarts_leave_no_gap", restarts),
        trial("pinned/unpin_takes_all_of_it", unpin),
        trial("pinned/another_layout", another_layout),
    ]
}

fn number(place: u16) -> IpAddr {
    member(place).into()
}

/// What was looked up is open, what was not is closed, witnessed at the other end.
fn judges(scene: &Scene, known: u16, unknown: u16) -> Result<()> {
    let sniffer = Sniffer::start(&scene.lab)?;
    as_workload(&scene.workload, &scene.lab, || {
        connect(number(known)).with_context(|| format!("{known} was learned before"))?;
        ensure!(is_denied(number(unknown)), "{unknown} is open to everyone");
        Ok(())
    })?;
    let capture = sniffer.finish()?;
    ensure!(capture.frames_to(number(known)) > 0, "the sniffer is deaf");
    ensure!(capture.frames_to(number(unknown)) == 0, "{unknown} was reached");
    Ok(())
}

fn look_up(scene: &Scene, place: u16) -> Result<()> {
    let found = as_workload(&scene.workload, &scene.lab, || {
        let name = format!("n{place}.lab.example.");
        Ok(addresses(&Client::new(scene.server, true)?.ask(&name)?))
    })?;
    ensure!(found == [number(place)], "{found:?}");
    Ok(())
}

fn accepting<T>(scene: &Scene, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let _resolver = scene.lab.in_peer(|| Resolver::start(scene.server))?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let servers = scope.spawn(|| accept_all(&scene.lab, &stop));
        let done = act();
        stop.store(true, Ordering::Release);
        servers.join().map_err(|_| anyhow::anyhow!("the servers panicked"))??;
        done
    })
}

/// The agent is killed in the middle of lookups: none of the connections that follow is denied.
fn without_an_agent() -> Result<()> {
    let scene = Scene::set("pin-learn", 60)?;
    let agent = scene.agent()?;
    accepting(&scene, || {
        let done = AtomicU32::new(0);
        let denied = thread::scope(|scope| {
            let killer = scope.spawn(|| {
                while done.load(Ordering::Acquire) < u32::from(LOOKUPS / 2) {
                    thread::sleep(Duration::from_millis(1));
                }
                // SIGKILL.
                drop(agent);
                done.load(Ordering::Acquire)
            });
            let denied = as_workload(&scene.workload, &scene.lab, || {
                let mut client = Client::new(scene.server, true)?;
                let mut denied = 0;
                for place in 256..256 + LOOKUPS {
                    let found = addresses(&client.ask(&format!("n{place}.lab.example."))?);
                    ensure!(found == [number(place)], "{found:?}");
                    denied += u32::from(connect(number(place)).is_err());
                    done.fetch_add(1, Ordering::AcqRel);
                }
                Ok(denied)
            });
            done.store(u32::from(LOOKUPS), Ordering::Release);
            let at = killer.join().map_err(|_| anyhow::anyhow!("the killer panicked"))?;
            eprintln!("killed before lookup {at} of {LOOKUPS}, {denied:?} denied");
            ensure!(at < u32::from(LOOKUPS), "killed too late: nothing was proved");
            denied
        })?;
        ensure!(denied == 0, "{denied} of {LOOKUPS} denied");
        judges(&scene, 300, 20_000)?;
        let agent = scene.agent()?;
        ensure!(agent.log().contains("took over"), "{}", agent.log());
        judges(&scene, 300, 20_000)?;
        judges(&scene, 256 + LOOKUPS - 1, 20_000)?;
        look_up(&scene, 20_000)?;
        judges(&scene, 20_000, 20_001)?;
        ensure!(agent.stop()?.success());
        judges(&scene, 20_000, 20_001)
    })
}

/// What traffic met while agents came and went.
#[derive(Debug, Default)]
struct Met {
    attempts: u32,
    let_through: u32,
    sent: u32,
    hindered: u32,
    longest: Duration,
}

/// Attempts on a denied address, and talk with an allowed one over sockets that stay open.
fn talk(denied: SocketAddr, allowed: SocketAddr, stop: &AtomicBool) -> Result<Met> {
    use std::io::{Read as _, Write as _};
    let mut met = Met::default();
    let mut stream = TcpStream::connect(allowed)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let datagrams = UdpSocket::bind("0.0.0.0:0")?;
    datagrams.connect(allowed)?;
    let stray = UdpSocket::bind("0.0.0.0:0")?;
    let mut byte = [0];
    while !stop.load(Ordering::Acquire) {
        met.attempts += 2;
        met.let_through += u32::from(stray.send_to(b"x", denied).is_ok());
        let tried = TcpStream::connect_timeout(&denied, Duration::from_millis(100));
        met.let_through += u32::from(tried.err().and_then(|it| it.raw_os_error()) != Some(1));
        // A packet that a hook drops is an error to who sends it.
        met.sent += 1;
        let sent = datagrams.send(b"x");
        let refused = sent.is_err_and(|error| error.raw_os_error() == Some(1));
        met.hindered += u32::from(refused);
        let begun = Instant::now();
        stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte)).context("the talk")?;
        met.longest = met.longest.max(begun.elapsed());
        // The sniffer shares the processors: of more than it can take it would miss some.
        thread::sleep(Duration::from_micros(100));
    }
    Ok(met)
}

fn echo(listener: TcpListener) -> Result<()> {
    use std::io::{Read as _, Write as _};
    let (mut stream, _) = listener.accept()?;
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// Agents are killed, stopped, and replaced by such as lay out their maps otherwise.
fn restarts() -> Result<()> {
    let scene = Scene::set("pin-restart", 61)?;
    let mut agent = Some(scene.agent()?);
    let [host, ..] = PEER_HOSTS;
    let listener =
        scene.lab.in_peer(|| Ok(TcpListener::bind((scene.lab.subnet().v4(host), 0))?))?;
    let allowed = listener.local_addr()?;
    let denied = SocketAddr::new(number(30_000), 7443);
    let _ear = scene.lab.in_peer(|| Ok(UdpSocket::bind(allowed)?))?;
    let served = thread::spawn(move || echo(listener));
    let sniffer = Sniffer::start(&scene.lab)?;
    let stop = AtomicBool::new(false);
    let met = thread::scope(|scope| {
        let talking = scope
            .spawn(|| as_workload(&scene.workload, &scene.lab, || talk(denied, allowed, &stop)));
        thread::sleep(Duration::from_millis(300));
        let done = (0..RESTARTS).try_for_each(|restart| replace(&scene, &mut agent, restart));
        stop.store(true, Ordering::Release);
        let met = talking.join().map_err(|_| anyhow::anyhow!("the talk panicked"))?;
        done.and(met)
    })?;
    let capture = sniffer.finish()?;
    let reached = capture.frames_to(denied.ip());
    eprintln!(
        "{RESTARTS} restarts: {met:?}, {reached} frames at the denied address, {} not captured",
        capture.dropped
    );
    ensure!(capture.frames_to(allowed.ip()) > 0, "the sniffer is deaf");
    ensure!(reached == 0 && capture.dropped == 0, "{reached} frames reached the denied address");
    ensure!(met.attempts > 1000 && met.let_through == 0, "{met:?}");
    ensure!(met.sent > 500 && met.hindered == 0, "{met:?}");
    served.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    let programs = scene.programs()?;
    ensure!(programs <= HOOKS + PROBES, "{programs} programs: those before are still there");
    Ok(())
}

fn replace(scene: &Scene, agent: &mut Option<Agent>, restart: u32) -> Result<()> {
    let before = agent.take().context("no agent")?;
    if restart.is_multiple_of(2) {
        ensure!(before.stop()?.success(), "a clean end");
    } else {
        drop(before);
    }
    if restart % 5 == 4 {
        scene.disguise(restart % 10 == 9)?;
    }
    thread::sleep(Duration::from_millis(20));
    *agent = Some(scene.agent()?);
    Ok(())
}

/// Not while an agent holds it; after that nothing is judged any more.
fn unpin() -> Result<()> {
    let scene = Scene::set("pin-unpin", 62)?;
    let agent = scene.agent()?;
    accepting(&scene, || {
        look_up(&scene, 300)?;
        judges(&scene, 300, 20_000)?;
        let refused = scene.unpin()?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(1) && said.contains("stop it first"), "{said}");
        judges(&scene, 300, 20_000)?;
        let second = scene.agent().err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(second.contains("stop it first"), "two agents hold one folder: {second}");
        ensure!(agent.stop()?.success());
        judges(&scene, 300, 20_000)?;
        let done = scene.unpin()?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        ensure!(done.status.success() && said.contains("removed 7 hooks"), "{said}");
        ensure!(!scene.folder().exists(), "something is left");
        as_workload(&scene.workload, &scene.lab, || {
            connect(number(20_000)).context("something judges still").map(drop)
        })?;
        let again = scene.unpin()?;
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        ensure!(again.status.success() && said.contains("nothing is pinned"), "{said}");
        Ok(())
    })
}

/// What is learned is carried over where its own layout is the same, and forgotten where it is not;
/// what is denied stays denied.
fn another_layout() -> Result<()> {
    let scene = Scene::set("pin-layout", 63)?;
    let agent = scene.agent()?;
    accepting(&scene, || {
        look_up(&scene, 300)?;
        judges(&scene, 300, 20_000)?;
        drop(agent);
        scene.disguise(false)?;
        let agent = scene.agent()?;
        judges(&scene, 300, 20_000)?;
        drop(agent);
        scene.disguise(true)?;
        let agent = scene.agent()?;
        as_workload(&scene.workload, &scene.lab, || {
            ensure!(is_denied(number(300)), "what another layout held was believed");
            Ok(())
        })?;
        look_up(&scene, 300)?;
        judges(&scene, 300, 20_000)?;
        let programs = scene.programs()?;
        ensure!((HOOKS..=HOOKS + PROBES).contains(&programs), "{programs} programs");
        ensure!(agent.stop()?.success());
        Ok(())
    })
}
