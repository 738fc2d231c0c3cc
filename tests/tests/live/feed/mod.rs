//! Feeds of addresses: told of under alert; under block `connect()` gets `EPERM` and the sniffer on
//! the peer's side sees nothing that goes to them.

mod large;

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::sniffer::Sniffer;

use crate::allowlist::{as_workload, attempts, errno, says};
use crate::stage::{File, PEER, Stage};
use crate::trial;

/// The peer's address that the feed names.
const LISTED: u8 = 3;
/// The peer's address that a prefix of the feed holds.
const WITHIN_PREFIX: u8 = 4;
const PORT: u16 = 7001;
/// For SYNs by hand: of events that are alike the journal holds only the first few.
const RAW_PORT: u16 = 7002;
const SOON: Duration = Duration::from_secs(5);
/// `MSG_FASTOPEN` (include/linux/socket.h): connects without a call of `connect(2)`.
const FAST_OPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("feed/block", block),
        trial("feed/alert", alert),
        trial("feed/the_allowlist_exempts_what_it_names_alone", exempt),
        trial("feed/another_one_after_a_hup", reload),
        trial("feed/one_that_does_not_fit_leaves_the_one_before", large::full),
        trial("feed/a_hundred_thousand_domains_and_a_million_addresses", large::replaced),
    ]
}

fn feed(subnet: Subnet) -> String {
    let (v4, v6) = (subnet.v4(LISTED), subnet.v6(LISTED));
    let (v4_net, v6_net) = (subnet.v4(WITHIN_PREFIX), subnet.v6(WITHIN_PREFIX));
    format!("# name: lab\n# source: the test\n{v4}\n{v6}\n{v4_net}/30\n{v6_net}/126\n")
}

fn stage(name: &str, arguments: &[&str]) -> Result<Stage> {
    Stage::set_in(Lab::with_subnet(name, Subnet::public())?, name, arguments)
}

fn listeners(stage: &Stage) -> Result<Vec<TcpListener>> {
    let subnet = stage.lab.subnet();
    stage.lab.in_peer(|| {
        let mut listeners = Vec::new();
        for host in [PEER, LISTED, WITHIN_PREFIX] {
            listeners.push(TcpListener::bind((subnet.v4(host), PORT))?);
            listeners.push(TcpListener::bind((subnet.v6(host), PORT))?);
        }
        Ok(listeners)
    })
}

/// Sends the first bytes in the SYN, or at least the SYN, and waits for a repetition of it.
fn fast_open(stage: &Stage, to: IpAddr) -> Result<()> {
    as_workload(stage, || {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        // What it returns is the kernel's affair: what counts is what arrives.
        let _ = rustix::net::sendto(&socket, b"x", FAST_OPEN, &SocketAddr::new(to, PORT));
        std::thread::sleep(Duration::from_millis(1300));
        Ok(())
    })
}

/// A SYN of one's own making, which no connect hook sees.
fn raw_syn(stage: &Stage, to: IpAddr) -> Result<()> {
    as_workload(stage, || {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let (kind, flags) = (SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(family, kind, flags, Some(ipproto::TCP))?;
        let [high, low] = RAW_PORT.to_be_bytes();
        let syn = [40, 0, high, low, 0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 2, 4, 0, 0, 0, 0, 0];
        let _ = rustix::net::sendto(&socket, &syn, SendFlags::empty(), &SocketAddr::new(to, 0));
        Ok(())
    })
}

fn block() -> Result<()> {
    let subnet = Subnet::public();
    let file = File::new("sentinel-feed-block", &feed(subnet))?;
    let arguments = ["--mode", "enforce", "--names", "block", "--feed", file.path()?];
    let stage = stage("sentinel-feed-block", &arguments)?;
    let listeners = listeners(&stage)?;
    let sniffer = Sniffer::start(&stage.lab)?;
    let denied = rustix::io::Errno::PERM.raw_os_error();
    for host in [LISTED, WITHIN_PREFIX] {
        for (what, error) in attempts(&stage, host)? {
            ensure!(error == Some(denied), "{what} to host {host}: {error:?}");
        }
        fast_open(&stage, subnet.v4(host).into())?;
        fast_open(&stage, subnet.v6(host).into())?;
        raw_syn(&stage, subnet.v4(host).into())?;
        raw_syn(&stage, subnet.v6(host).into())?;
    }
    for (what, error) in attempts(&stage, PEER)? {
        ensure!(error.is_none(), "{what} to a host of no feed: {error:?}\n{}", stage.agent.log());
    }
    for address in [IpAddr::V4(subnet.v4(PEER)), IpAddr::V6(subnet.v6(PEER))] {
        let before = sniffer.capture().frames_to(address);
        raw_syn(&stage, address)?;
        std::thread::sleep(Duration::from_millis(100));
        ensure!(sniffer.capture().frames_to(address) > before, "no SYN by hand to {address}");
    }
    let capture = sniffer.finish()?;
    ensure!(capture.dropped == 0, "the sniffer lost frames");
    for host in [LISTED, WITHIN_PREFIX] {
        for address in [IpAddr::V4(subnet.v4(host)), IpAddr::V6(subnet.v6(host))] {
            ensure!(capture.frames_to(address) == 0, "frames reached {address}");
        }
    }
    ensure!(capture.frames_to(subnet.v4(PEER).into()) > 0, "the sniffer sees nothing");
    for (host, entry) in [(LISTED, "198.51.100.3"), (WITHIN_PREFIX, "198.51.100.4/30")] {
        for (hook, port) in
            [("connect4", PORT), ("sendmsg4", PORT), ("cgroup_skb_egress", RAW_PORT)]
        {
            let dst = SocketAddr::new(subnet.v4(host).into(), port).to_string();
            let record = stage
                .agent
                .record(SOON, |record| says(record, "dst", &dst) && says(record, "hook", hook))?;
            ensure!(says(&record, "kind", "egress"), "{record}");
            ensure!(says(&record, "verdict", "blocked"), "{record}");
            ensure!(says(&record, "reason", "pool_address"), "{record}");
            let feed = record.get("feed").with_context(|| record.to_string())?;
            ensure!(says(feed, "name", "lab") && says(feed, "entry", entry), "{record}");
            ensure!(says(feed, "source", "the test"), "{record}");
            ensure!(record.get("rule").is_none() && record.get("process").is_some(), "{record}");
        }
    }
    let blocked = "sentinel_packets_total{reason=\"pool_address\",verdict=\"blocked\"}";
    ensure!(stage.agent.metric(blocked)? >= 16.0);
    ensure!(stage.agent.metric("sentinel_feed_entries{kind=\"prefix\"}")? == 2.0);
    ensure!(stage.agent.metric("sentinel_feed_entries{kind=\"domain\"}")? >= 150.0);
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

fn alert() -> Result<()> {
    let subnet = Subnet::public();
    let file = File::new("sentinel-feed-alert", &feed(subnet))?;
    let stage = stage("sentinel-feed-alert", &["--mode", "enforce", "--feed", file.path()?])?;
    let listeners = listeners(&stage)?;
    let sniffer = Sniffer::start(&stage.lab)?;
    for host in [LISTED, WITHIN_PREFIX, PEER] {
        for (what, error) in attempts(&stage, host)? {
            ensure!(error.is_none(), "{what} to host {host} under alert: {error:?}");
        }
    }
    let capture = sniffer.finish()?;
    for host in [LISTED, WITHIN_PREFIX] {
        for (address, connect) in
            [(IpAddr::V4(subnet.v4(host)), "sendmsg4"), (IpAddr::V6(subnet.v6(host)), "sendmsg6")]
        {
            ensure!(capture.frames_to(address) > 0, "nothing reached {address}");
            let dst = SocketAddr::new(address, PORT).to_string();
            for (hook, proto) in [("cgroup_skb_egress", "tcp"), (connect, "udp")] {
                let record = stage.agent.record(SOON, |record| {
                    says(record, "dst", &dst) && says(record, "hook", hook)
                })?;
                ensure!(says(&record, "verdict", "audited"), "{record}");
                ensure!(says(&record, "reason", "pool_address"), "{record}");
                ensure!(says(&record, "proto", proto), "{record}");
                ensure!(record.get("feed").is_some(), "{record}");
            }
        }
    }
    let journal = stage.agent.journal()?;
    let honest = SocketAddr::new(subnet.v4(PEER).into(), PORT).to_string();
    ensure!(!journal.iter().any(|record| says(record, "dst", &honest)), "{journal:?}");
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// One address of the feed's prefix is in the allowlist alone, the whole network is in it too.
fn exempt() -> Result<()> {
    let subnet = Subnet::public();
    let file = File::new("sentinel-feed-exempt", &feed(subnet))?;
    let policy = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: node}}\n\
         spec:\n  mode: enforce\n  egress:\n    - toCIDRs: [\"{}\", \"{}\", \"{}/32\", \"{}/128\"]\n",
        subnet.cidr4(),
        subnet.cidr6(),
        subnet.v4(WITHIN_PREFIX),
        subnet.v6(WITHIN_PREFIX),
    );
    let policy = File::new("sentinel-feed-exempt.yaml", &policy)?;
    let arguments = [
        "--mode",
        "enforce",
        "--names",
        "block",
        "--feed",
        file.path()?,
        "--policy",
        policy.path()?,
    ];
    let stage = stage("sentinel-feed-exempt", &arguments)?;
    let listeners = listeners(&stage)?;
    for host in [WITHIN_PREFIX, PEER] {
        for (what, error) in attempts(&stage, host)? {
            ensure!(error.is_none(), "{what} to host {host}: {error:?}\n{}", stage.agent.log());
        }
    }
    let denied = rustix::io::Errno::PERM.raw_os_error();
    for (what, error) in attempts(&stage, LISTED)? {
        ensure!(error == Some(denied), "{what} to a pool in an allowed range: {error:?}");
    }
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// Waits until a connection ends like this.
fn eventually(stage: &Stage, to: SocketAddr, expected: Option<i32>) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let connect = || Ok(errno(UdpSocket::bind("0.0.0.0:0")?.connect(to)));
        let found = as_workload(stage, connect)?;
        if found == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{found:?}, not {expected:?}: {}", stage.agent.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reload() -> Result<()> {
    let subnet = Subnet::public();
    let file = File::new("sentinel-feed-reload", &format!("{}\n", subnet.v4(LISTED)))?;
    let arguments = ["--mode", "enforce", "--names", "block", "--feed", file.path()?];
    let stage = stage("sentinel-feed-reload", &arguments)?;
    let listeners = listeners(&stage)?;
    let at = |host| SocketAddr::new(subnet.v4(host).into(), PORT);
    let denied = Some(rustix::io::Errno::PERM.raw_os_error());
    eventually(&stage, at(LISTED), denied)?;
    eventually(&stage, at(WITHIN_PREFIX), None)?;
    fs::write(file.path()?, format!("{}/30\n", subnet.v4(WITHIN_PREFIX)))?;
    stage.agent.hang_up()?;
    eventually(&stage, at(WITHIN_PREFIX), denied)?;
    eventually(&stage, at(LISTED), None)?;
    // A wrong one leaves the one before in force, and says what is wrong.
    fs::write(file.path()?, format!("{}\ncom\n", subnet.v4(LISTED)))?;
    stage.agent.hang_up()?;
    let refused = stage.agent.record(SOON, |record| says(record, "result", "refused"))?;
    let error = refused.get("error").and_then(serde_json::Value::as_str).unwrap_or_default();
    ensure!(error.contains(":2:1: \"com\""), "{refused}");
    eventually(&stage, at(WITHIN_PREFIX), denied)?;
    eventually(&stage, at(LISTED), None)?;
    let status = sentinel::status::fetch(stage.agent.folder())?;
    let feeds = status.get("feeds").and_then(serde_json::Value::as_array);
    let last = feeds.and_then(|feeds| feeds.last()).with_context(|| status.to_string())?;
    ensure!(last.get("prefixes") == Some(&1.into()), "{status}");
    ensure!(last.get("file").and_then(serde_json::Value::as_str) == Some(file.path()?), "{status}");
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}
