//! Policies at the host's end of a wire: those of the workloads that are at the other one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::bypass::{self, Family, Way};
use sentinel_tests::netlab::HOST_INTERFACE;
use sentinel_tests::tamper;

use super::place::{BAD, GOOD, Place, rooms};
use crate::allowlist::says;
use crate::trial;

/// Processes are looked at every ten seconds.
const NOTICED: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("bypass/wire/by_the_policies_of_those_at_the_other_end", by_workload),
        trial("bypass/wire/a_program_that_is_taken_off_is_put_back", put_back),
    ]
}

fn way(name: &str) -> Result<Way> {
    bypass::WAYS.into_iter().find(|way| way.name == name).context("there is no such way")
}

/// One workload is confined, another is not: frames are judged by whoever is there.
fn by_workload() -> Result<()> {
    let mut place = Place::empty("sentinel-wires", 27)?;
    let free = place.beside("free")?;
    place.inhabit(Some(&free))?;
    let subnet = place.lab.subnet();
    let policy = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: confined}}\n\
         spec: {{workload: {{cgroup: \"/**/workload\"}}, mode: enforce, \
         egress: [{{toCIDRs: [\"{}/32\", \"{}/128\"]}}]}}\n",
        subnet.v4(GOOD),
        subnet.v6(GOOD)
    );
    place.guard_by("mode: enforce\n", &policy)?;
    let ways = [way("packet_raw")?, way("xdp_socket")?, way("packet_of_another_ethertype")?];
    for way in &ways {
        let free = place.attempt_from(&free, way, Family::V4, BAD)?;
        ensure!(free.marked > 0, "{}: no policy is on it: {free:?}\n{}", way.name, place.log());
    }
    place.inhabit(None)?;
    let until = Instant::now() + NOTICED;
    while !are(&place, "/workload")? {
        ensure!(Instant::now() < until, "nobody noticed who is there now\n{}", place.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    for way in &ways {
        let denied = place.attempt(way, Family::V4, BAD)?;
        ensure!(denied.marked == 0, "{}: it got out: {denied:?}\n{}", way.name, place.log());
    }
    let allowed = place.attempt(&way("packet_raw")?, Family::V4, GOOD)?;
    ensure!(allowed.marked > 0, "it was hindered: {allowed:?}\n{}", place.log());
    Ok(())
}

/// Whether those at the wire's other end are of a cgroup whose path ends like this, and no others.
fn are(place: &Place, ends: &str) -> Result<bool> {
    let rooms = rooms(place.agent.as_ref().context("there is no agent")?)?;
    let mut names =
        rooms.iter().flat_map(|room| room["workloads"].as_array().into_iter().flatten());
    Ok(rooms.len() == 1 && names.all(|name| name.as_str().is_some_and(|name| name.ends_with(ends))))
}

/// Whoever may detach a link or remove a filter takes the second layer away for a second, and it is told.
fn put_back() -> Result<()> {
    let mut place = Place::empty("sentinel-unwired", 29)?;
    place.inhabit(None)?;
    place.guard()?;
    let frame = way("packet_raw")?;
    let before = place.attempt(&frame, Family::V4, BAD)?;
    ensure!(before.marked == 0, "it got out: {before:?}\n{}", place.log());
    let host = place.lab.host().context("the laboratory has no host")?;
    host.run(|| tamper::unwire(HOST_INTERFACE))?;
    let agent = place.agent.as_ref().context("there is no agent")?;
    let line = agent.record(NOTICED, |line| says(line, "program", "wire"))?;
    let is_back = says(&line, "finding", "detached") && says(&line, "result", "restored");
    ensure!(is_back, "{line}\n{}", place.log());
    let denied = place.attempt(&frame, Family::V4, BAD)?;
    ensure!(denied.marked == 0, "it got out: {denied:?}\n{}", place.log());
    let allowed = place.attempt(&frame, Family::V4, GOOD)?;
    ensure!(allowed.marked > 0, "it was hindered: {allowed:?}\n{}", place.log());
    Ok(())
}
