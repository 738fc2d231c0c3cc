//! What `connect(2)` costs with the hooks: live, since no test run knows these programs.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel_common::config::Modes;
use sentinel_common::verdict::Mode;

use super::Case;
use super::table::Row;
use crate::cgroup::{self, TestCgroup};
use crate::netlab::{Lab, Subnet};
use crate::policy::node_policy;

/// Prefixes in the allowlist that every connect is judged by.
const PREFIXES: u32 = 1000;

/// One row: `connect(2)` of a UDP socket, which is the system call and the hook and nothing else,
/// in a cgroup with the programs, above the same in a cgroup without, round by round.
pub(super) fn row(rounds: usize, repeat: u32) -> Result<Row> {
    let watched = TestCgroup::unique("sentinel-bench-watched")?;
    let bare = TestCgroup::unique("sentinel-bench-bare")?;
    let lab = Lab::with_subnet("sentinel-bench", Subnet::numbered(15))?;
    let target = SocketAddr::from((lab.subnet().v4(2), 9));
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(watched.path()))?;
    kernel.set_policy(&policy(&lab.subnet().cidr4())?)?;
    let home = watched.path().parent().context("the cgroup has no parent")?.to_path_buf();
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let mut taken = [0.0; 2];
        for (group, taken) in [&bare, &watched].into_iter().zip(&mut taken) {
            cgroup::join(group.path())?;
            *taken = lab.in_node(|| nanoseconds(target, repeat))?;
        }
        let [without, with] = taken;
        samples.push((with, with - without));
    }
    cgroup::join(&home)?;
    let case = Case {
        name: "connect(2), 1,000 prefixes, above no program at all",
        program: "connect4",
        payload: Vec::new(),
        budget: Some(700.0),
    };
    Ok(Row::new(&case, &samples))
}

/// A policy that allows the laboratory's network among many others; nothing is ever sent.
fn policy(network: &str) -> Result<Arc<PolicyImage>> {
    let others = (1..PREFIXES).map(|number| {
        let [_, _, high, low] = number.to_be_bytes();
        format!("10.{high}.{low}.0/24")
    });
    let prefixes = others.chain([network.to_owned()]).collect::<Vec<_>>().join(", ");
    let modes = Modes { stratum: Mode::Enforce, egress: Mode::Enforce, ..Modes::OFF };
    node_policy(modes, &format!("egress: [{{toCIDRs: [{prefixes}]}}]"))
}

fn nanoseconds(target: SocketAddr, repeat: u32) -> Result<f64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let _ = socket.connect(target);
    let started = Instant::now();
    for _ in 0..repeat {
        socket.connect(target).context("a connect failed")?;
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(repeat))
}
