//! Workloads in the host's own network namespace. No wire leads to them, so sockets whose packets pass the
//! hooks on IP by are refused to them before there is one, by kernels that ask.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::CapabilitySet;
use sentinel_tests::agent::{Agent, sentinel_program};
use sentinel_tests::bypass::{self, Family, Way};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::process::{Placement, lab_program};
use serde_json::Value;

use super::place::{self, Arrival, BAD, GOOD, Place, held, rooms};
use super::table;

const REFUSE: &str = "mode: enforce\nrawSockets: refuse\n";
/// Processes are looked at every ten seconds.
const NOTICED: Duration = Duration::from_secs(60);
const BLOCKED: &str = "sentinel_packets_total{reason=\"raw_socket\",verdict=\"blocked\"}";

static HOME: Mutex<Option<Home>> = Mutex::new(None);

/// A place whose agent refuses.
struct Home {
    place: Place,
    /// No policy is on it.
    free: TestCgroup,
    /// One that is not enforced.
    watched: TestCgroup,
    /// What arrived without an agent.
    before: Vec<Arrival>,
    /// What this kernel says it does not have.
    gap: Option<String>,
}

type Case = fn(&Home) -> Result<()>;

pub fn trials() -> Vec<Trial> {
    let cases: [(&str, Case); 4] = [
        ("frames_are_refused_where_a_policy_is_enforced", refused),
        ("sockets_of_no_ip_are_refused_and_local_ones_are_not", families),
        ("status_tells_who_is_covered", covered),
        ("what_is_pinned_refuses_without_an_agent", pinned),
    ];
    let root = rustix::process::geteuid().is_root();
    let trial = |(name, case): (&str, Case)| {
        let needs = if root { "" } else { " (needs root)" };
        let run = move || tried(case).map_err(|error| Failed::from(format!("{error:#}")));
        Trial::ignorable_test(format!("bypass/home/{name}{needs}"), run).with_ignored_flag(!root)
    };
    cases.into_iter().map(trial).collect()
}

/// Takes it down.
pub fn strike() {
    drop(HOME.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Where the kernel asks nobody, the agent must have gone on and said so.
fn tried(case: Case) -> Result<Completion> {
    let guard = held(&HOME, Home::build)?;
    let home = place::of(&guard)?;
    let Some(gap) = &home.gap else {
        return case(home).map(|()| Completion::Completed);
    };
    let log = home.place.log();
    ensure!(log.contains("only those of IP are refused"), "it keeps to itself that {gap}:\n{log}");
    Ok(Completion::ignored_with(gap.lines().next().unwrap_or_default()))
}

fn ways() -> Vec<(Way, Family)> {
    let is_one = |way: &Way| way.name.starts_with("packet_") || way.name == "xdp_socket";
    table::tries().into_iter().filter(|(way, _)| is_one(way)).collect()
}

/// What arrives when whoever is in this cgroup tries all ways. An AF_XDP socket that is on its way out may
/// still hold the queue: what has not arrived is tried again alone.
fn reached(place: &Place, cgroup: &TestCgroup) -> Result<Vec<Arrival>> {
    let mut arrivals = place.sweep_from(cgroup, &ways(), BAD)?.arrivals;
    for (arrival, (way, family)) in arrivals.iter_mut().zip(ways()) {
        if arrival.marked == 0 {
            *arrival = place.attempt_from(cgroup, &way, family, BAD)?;
        }
    }
    Ok(arrivals)
}

impl Home {
    fn build() -> Result<Self> {
        let mut place = Place::at_home("sentinel-home", 28)?;
        let before = reached(&place, &place.workload)?;
        let (free, watched) = (place.beside("free")?, place.beside("watched")?);
        let subnet = place.lab.subnet();
        let policy = |name: &str, mode: &str| {
            format!(
                "---\napiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: {name}}}\n\
                 spec: {{workload: {{cgroup: \"/**/{name}\"}}, mode: {mode}, \
                 egress: [{{toCIDRs: [\"{}/32\", \"{}/128\"]}}]}}\n",
                subnet.v4(GOOD),
                subnet.v6(GOOD)
            )
        };
        let policies = policy("workload", "enforce") + &policy("watched", "audit");
        place.guard_by(REFUSE, &policies)?;
        Ok(Self { gap: gap()?, place, free, watched, before })
    }

    fn agent(&self) -> Result<&Agent> {
        self.place.agent.as_ref().context("there is no agent")
    }

    /// Sockets that were refused so far.
    fn counted(&self) -> Result<f64> {
        self.place.lab.in_node(|| Ok(self.agent()?.metric(BLOCKED).unwrap_or_default()))
    }
}

/// As `sentinel doctor` has it from the kernel.
fn gap() -> Result<Option<String>> {
    let output = Command::new(sentinel_program()?).args(["doctor", "--format", "json"]).output()?;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let found = findings.iter().find(|found| found["check"] == "sockets");
    let found = found.context("the doctor says nothing of sockets")?;
    let note = found["note"].as_str().unwrap_or_default().to_owned();
    Ok((found["standing"] != "good").then_some(note))
}

/// Frames of packet sockets and of AF_XDP: out without an agent, then not even a socket for them; but to
/// whom nothing is enforced on.
fn refused(home: &Home) -> Result<()> {
    let (ways, place) = (ways(), &home.place);
    for ((way, family), before) in ways.iter().zip(&home.before) {
        ensure!(before.marked > 0, "{} {family:?} without an agent: {before:?}", way.name);
    }
    let counted = home.counted()?;
    let swept = place.sweep_from(&place.workload, &ways, BAD)?;
    for ((way, family), denied) in ways.iter().zip(&swept.arrivals) {
        let is_refused = denied.error.as_deref() == Some("EPERM") && denied.marked == 0;
        ensure!(is_refused, "{} {family:?}: {denied:?}\n{}", way.name, place.log());
    }
    ensure!(swept.strays == 0, "{} frames got out", swept.strays);
    let counted = home.counted()? - counted;
    ensure!(counted >= ways.len() as f64, "{counted} of {} were counted", ways.len());
    for (cgroup, who) in [(&home.free, "free"), (&home.watched, "watched")] {
        for ((way, family), allowed) in ways.iter().zip(&reached(place, cgroup)?) {
            ensure!(allowed.marked > 0, "{who}: {} {family:?}: {allowed:?}", way.name);
        }
    }
    for name in ["tcp_connect", "udp_sendto", "ping_socket"] {
        let way = bypass::WAYS
            .into_iter()
            .find(|way| way.name == name)
            .context("there is no such way")?;
        let allowed = place.attempt(&way, Family::V4, GOOD)?;
        ensure!(allowed.marked > 0, "{name} was hindered: {allowed:?}\n{}", place.log());
    }
    Ok(())
}

/// `AF_ALG`, `AF_VSOCK`, `AF_RDS`, `AF_TIPC`, `AF_CAN`, `AF_SMC`: what the kernel may lack it is not asked
/// for, and refusing comes first.
const ALG: u16 = 38;
const NO_IP: [(&str, u16); 6] =
    [("vsock", 40), ("rds", 21), ("tipc", 30), ("can", 29), ("smc", 43), ("xdp", 44)];

fn make(family: u16, kind: SocketType) -> Result<(), Errno> {
    socket(AddressFamily::from_raw(family), kind, None).map(drop)
}

fn families(home: &Home) -> Result<()> {
    let inside = |family: u16, kind| home.place.inside(|| Ok(make(family, kind)));
    for (name, family) in NO_IP {
        let kind = if family == 44 { SocketType::RAW } else { SocketType::STREAM };
        let free = home.place.lab.in_node(|| Ok(make(family, kind)))?;
        ensure!(free != Err(Errno::PERM), "{name} is refused outside");
        eprintln!("a socket of {name} without a policy: {free:?}");
        ensure!(inside(family, kind)? == Err(Errno::PERM), "{name} was made");
    }
    let local = [
        ("unix", AddressFamily::UNIX, SocketType::STREAM),
        ("netlink", AddressFamily::NETLINK, SocketType::RAW),
        ("inet", AddressFamily::INET, SocketType::DGRAM),
        ("inet6", AddressFamily::INET6, SocketType::STREAM),
    ];
    for (name, family, kind) in local {
        ensure!(inside(family.as_raw(), kind)?.is_ok(), "{name} was refused");
    }
    ensure!(inside(ALG, SocketType::SEQPACKET)? != Err(Errno::PERM), "crypto was refused");
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let raw = home.place.inside(|| {
            let protocol = std::num::NonZeroU32::new(253).map(rustix::net::Protocol::from_raw);
            Ok(socket(family, SocketType::RAW, protocol).map(drop))
        })?;
        ensure!(raw == Err(Errno::PERM), "a raw socket of IP was made: {raw:?}");
    }
    Ok(())
}

fn waits() -> Result<Command> {
    let mut command = Command::new(lab_program()?);
    command.args(["serve", "log", "127.0.0.1:0"]).stdin(Stdio::piped());
    Ok(command)
}

/// Who may make interfaces makes tunnels; who may not is covered.
fn covered(home: &Home) -> Result<()> {
    let (place, agent) = (&home.place, home.agent()?);
    let here = || Placement::default().netns(place.lab.node());
    let _mighty = here().cgroup(&home.free).spawn(waits()?)?;
    let _bounded =
        here().cgroup(&place.workload).without(CapabilitySet::NET_ADMIN).spawn(waits()?)?;
    let until = Instant::now() + NOTICED;
    loop {
        let rooms = rooms(agent)?;
        let of = |end: &str| {
            let is_of = |room: &&Value| {
                let mut names = room["workloads"].as_array().into_iter().flatten();
                names.any(|name| name.as_str().is_some_and(|name| name.ends_with(end)))
            };
            rooms.iter().find(is_of)
        };
        if let (Some(free), Some(bounded)) = (of("/free"), of("/workload")) {
            let why = free["why"].as_str().unwrap_or_default();
            ensure!(bounded["backstop"] == "full", "{bounded}");
            ensure!(
                free["backstop"] == "no L2 backstop" && why.contains("CAP_NET_ADMIN"),
                "{free}"
            );
            return Ok(());
        }
        ensure!(Instant::now() < until, "nobody noticed who is there: {rooms:?}\n{}", place.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Killed, followed by another, then by one that refuses none.
fn pinned(_: &Home) -> Result<()> {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    let folder = tempfile::Builder::new().prefix("sentinel-pins-").tempdir()?;
    mount("bpf", folder.path(), "bpf", MountFlags::empty(), c"mode=0700")?;
    let done = take_turns(&folder.path().join("sentinel"));
    unmount(folder.path(), UnmountFlags::DETACH)?;
    done
}

fn take_turns(folder: &Path) -> Result<()> {
    let place = Place::at_home("sentinel-pin-home", 29)?;
    let files = tempfile::tempdir()?;
    let (config, policy) = (files.path().join("config.yaml"), files.path().join("policy.yaml"));
    fs::write(&policy, place::policy(place.lab.subnet()))?;
    let agent = |configuration: &str| {
        fs::write(&config, configuration)?;
        let words = [&config, &policy].map(|path| path.to_string_lossy().into_owned());
        let [config, policy] = words.each_ref().map(String::as_str);
        let pins = folder.to_string_lossy();
        let arguments = ["--config", config, "--policy", policy, "--pin", &pins];
        Agent::start(place.around(), &arguments)
    };
    let packet = || place.inside(|| Ok(make(AddressFamily::PACKET.as_raw(), SocketType::RAW)));
    let link = folder.join("links/socket_create");
    // SIGKILL.
    drop(agent(REFUSE)?);
    ensure!(packet()? == Err(Errno::PERM), "nothing is refused when the agent is killed");
    let number = || fs::metadata(&link).map(|link| link.ino());
    let before = number()?;
    let second = agent(REFUSE)?;
    ensure!(second.log().contains("took over"), "{}", second.log());
    ensure!(number()? == before, "it has made another link, and not replaced the program");
    ensure!(packet()? == Err(Errno::PERM), "the next agent refuses nothing: {}", second.log());
    ensure!(second.stop()?.success());
    ensure!(packet()? == Err(Errno::PERM), "nothing is refused when the agent is gone");
    let third = agent("mode: enforce\n")?;
    ensure!(packet()?.is_ok() && !link.exists(), "it is refused still: {}", third.log());
    ensure!(third.stop()?.success());
    Ok(())
}
