//! Policies per workload: each cgroup has its own, a new one from its first packet, what comes in has
//! its own rules, and a change takes effect on what is open.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel_common::config::Modes;
use sentinel_common::policy::Binding;
use sentinel_common::verdict::{Mode, Reason, Verdict, outcome_counter};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::sniffer::Sniffer;

use crate::allowlist::{errno, says};
use crate::stage::{PEER, Stage};
use crate::trial;

/// Another address of the peer's.
const OTHER: u8 = 3;
const PORT: u16 = 7001;
const WAIT: Duration = Duration::from_millis(300);
/// Long enough for an agent on a busy machine.
const SOON: Duration = Duration::from_secs(10);
const EPERM: Option<i32> = Some(1);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("workloads/each_has_its_own", each_has_its_own),
        trial("workloads/a_new_one_is_judged_from_its_first_packet", from_the_first_packet),
        trial("workloads/an_unknown_one_waits_where_it_must", unknown_waits),
        trial("workloads/callers_are_judged_and_replies_are_not", callers),
        trial("workloads/a_tightened_policy_cuts_what_is_open", tightened),
        trial("workloads/a_policy_ends_by_itself", expires),
    ]
}

/// A policy on the cgroups whose path ends like this.
pub fn policy(name: &str, ends: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{workload: {{cgroup: \"/**/{ends}\"}}, mode: enforce, {spec}}}\n"
    )
}

pub fn only_to(lab: &Lab, host: u8) -> String {
    format!(
        "egress: [{{toCIDRs: [\"{}/32\", \"{}/128\"]}}]",
        lab.subnet().v4(host),
        lab.subnet().v6(host)
    )
}

pub struct Play {
    pub stage: Stage,
    file: PathBuf,
}

impl Play {
    pub fn begin(name: &str, number: u8, text: impl FnOnce(&Lab) -> String) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        let file = std::env::temp_dir().join(format!("{name}-{}.yaml", std::process::id()));
        fs::write(&file, text(&lab))?;
        let path = file.to_str().context("the policy's path is not UTF-8")?.to_owned();
        let stage = Stage::set_in(lab, name, &["--mode", "enforce", "--policy", &path])?;
        Ok(Self { stage, file })
    }

    pub fn rewrite(&self, text: &str) -> Result<()> {
        let generation = self.stage.agent.metric("sentinel_policy_generation")?;
        fs::write(&self.file, text)?;
        let pid = i32::try_from(self.stage.agent.pid())?;
        let pid = rustix::process::Pid::from_raw(pid).context("no pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::HUP)?;
        eventually(|| Ok(self.stage.agent.metric("sentinel_policy_generation")? > generation))
    }

    /// What a `connect(2)` from a cgroup to the peer comes to.
    fn connect(&self, from: &TestCgroup, host: u8) -> Result<Option<i32>> {
        let subnet = self.stage.lab.subnet();
        let target = SocketAddr::new(subnet.v4(host).into(), PORT);
        self.within(from, || Ok(errno(TcpStream::connect_timeout(&target, WAIT))))
    }

    /// Runs a closure in the node's namespace and a cgroup.
    pub fn within<T: Send>(
        &self,
        group: &TestCgroup,
        act: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let home = self.stage.cgroup.path().parent().context("no parent")?;
        cgroup::join(group.path())?;
        let outcome = self.stage.lab.in_node(act);
        cgroup::join(home)?;
        outcome
    }

    fn listeners(&self) -> Result<Vec<TcpListener>> {
        let subnet = self.stage.lab.subnet();
        self.stage.lab.in_peer(|| {
            let bind = |host| Ok(TcpListener::bind((subnet.v4(host), PORT))?);
            [PEER, OTHER].into_iter().map(bind).collect()
        })
    }

    pub fn end(self) -> Result<()> {
        fs::remove_file(&self.file)?;
        ensure!(self.stage.agent.stop()?.success(), "the agent did not end well");
        Ok(())
    }
}

pub fn eventually(mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < SOON, "it did not happen within {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn each_has_its_own() -> Result<()> {
    let play = Play::begin("sentinel-each", 31, |lab| {
        let (one, two) = (only_to(lab, PEER), only_to(lab, OTHER));
        policy("one", "one.service", &one) + &policy("two", "two.service", &two)
    })?;
    let listeners = play.listeners()?;
    let one = play.stage.workload.child("one.service")?;
    let two = play.stage.workload.child("two.service")?;
    let sniffer = Sniffer::start(&play.stage.lab)?;
    eventually(|| Ok(play.connect(&one, OTHER)? == EPERM && play.connect(&two, PEER)? == EPERM))?;
    ensure!(play.connect(&one, PEER)?.is_none(), "one is not let to its own");
    ensure!(play.connect(&two, OTHER)?.is_none(), "two is not let to its own");
    let neither = play.connect(&play.stage.workload, PEER)?;
    ensure!(neither.is_none(), "what no policy is about is not left alone: {neither:?}");
    drop(sniffer.finish()?);
    let dst = SocketAddr::new(play.stage.lab.subnet().v4(OTHER).into(), PORT).to_string();
    let record = play.stage.agent.record(SOON, |record| says(record, "dst", &dst))?;
    let rule = record.get("rule").and_then(serde_json::Value::as_str).unwrap_or_default();
    ensure!(
        says(&record, "policy", "one")
            && rule.starts_with("no rule (")
            && rule.ends_with(".yaml:4)"),
        "{record}"
    );
    drop((listeners, one, two));
    play.end()
}

fn from_the_first_packet() -> Result<()> {
    let play = Play::begin("sentinel-first", 32, |lab| {
        policy("unit", "unit.service", &only_to(lab, PEER))
    })?;
    let listeners = play.listeners()?;
    let unit = play.stage.workload.child("unit.service")?;
    eventually(|| Ok(play.connect(&unit, OTHER)? == EPERM))?;
    let sniffer = Sniffer::start(&play.stage.lab)?;
    for number in 0..50 {
        // Nobody has been told of it: it lies within one that is known.
        let child = unit.child(&format!("payload-{number}"))?;
        ensure!(play.connect(&child, OTHER)? == EPERM, "child {number} got out");
        ensure!(play.connect(&child, PEER)?.is_none(), "child {number} was hindered");
    }
    let capture = sniffer.finish()?;
    let other = IpAddr::V4(play.stage.lab.subnet().v4(OTHER));
    ensure!(capture.frames_to(other) == 0, "frames reached {other}");
    drop((listeners, unit));
    play.end()
}

/// Without an agent: nobody binds the new cgroup before the test does.
fn unknown_waits() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-unknown", Subnet::numbered(33))?;
    let group = TestCgroup::unique("sentinel-unknown")?;
    let home = group.path().parent().context("no parent")?.to_path_buf();
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(group.path()))?;
    let mut image = PolicyImage::empty(Modes { egress: Mode::Enforce, ..Modes::OFF });
    image.by_workload = true;
    let closed = Binding { flags: Binding::CLOSED_BELOW, ..Binding::NONE };
    image.workloads = [(fs::metadata(group.path())?.ino(), closed)].into();
    kernel.set_policy(&Arc::new(image))?;
    let child = group.child("new.service")?;
    let grandchild = child.child("inner")?;
    let target = SocketAddr::new(lab.subnet().v4(PEER).into(), PORT);
    let attempt = |at: &TestCgroup| {
        cgroup::join(at.path())?;
        let udp = lab.in_node(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            Ok(errno(socket.send_to(b"x", target)))
        });
        cgroup::join(&home)?;
        udp
    };
    ensure!(attempt(&group)?.is_none(), "a known one was hindered");
    ensure!(attempt(&child)? == EPERM && attempt(&grandchild)? == EPERM, "an unknown one got out");
    let counters = kernel.counters()?;
    let denied = outcome_counter(Reason::UnknownWorkload, Verdict::Blocked) as usize;
    ensure!(counters.get(denied) == Some(&2), "{:?}", counters.get(denied));
    kernel.bind(fs::metadata(child.path())?.ino(), Some(&Binding::NONE))?;
    ensure!(attempt(&child)?.is_none(), "it is known now");
    ensure!(attempt(&grandchild)?.is_none(), "and what lies within it");
    kernel.bind(fs::metadata(child.path())?.ino(), None)?;
    ensure!(attempt(&child)? == EPERM, "it is unknown again");
    drop((grandchild, child));
    Ok(())
}

fn callers() -> Result<()> {
    let play = Play::begin("sentinel-callers", 34, |lab| {
        let friend = lab.subnet().v4(PEER);
        let ports = format!("ports: [{{port: {PORT}}}, {{port: {PORT}, protocol: UDP}}]");
        policy(
            "srv",
            "srv.service",
            &format!("ingress: [{{fromCIDRs: [\"{friend}/32\"], {ports}}}]"),
        )
    })?;
    let service = play.stage.workload.child("srv.service")?;
    let subnet = play.stage.lab.subnet();
    let (friend, stranger) = (subnet.v4(PEER), subnet.v4(OTHER));
    let here = SocketAddr::new(subnet.v4(1).into(), PORT);
    let echo = play.stage.lab.in_peer(|| Ok(UdpSocket::bind((stranger, 9009))?))?;
    let (listener, udp, caller) = play.within(&service, || {
        let udp = UdpSocket::bind(here)?;
        udp.set_read_timeout(Some(WAIT))?;
        let caller = UdpSocket::bind("0.0.0.0:0")?;
        caller.set_read_timeout(Some(Duration::from_secs(3)))?;
        Ok((TcpListener::bind(here)?, udp, caller))
    })?;
    let call = |from: std::net::Ipv4Addr| {
        play.stage.lab.in_peer(move || {
            let socket = UdpSocket::bind((from, 0))?;
            socket.send_to(b"hello", here)?;
            bound_connect(from, here)
        })
    };
    eventually(|| Ok(!call(stranger)?))?;
    let mut buffer = [0; 16];
    while udp.recv_from(&mut buffer).is_ok() {}
    ensure!(!call(stranger)? && udp.recv_from(&mut buffer).is_err(), "the stranger got in");
    ensure!(call(friend)? && udp.recv_from(&mut buffer).is_ok(), "the friend was kept out");
    // The stranger is called, and answers: a reply is nobody's call.
    let reply = play.within(&service, || {
        caller.send_to(b"ping", echo.local_addr()?)?;
        let (_, from) = echo.recv_from(&mut [0; 16])?;
        echo.send_to(b"pong", from)?;
        Ok(caller.recv_from(&mut [0; 16]).is_ok())
    })?;
    ensure!(reply, "a reply was kept out");
    let strange = stranger.to_string();
    let record = play.stage.agent.record(SOON, |record| {
        let dst = record.get("dst").and_then(serde_json::Value::as_str).unwrap_or_default();
        says(record, "kind", "ingress") && dst.starts_with(&strange)
    })?;
    ensure!(says(&record, "verdict", "blocked") && says(&record, "policy", "srv"), "{record}");
    drop((listener, udp, service));
    play.end()
}

/// Whether a connection from this address is taken.
fn bound_connect(from: std::net::Ipv4Addr, to: SocketAddr) -> Result<bool> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::sockopt::set_tcp_user_timeout(&socket, 300)?;
    bind(&socket, &SocketAddr::new(from.into(), 0))?;
    rustix::fs::fcntl_setfl(&socket, rustix::fs::OFlags::NONBLOCK)?;
    let _ = connect(&socket, &to);
    let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    let ready = rustix::event::poll(&mut fds, Some(&timeout))?;
    Ok(ready == 1 && rustix::net::sockopt::socket_error(&socket)?.is_ok())
}

fn tightened() -> Result<()> {
    let both = |lab: &Lab| only_to(lab, PEER).replace("/32\"", "/24\"").replace(".2/24", ".0/24");
    let play = Play::begin("sentinel-tight", 35, |lab| policy("unit", "unit.service", &both(lab)))?;
    let listeners = play.listeners()?;
    let unit = play.stage.workload.child("unit.service")?;
    let subnet = play.stage.lab.subnet();
    let open = |host| {
        let target = SocketAddr::new(subnet.v4(host).into(), PORT);
        play.within(&unit, move || Ok(TcpStream::connect_timeout(&target, Duration::from_secs(2))?))
    };
    let (mut kept, mut cut) = (open(PEER)?, open(OTHER)?);
    // A namespace without a process is found by its name only, and this one has none.
    let mut resident = play.within(&unit, || Ok(Command::new("sleep").arg("60").spawn()?))?;
    play.rewrite(&policy("unit", "unit.service", &only_to(&play.stage.lab, PEER)))?;
    cut.set_read_timeout(Some(SOON))?;
    let error = cut.read(&mut [0]).err().context("the connection ended without an error")?;
    let log = play.stage.agent.log();
    ensure!(error.kind() == std::io::ErrorKind::ConnectionAborted, "{error}\n{log}");
    kept.write_all(b"still here")?;
    let (mut accepted, _) = listeners.first().context("no listener")?.accept()?;
    let mut said = [0; 10];
    accepted.read_exact(&mut said)?;
    let dst = SocketAddr::new(subnet.v4(OTHER).into(), PORT).to_string();
    let record = play.stage.agent.record(SOON, |record| {
        says(record, "kind", "socket")
            && says(record, "dst", &dst)
            && says(record, "verdict", "blocked")
    })?;
    ensure!(says(&record, "policy", "unit"), "{record}");
    resident.kill()?;
    resident.wait()?;
    drop((listeners, unit));
    play.end()
}

fn expires() -> Result<()> {
    let end = time::OffsetDateTime::now_utc() + Duration::from_secs(4);
    let end = end.format(&time::format_description::well_known::Rfc3339)?;
    let play = Play::begin("sentinel-expires", 36, |lab| {
        let spec = format!("{}, expires: \"{end}\"", only_to(lab, PEER));
        policy("unit", "unit.service", &spec)
    })?;
    let listeners = play.listeners()?;
    let unit = play.stage.workload.child("unit.service")?;
    eventually(|| Ok(play.connect(&unit, OTHER)? == EPERM))?;
    eventually(|| Ok(play.connect(&unit, OTHER)?.is_none()))?;
    drop((listeners, unit));
    play.end()
}
