//! Where ways are tried: a wire without an agent, and one under an enforcing allowlist.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::bypass::{Family, Options, Report, TUNNEL_NETWORK, Way, Witness};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::netlab::{Lab, NODE_HOST, NODE_INTERFACE, Subnet};
use sentinel_tests::process::{Placement, Running, lab_program};
use sentinel_tests::sniffer::{Capture, Sniffer};

use serde_json::Value;
use tempfile::TempDir;

use crate::stage::WITHIN;

/// The peer's address that the allowlist names, the one that it does not, and another that it names.
pub const GOOD: u8 = 2;
pub const BAD: u8 = 3;
pub const OTHER: u8 = 4;
/// Where the peer listens.
pub const PORT: u16 = 7001;
/// What every marker begins with.
pub const MARK: &str = "SENTINEL-MARKER-";
/// `IPPROTO_ICMPV6`, and its messages that make IPv6 work.
const ICMPV6: u8 = 58;
const NEIGHBOURS: std::ops::RangeInclusive<u8> = 130..=137;

pub static BARE: Mutex<Option<Place>> = Mutex::new(None);
pub static GUARDED: Mutex<Option<Place>> = Mutex::new(None);

pub struct Place {
    pub agent: Option<Agent>,
    pub lab: Lab,
    pub workload: TestCgroup,
    _listener: TcpListener,
    /// The agent watches its policy's file.
    files: TempDir,
    /// Whether frames are judged at the host's end of the wire.
    pub has_backstop: bool,
    /// The agent is in the workload's namespace.
    is_at_home: bool,
    /// Keeps somebody in the workload's namespace, so that it is known whose it is.
    resident: Option<Running>,
    /// Dropped last.
    cgroup: TestCgroup,
}

/// What the peer's side saw of an attempt.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What the kernel said to the one who tried.
    pub error: Option<String>,
    /// IP packets to the target's address.
    pub to_target: usize,
    /// Those of them with the protocol, or the port, that shows this way.
    pub shown: usize,
    /// Frames with the marker, wherever they went.
    pub marked: usize,
}

/// A place, built when it is first asked for.
pub fn held<T>(
    place: &'static Mutex<Option<T>>,
    build: fn() -> Result<T>,
) -> Result<MutexGuard<'static, Option<T>>> {
    let mut guard = place.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        *guard = Some(build()?);
    }
    Ok(guard)
}

/// What it holds.
pub fn of<'a, T>(guard: &'a MutexGuard<'static, Option<T>>) -> Result<&'a T> {
    guard.as_ref().context("the place was not built")
}

/// Takes both down.
pub fn strike() {
    for place in [&GUARDED, &BARE] {
        let taken = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Place { agent: Some(agent), .. }) = taken
            && let Err(error) = agent.stop()
        {
            eprintln!("the agent did not end well: {error:#}");
        }
    }
}

/// The allowlist: two addresses of the peer, and what goes into a tunnel.
pub fn policy(subnet: Subnet) -> String {
    let mut hosts = Vec::new();
    for host in [GOOD, OTHER] {
        hosts.push(format!("\"{}/32\", \"{}/128\"", subnet.v4(host), subnet.v6(host)));
    }
    format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: node}}\n\
         spec:\n  mode: enforce\n  stratum: block\n  egress:\n    - toCIDRs: [{}, \"{TUNNEL_NETWORK}\"]\n",
        hosts.join(", ")
    )
}

impl Place {
    /// Nobody judges here.
    pub fn bare() -> Result<Self> {
        let lab = Lab::with_host("sentinel-bare", Subnet::numbered(20))?;
        Self::build("sentinel-bare", lab)
    }

    /// An agent enforces an allowlist.
    pub fn guarded() -> Result<Self> {
        let lab = Lab::with_host("sentinel-guarded", Subnet::numbered(21))?;
        let mut place = Self::build("sentinel-guarded", lab)?;
        place.resident = Some(resident(&place.lab, &place.workload)?);
        place.guard()?;
        Ok(place)
    }

    /// Nobody is in the workload's namespace yet.
    pub fn empty(name: &str, subnet: u8) -> Result<Self> {
        Self::build(name, Lab::with_host(name, Subnet::numbered(subnet))?)
    }

    /// A place whose agent is to be in the workload's own network namespace: the host's, to both.
    pub fn at_home(name: &str, subnet: u8) -> Result<Self> {
        let place = Self::build(name, Lab::with_subnet(name, Subnet::numbered(subnet))?)?;
        Ok(Self { is_at_home: true, ..place })
    }

    /// Keeps somebody of this cgroup in the workload's namespace, or of the workload's own, and nobody
    /// else.
    pub fn inhabit(&mut self, cgroup: Option<&TestCgroup>) -> Result<()> {
        self.resident = None;
        self.resident = Some(resident(&self.lab, cgroup.unwrap_or(&self.workload))?);
        Ok(())
    }

    /// The cgroup that an agent is to watch here.
    pub fn around(&self) -> &TestCgroup {
        &self.cgroup
    }

    /// A cgroup beside the workload's.
    pub fn beside(&self, name: &str) -> Result<TestCgroup> {
        self.cgroup.child(name)
    }

    /// A place that is to be guarded later.
    pub fn waiting(subnet: u8) -> Result<Self> {
        let lab = Lab::with_subnet("sentinel-waiting", Subnet::numbered(subnet))?;
        Self::build("sentinel-waiting", lab)
    }

    /// Puts the allowlist in force.
    pub fn guard(&mut self) -> Result<()> {
        self.guard_with("mode: enforce\n")
    }

    /// The same under this configuration.
    pub fn guard_with(&mut self, configuration: &str) -> Result<()> {
        self.guard_by(configuration, &policy(self.lab.subnet()))
    }

    /// The same by this policy.
    pub fn guard_by(&mut self, configuration: &str, policy: &str) -> Result<()> {
        let config = self.files.path().join("config.yaml");
        fs::write(&config, configuration)?;
        let config = config.to_str().context("the configuration's path is not UTF-8")?;
        let file = self.files.path().join("policy.yaml");
        fs::write(&file, policy)?;
        let path = file.to_str().context("the policy's path is not UTF-8")?;
        let arguments = ["--config", config, "--policy", path];
        let mut placement = Placement::default();
        if let Some(host) = self.lab.host().or(self.is_at_home.then(|| self.lab.node())) {
            placement = placement.netns(host);
        }
        let agent = Agent::start_from(placement, &self.cgroup, &arguments)?;
        self.has_backstop = covers(&agent)?;
        self.agent = Some(agent);
        Ok(())
    }

    fn build(name: &str, lab: Lab) -> Result<Self> {
        lab.in_node(|| {
            // What some ways need: to forward, and to ping without a privilege.
            fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
            fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
            Ok(())
        })?;
        let listener = lab.in_peer(|| Ok(TcpListener::bind(("::", PORT))?))?;
        let cgroup = TestCgroup::unique(name)?;
        let workload = cgroup.child("workload")?;
        let files = TempDir::new()?;
        Ok(Self {
            agent: None,
            lab,
            workload,
            _listener: listener,
            files,
            has_backstop: false,
            is_at_home: false,
            resident: None,
            cgroup,
        })
    }

    /// What the agent said.
    pub fn log(&self) -> String {
        self.agent.as_ref().map_or_else(String::new, Agent::log)
    }

    /// An address of the peer's, or the node's own.
    pub fn address(&self, family: Family, host: u8) -> IpAddr {
        let subnet = self.lab.subnet();
        match family {
            Family::V4 => subnet.v4(host).into(),
            Family::V6 => subnet.v6(host).into(),
        }
    }

    /// A workload tries a way to an address of the peer's.
    pub fn attempt(&self, way: &Way, family: Family, host: u8) -> Result<Arrival> {
        self.attempt_from(&self.workload, way, family, host)
    }

    /// The same by whoever is in this cgroup.
    pub fn attempt_from(
        &self,
        cgroup: &TestCgroup,
        way: &Way,
        family: Family,
        host: u8,
    ) -> Result<Arrival> {
        let options = self.options(way, family, host);
        let sniffer = Sniffer::start(&self.lab)?;
        let mut command = Command::new(lab_program()?);
        command.arg("bypass").args(options.to_args());
        let placement = Placement::default().cgroup(cgroup).netns(self.lab.node());
        let report: Report = placement.spawn_reporting(command)?.report(WITHIN)?;
        let capture = whole(sniffer.finish()?)?;
        let arrival = seen(&sightings(&capture), options.target.ip(), &options.marker, way.witness);
        Ok(Arrival { error: report.error, ..arrival })
    }

    /// An attempt with a marker of its own.
    pub fn options(&self, way: &Way, family: Family, host: u8) -> Options {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Options {
            way: way.name.to_owned(),
            target: SocketAddr::new(self.address(family, host), PORT),
            other: SocketAddr::new(self.address(family, OTHER), PORT),
            source: self.address(family, NODE_HOST),
            interface: NODE_INTERFACE.to_owned(),
            marker: format!("{MARK}{:08}", COUNT.fetch_add(1, Ordering::Relaxed)),
            // What is refused is refused at once, or hangs: nothing is gained by waiting for it.
            wait_ms: if host == BAD && self.agent.is_some() { 200 } else { 3000 },
        }
    }
}

fn resident(lab: &Lab, cgroup: &TestCgroup) -> Result<Running> {
    let mut command = Command::new(lab_program()?);
    command.args(["serve", "log", "127.0.0.1:0"]).stdin(Stdio::piped());
    Placement::default().cgroup(cgroup).netns(lab.node()).spawn(command)
}

/// Whether all workloads are judged at the end of their wire, as `sentinel status` has it.
fn covers(agent: &Agent) -> Result<bool> {
    let rooms = rooms(agent)?;
    let full = |room: &Value| room.pointer("/backstop") == Some(&"full".into());
    Ok(!rooms.is_empty() && rooms.iter().all(full))
}

/// What `sentinel status` says of each network namespace.
pub fn rooms(agent: &Agent) -> Result<Vec<Value>> {
    let output = Command::new(sentinel_program()?)
        .args(["status", "--format", "json", "--state-dir"])
        .arg(agent.folder())
        .output()?;
    let status: Value = serde_json::from_slice(&output.stdout)?;
    status.pointer("/coverage").and_then(Value::as_array).cloned().context("no coverage")
}

/// Where an IP packet goes.
#[derive(Clone, Copy)]
struct Destination {
    address: IpAddr,
    protocol: u8,
    /// Of TCP and UDP without options or extension headers; something else of anything else.
    port: u16,
}

/// A frame that reached the peer.
pub struct Sighting<'a> {
    /// Where it goes, of IP.
    to: Option<Destination>,
    /// What stands in it from a marker on.
    says: Option<&'a [u8]>,
}

impl Sighting<'_> {
    /// Whether it went to this address.
    pub fn went_to(&self, target: IpAddr) -> bool {
        self.to.is_some_and(|to| to.address == target)
    }

    /// Whether it has this marker.
    pub fn has(&self, marker: &str) -> bool {
        self.says.is_some_and(|says| says.starts_with(marker.as_bytes()))
    }
}

/// A capture that lost nothing: another would not prove that something is not there.
pub fn whole(capture: Capture) -> Result<Capture> {
    ensure!(capture.dropped == 0, "the sniffer lost {} frames", capture.dropped);
    Ok(capture)
}

/// The frames of a capture, read once.
pub fn sightings(capture: &Capture) -> Vec<Sighting<'_>> {
    let frames = capture.frames.iter().filter(|frame| !frame.outgoing);
    frames
        .map(|frame| {
            let mut windows = frame.bytes.windows(MARK.len());
            let at = windows.position(|bytes| bytes == MARK.as_bytes());
            let says = at.and_then(|at| frame.bytes.get(at..));
            Sighting { to: destination(&frame.bytes), says }
        })
        .collect()
}

/// What went to this address, and where the marker went.
pub fn count(capture: Capture, target: IpAddr, marker: &str) -> Result<Arrival> {
    Ok(seen(&sightings(&whole(capture)?), target, marker, Witness::Marker))
}

/// The same, and what shows a way.
pub fn seen(sightings: &[Sighting<'_>], target: IpAddr, marker: &str, shows: Witness) -> Arrival {
    let number = |accept: &dyn Fn(&Sighting<'_>) -> bool| {
        sightings.iter().filter(|sighting| accept(sighting)).count()
    };
    let shown = |to: Destination| match shows {
        Witness::Marker => false,
        Witness::Protocol(protocol) => to.protocol == protocol,
        Witness::Port(protocol, port) => (to.protocol, to.port) == (protocol, port),
    };
    Arrival {
        error: None,
        to_target: number(&|sighting| sighting.went_to(target)),
        shown: number(&|sighting| sighting.to.is_some_and(|to| to.address == target && shown(to))),
        marked: number(&|sighting| sighting.has(marker)),
    }
}

/// Where any IP packet goes but those of neighbour discovery.
fn destination(frame: &[u8]) -> Option<Destination> {
    let (head, packet) = frame.split_at_checked(14)?;
    let port = |at: usize| {
        let bytes = packet.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes))
    };
    match head.get(12..)? {
        [0x08, 0x00] => {
            let address: [u8; 4] = *packet.get(16..)?.first_chunk()?;
            let protocol = *packet.get(9)?;
            Some(Destination { address: address.into(), protocol, port: port(22) })
        }
        [0x86, 0xdd] => {
            let address: [u8; 16] = *packet.get(24..)?.first_chunk()?;
            let protocol = *packet.get(6)?;
            let is_neighbour = protocol == ICMPV6 && NEIGHBOURS.contains(packet.get(40)?);
            let to = Destination { address: address.into(), protocol, port: port(42) };
            (!is_neighbour).then_some(to)
        }
        _ => None,
    }
}
