//! What becomes of mining is each workload's own: alert here, block there, nothing at all elsewhere, and
//! what a policy says anew holds for sessions that are open.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::miner::{Ended, Family, Report, Segments};
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::transcript::Dialect;

use crate::allowlist::says;
use crate::stage::{PEER, session};
use crate::trial;
use crate::workloads::{Play, eventually, policy};

const SOON: Duration = Duration::from_secs(10);
const SUBSCRIBE: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("mining_modes/each_workload_has_its_own", each_has_its_own),
        trial("mining_modes/a_stricter_one_cuts_what_is_open", stricter),
    ]
}

fn modes(of: &[(&str, &str)]) -> String {
    let policies = of
        .iter()
        .map(|(name, mode)| policy(name, &format!("{name}.service"), &format!("stratum: {mode}")));
    policies.collect()
}

fn mine(play: &Play, from: &TestCgroup, pool: &Pool) -> Result<Report> {
    let target = *pool.addresses().first().context("the pool has no address")?;
    let options = session(Dialect::Xmrig, target, Family::V4, Segments::Whole);
    play.stage.act_in(from, "miner", &options.to_args())
}

fn pool(play: &Play) -> Result<Pool> {
    let listen = play.stage.peer(Family::V4, PEER, 0);
    play.stage.lab.in_peer(|| Pool::start(&[listen], Manner::of(Dialect::Xmrig)))
}

fn each_has_its_own() -> Result<()> {
    let play = Play::begin("sentinel-modes", 37, |_| {
        modes(&[("told", "alert"), ("cut", "block"), ("left", "off")])
    })?;
    let [told, cut, left] =
        ["told", "cut", "left"].map(|name| play.stage.workload.child(&format!("{name}.service")));
    let (told, cut, left) = (told?, cut?, left?);
    let inner = told.child("payload")?;
    for (from, ended) in [
        (&told, Ended::Completed),
        (&inner, Ended::Completed),
        (&cut, Ended::Cut),
        (&left, Ended::Completed),
        // No policy is about it, and mining is cut where nobody says otherwise.
        (&play.stage.workload, Ended::Cut),
    ] {
        let pool = pool(&play)?;
        // A new cgroup is known within moments, and judged by what lies around it until then.
        let mut report = mine(&play, from, &pool)?;
        eventually(|| {
            if report.ended != ended {
                report = mine(&play, from, &pool)?;
            }
            Ok(report.ended == ended)
        })
        .with_context(|| format!("{}: {report:?}", from.path().display()))?;
        let target = pool.addresses().first().context("the pool has no address")?.to_string();
        let verdict = match ended {
            Ended::Cut => "blocked",
            _ => "audited",
        };
        if from.path() == left.path() {
            ensure!(pool.record().requests() > 1, "the pool received {:?}", pool.record().lines());
            let events = play.stage.agent.journal()?;
            let told = events.iter().any(|event| {
                says(event, "kind", "stratum")
                    && says(event, "dst", &target)
                    && says(event, "verdict", "audited")
            });
            ensure!(!told, "mining that is off is told of");
            continue;
        }
        play.stage.agent.record(SOON, |event| {
            says(event, "kind", "stratum")
                && says(event, "dst", &target)
                && says(event, "verdict", verdict)
        })?;
    }
    drop((inner, told, cut, left));
    play.end()
}

fn stricter() -> Result<()> {
    let play =
        Play::begin("sentinel-stricter", 38, |_| modes(&[("one", "alert"), ("two", "alert")]))?;
    let subnet = play.stage.lab.subnet();
    let target = SocketAddr::new(subnet.v4(PEER).into(), 7002);
    let listener = play.stage.lab.in_peer(|| Ok(TcpListener::bind(target)?))?;
    let one = play.stage.workload.child("one.service")?;
    let two = play.stage.workload.child("two.service")?;
    let (mut kept, mut at_kept) = begin(&play, &one, target, &listener)?;
    let (mut cut, mut at_cut) = begin(&play, &two, target, &listener)?;
    // A namespace without a process is found by its name only, and this one has none.
    let mut resident = play.within(&two, || Ok(Command::new("sleep").arg("60").spawn()?))?;
    play.rewrite(&modes(&[("one", "alert"), ("two", "block")]))?;
    kept.write_all(b"{\"id\":2}\n")?;
    at_kept.set_read_timeout(Some(SOON))?;
    at_kept.read_exact(&mut [0; 9])?;
    cut.write_all(b"{\"id\":2}\n")?;
    let error = cut.read(&mut [0]).err().context("the session goes on")?;
    ensure!(error.kind() == std::io::ErrorKind::ConnectionAborted, "{error}");
    let heard = at_cut.read(&mut [0; 16]);
    ensure!(!matches!(heard, Ok(1..)), "the pool heard {heard:?} bytes more");
    resident.kill()?;
    resident.wait()?;
    drop((one, two));
    play.end()
}

/// A session whose first request was heard. A new cgroup is known within moments, and until then it is
/// judged by what lies around it.
fn begin(
    play: &Play,
    from: &TestCgroup,
    target: SocketAddr,
    listener: &TcpListener,
) -> Result<(TcpStream, TcpStream)> {
    let mut begun = None;
    eventually(|| {
        let mut client = play.within(from, || Ok(TcpStream::connect_timeout(&target, SOON)?))?;
        let (mut server, _) = listener.accept()?;
        client.set_read_timeout(Some(SOON))?;
        server.set_read_timeout(Some(Duration::from_millis(300)))?;
        client.write_all(SUBSCRIBE)?;
        let is_heard = server.read_exact(&mut [0; SUBSCRIBE.len()]).is_ok();
        begun = is_heard.then_some((client, server));
        Ok(is_heard)
    })?;
    begun.context("no session")
}
