//! A laboratory with a crowd of servers, and the programs on a cgroup that may go to the resolver and
//! wherever names of the patterns lead.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel::policy::{Source, compile};
use sentinel_common::config::Modes;
use sentinel_common::learn::Lesson;
use sentinel_common::verdict::{Mode, lesson_counter};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::netlab::{Lab, PEER_HOSTS, Subnet};
use sentinel_tests::resolver::member;
use time::OffsetDateTime;

const PORT: u16 = 7443;

pub struct Scene {
    pub lab: Lab,
    pub kernel: Kernel,
    pub workload: TestCgroup,
    /// Dropped behind what is in it.
    _cgroup: TestCgroup,
    /// The one resolver that may teach; nobody is there yet.
    pub server: IpAddr,
}

/// `rules` are entries of a policy's `toFQDNs`.
pub fn scene(name: &str, number: u8, rules: &[&str]) -> Result<Scene> {
    let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
    lab.add_crowd(member(0))?;
    let cgroup = TestCgroup::unique(name)?;
    let workload = cgroup.child("workload")?;
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(cgroup.path()))?;
    let [host, ..] = PEER_HOSTS;
    let server: IpAddr = lab.subnet().v4(host).into();
    kernel.set_policy(&policy(&lab, rules)?)?;
    kernel.set_resolvers(&BTreeSet::from([server]))?;
    Ok(Scene { lab, kernel, workload, _cgroup: cgroup, server })
}

/// A policy that allows the laboratory's own network and these names.
pub fn policy(lab: &Lab, names: &[&str]) -> Result<Arc<PolicyImage>> {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let text = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata:\n  name: names\nspec:\n  \
         mode: enforce\n  egress:\n    - toCIDRs: [{}, \"{}\"]\n    - toFQDNs: [{}]\n",
        lab.subnet().cidr4(),
        lab.subnet().cidr6(),
        names.join(", ")
    );
    let source = Source { name: "names.yaml".to_owned(), text };
    let set = compile(&[source], OffsetDateTime::now_utc())
        .map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    let modes = Modes { egress: Mode::Enforce, ..Modes::OFF };
    Ok(Arc::new(PolicyImage::of_node(modes, &set)))
}

/// A part of the workload: in its cgroup, in the node's namespace.
pub fn as_workload<T: Send>(
    workload: &TestCgroup,
    lab: &Lab,
    act: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    in_cgroup(workload, || lab.in_node(act))
}

/// In a cgroup, in this namespace.
pub fn in_cgroup<T>(workload: &TestCgroup, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let home = workload.path().parent().and_then(|it| it.parent()).context("no parent")?;
    cgroup::join(workload.path())?;
    let outcome = act();
    cgroup::join(home)?;
    outcome
}

pub fn lessons(kernel: &Kernel, lesson: Lesson) -> Result<u64> {
    let totals = kernel.counters()?;
    let slot = usize::try_from(lesson_counter(lesson))?;
    totals.get(slot).copied().context("no such counter")
}

pub fn connect(to: IpAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(to, PORT), Duration::from_secs(5))
}

pub fn is_denied(to: IpAddr) -> bool {
    connect(to).is_err_and(|error| error.raw_os_error() == Some(1))
}

/// Accepts whatever comes to the crowd, until told to stop.
pub fn accept_all(lab: &Lab, stop: &AtomicBool) -> Result<()> {
    let listener = lab.in_peer(|| Ok(TcpListener::bind(("0.0.0.0", PORT))?))?;
    // More than the library's 128: a SYN that finds no room comes again a second later.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    while !stop.load(Ordering::Acquire) {
        if listener.accept().is_err() {
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}
