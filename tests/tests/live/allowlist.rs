//! The node-wide allowlist: `connect()` gets `EPERM`, nothing reaches the denied address.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::cgroup;
use sentinel_tests::miner::{Ended, Family, Segments};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::sniffer::Sniffer;
use sentinel_tests::transcript::Dialect;

use crate::stage::{PEER, Stage, session};
use crate::trial;

/// The peer's address that no rule names.
pub const DENIED: u8 = 3;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("allowlist/enforce", enforce),
        trial("allowlist/audit", audit),
        trial("allowlist/a_server_still_answers", server_answers),
    ]
}

fn policy(subnet: Subnet, mode: &str) -> String {
    let (v4, v6) = (subnet.v4(PEER), subnet.v6(PEER));
    format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\n\
         spec:\n  mode: {mode}\n  stratum: block\n  egress:\n    - toCIDRs: [\"{v4}/32\", \"{v6}/128\"]\n      \
         ports:\n        - {{port: 7000, endPort: 7999, protocol: TCP}}\n        - {{port: 7000, endPort: 7999, protocol: UDP}}\n"
    )
}

fn stage(name: &str, number: u8, mode: &str) -> Result<Stage> {
    stage_with(name, number, mode, &[])
}

/// A stage of which only the peer's first address is allowed, with these arguments besides.
pub fn stage_with(name: &str, number: u8, mode: &str, extra: &[&str]) -> Result<Stage> {
    let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
    let file = std::env::temp_dir().join(format!("{name}-{}.yaml", std::process::id()));
    fs::write(&file, policy(lab.subnet(), mode))?;
    let path = file.to_str().context("the policy's path is not UTF-8")?.to_owned();
    let arguments = [&["--mode", mode, "--policy", &path][..], extra].concat();
    let stage = Stage::set_in(lab, name, &arguments);
    fs::remove_file(&file)?;
    stage
}

/// Runs a closure in the node's namespace and the workload's cgroup, in a process of its own kind:
/// the thread's cgroup is the process's, so the whole test process moves there and back.
pub fn as_workload<T: Send>(stage: &Stage, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let home = stage.workload.path().parent().and_then(|it| it.parent()).context("no parent")?;
    cgroup::join(stage.workload.path())?;
    let outcome = stage.lab.in_node(act);
    cgroup::join(home)?;
    outcome
}

pub fn says(record: &serde_json::Value, key: &str, value: &str) -> bool {
    record.get(key).and_then(serde_json::Value::as_str) == Some(value)
}

pub fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

pub fn attempts(stage: &Stage, host: u8) -> Result<Vec<(&'static str, Option<i32>)>> {
    let subnet = stage.lab.subnet();
    let v4 = SocketAddr::new(subnet.v4(host).into(), 7001);
    let v6 = SocketAddr::new(subnet.v6(host).into(), 7001);
    as_workload(stage, || {
        let wait = Duration::from_millis(300);
        let udp4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let udp6 = UdpSocket::bind("[::]:0")?;
        let mapped = SocketAddr::new(IpAddr::V6(subnet.mapped(host)), 7001);
        Ok(vec![
            ("connect v4", errno(TcpStream::connect_timeout(&v4, wait))),
            ("connect v6", errno(TcpStream::connect_timeout(&v6, wait))),
            ("connect v4-mapped", errno(TcpStream::connect_timeout(&mapped, wait))),
            ("sendto v4", errno(udp4.send_to(b"x", v4))),
            ("sendto v6", errno(udp6.send_to(b"x", v6))),
            ("sendto v4-mapped", errno(udp6.send_to(b"x", mapped))),
        ])
    })
}

fn enforce() -> Result<()> {
    let stage = stage("sentinel-allow", 11, "enforce")?;
    let subnet = stage.lab.subnet();
    let listeners = stage.lab.in_peer(|| {
        let mut listeners = Vec::new();
        for host in [PEER, DENIED] {
            listeners.push(TcpListener::bind((subnet.v4(host), 7001))?);
            listeners.push(TcpListener::bind((subnet.v6(host), 7001))?);
        }
        Ok(listeners)
    })?;
    let sniffer = Sniffer::start(&stage.lab)?;
    for (what, error) in attempts(&stage, DENIED)? {
        ensure!(error == Some(libc_eperm()), "{what} to the denied address: {error:?}");
    }
    for (what, error) in attempts(&stage, PEER)? {
        ensure!(error.is_none(), "{what} to the allowed address: {error:?}\n{}", stage.agent.log());
    }
    let capture = sniffer.finish()?;
    for address in [IpAddr::V4(subnet.v4(DENIED)), IpAddr::V6(subnet.v6(DENIED))] {
        ensure!(capture.frames_to(address) == 0, "frames reached {address}");
    }
    // The right address on a port that no rule names.
    let target = SocketAddr::new(subnet.v4(PEER).into(), 8001);
    let report = stage.mine(&session(Dialect::StratumV1, target, Family::V4, Segments::Whole))?;
    ensure!(
        report.ended == Ended::Refused && report.errno.as_deref() == Some("EPERM"),
        "{report:?}"
    );
    let record = stage.agent.record(Duration::from_secs(5), |record| {
        says(record, "kind", "egress") && says(record, "dst", &target.to_string())
    })?;
    ensure!(
        says(&record, "verdict", "blocked") && says(&record, "reason", "not_allowlisted"),
        "{record}"
    );
    drop(listeners);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

fn libc_eperm() -> i32 {
    rustix::io::Errno::PERM.raw_os_error()
}

fn audit() -> Result<()> {
    let stage = stage("sentinel-allow-audit", 12, "audit")?;
    let subnet = stage.lab.subnet();
    let listener = stage.lab.in_peer(|| Ok(TcpListener::bind((subnet.v4(DENIED), 7001))?))?;
    let target = listener.local_addr()?;
    let error = as_workload(&stage, || {
        Ok(errno(TcpStream::connect_timeout(&target, Duration::from_secs(1))))
    })?;
    ensure!(error.is_none(), "audit refused a connection: {error:?}");
    let record = stage.agent.record(Duration::from_secs(5), |record| {
        says(record, "kind", "egress") && says(record, "dst", &target.to_string())
    })?;
    ensure!(says(&record, "verdict", "audited"), "{record}");
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// The answers of a server go to clients that no allowlist names.
fn server_answers() -> Result<()> {
    let stage = stage("sentinel-allow-server", 13, "enforce")?;
    let subnet = stage.lab.subnet();
    let listener = as_workload(&stage, || Ok(TcpListener::bind((subnet.v4(1), 9000))?))?;
    let server = std::thread::spawn(move || -> Result<()> {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"welcome\n")?;
        Ok(())
    });
    let greeting = stage.lab.in_peer(|| {
        use std::io::Read as _;
        let target = SocketAddr::new(subnet.v4(1).into(), 9000);
        let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut greeting = String::new();
        stream.read_to_string(&mut greeting)?;
        Ok(greeting)
    })?;
    ensure!(greeting == "welcome\n", "the client read {greeting:?}");
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    ensure!(stage.agent.stop()?.success());
    Ok(())
}
