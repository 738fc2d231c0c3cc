//! Answers from where anyone can be the resolver: a loopback device, a namespace of one's own.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::Datapath as _;
use sentinel_common::learn::Lesson;
use sentinel_tests::netlab::{Lab, PEER_HOSTS, Subnet};
use sentinel_tests::resolver::{Client, Resolver, addresses};

use super::ALL;
use super::scene::{Scene, as_workload, in_cgroup, lessons, scene};
use crate::trial;

/// Set for the part of this program that runs in a user namespace of its own.
const FORGE: &str = "SENTINEL_LIVE_FORGE";
const SUBNET: u8 = 45;
const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 153));

pub fn trials() -> Vec<Trial> {
    vec![trial("learn/loopback", loopback), trial("learn/own_namespace", own_namespace)]
}

fn ask_both_ways(server: IpAddr, first: u16) -> Result<()> {
    let mut client = Client::new(server, true)?;
    ensure!(addresses(&client.ask(&format!("n{first}.lab.example."))?).len() == 1);
    let second = first + 1;
    ensure!(addresses(&client.ask_stream(&format!("n{second}.lab.example."))?).len() == 1);
    Ok(())
}

/// The host's own stub teaches; whoever is at its address in another namespace does not.
fn loopback() -> Result<()> {
    let Scene { lab, mut kernel, workload, server, .. } = scene("learn-loopback", 46, ALL)?;
    kernel.set_resolvers(&BTreeSet::from([STUB, server]))?;
    let there = lab.in_node(|| Resolver::start(STUB))?;
    as_workload(&workload, &lab, || ask_both_ways(STUB, 1000))?;
    ensure!(lessons(&kernel, Lesson::Learned)? == 0, "another namespace's loopback taught");
    ensure!(lessons(&kernel, Lesson::Foreign)? == 2);
    drop(there);
    let here = Resolver::start(STUB)?;
    in_cgroup(&workload, || ask_both_ways(STUB, 1002))?;
    ensure!(lessons(&kernel, Lesson::Learned)? == 2, "the host's own stub did not teach");
    drop(here);
    let resolver = lab.in_peer(|| Resolver::start(server))?;
    as_workload(&workload, &lab, || ask_both_ways(server, 1004))?;
    ensure!(lessons(&kernel, Lesson::Learned)? == 4, "the resolver itself did not teach");
    // Over the loopback device of the resolver's own namespace: it is not known to be there.
    in_cgroup(&workload, || lab.in_peer(|| ask_both_ways(server, 1006)))?;
    ensure!(lessons(&kernel, Lesson::Learned)? == 4, "taught over a loopback device");
    ensure!(lessons(&kernel, Lesson::Foreign)? == 4);
    drop(resolver);
    Ok(())
}

/// Without any privilege a process can make a user namespace, network namespaces in it, and be the
/// resolver there, on a wire that is no loopback device.
fn own_namespace() -> Result<()> {
    let Scene { kernel, workload, lab, .. } = scene("learn-own", SUBNET, ALL)?;
    let program = std::env::current_exe()?;
    let mut forger = Command::new("unshare");
    forger.arg("-Ur").arg(program).env(FORGE, "1");
    let output = in_cgroup(&workload, || forger.output().context("unshare(1) is needed"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(lessons(&kernel, Lesson::Learned)? == 0, "a namespace of one's own taught");
    ensure!(lessons(&kernel, Lesson::Foreign)? == 2, "the forged answers were not seen");
    drop(lab);
    Ok(())
}

/// What [`own_namespace`] starts in its user namespace; `None` where this program was started
/// otherwise.
pub fn forge() -> Option<Result<()>> {
    std::env::var_os(FORGE)?;
    let forged = || {
        let lab = Lab::with_subnet("forge", Subnet::numbered(SUBNET))?;
        let [host, ..] = PEER_HOSTS;
        let server: IpAddr = lab.subnet().v4(host).into();
        let _resolver = lab.in_peer(|| Resolver::start(server))?;
        lab.in_node(|| ask_both_ways(server, 1010))
    };
    Some(forged())
}
