//! A full ring: what is lost is counted exactly, and denials go on.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel::datapath::{Datapath as _, Kernel};
use sentinel_common::config::Modes;
use sentinel_common::verdict::{Loss, Mode, Reason, Verdict, loss_counter, outcome_counter};
use sentinel_tests::cgroup::{self, TestCgroup};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::policy::node_policy;

use crate::trial;

/// More than the ring holds: 1 MiB of records of 440 bytes each is about 2,400.
const ATTEMPTS: u64 = 6_000;

pub fn trials() -> Vec<Trial> {
    vec![trial("loss/produced_is_delivered_plus_lost", exact)]
}

fn exact() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-loss", Subnet::numbered(14))?;
    let group = TestCgroup::unique("sentinel-loss")?;
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(group.path()))?;
    let modes = Modes { egress: Mode::Enforce, ..Modes::OFF };
    kernel.set_policy(&node_policy(modes, "egress: []")?)?;
    let target = SocketAddr::new(lab.subnet().v4(2).into(), 7001);
    let home = group.path().parent().context("the cgroup has no parent")?.to_path_buf();
    cgroup::join(group.path())?;
    let refused = lab.in_node(|| {
        let attempt = |_: &u64| {
            let error = TcpStream::connect_timeout(&target, Duration::from_millis(100)).err();
            error.and_then(|error| error.raw_os_error()) == Some(1)
        };
        Ok((0..ATTEMPTS).filter(attempt).count() as u64)
    });
    cgroup::join(&home)?;
    let counters = kernel.counters()?;
    let at = |slot: u32| counters.get(slot as usize).copied().unwrap_or(0);
    let denied = at(outcome_counter(Reason::NotAllowlisted, Verdict::Blocked));
    let lost = at(loss_counter(Loss::Event));
    let delivered = kernel.drain()?.len() as u64;
    ensure!(refused? == ATTEMPTS, "not every attempt was refused");
    ensure!(denied == ATTEMPTS, "{denied} denials counted of {ATTEMPTS}");
    ensure!(lost > 0, "the ring never filled: {delivered} delivered");
    ensure!(delivered + lost == ATTEMPTS, "{delivered} delivered + {lost} lost is not {ATTEMPTS}");
    Ok(())
}
