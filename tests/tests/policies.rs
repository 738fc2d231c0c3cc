//! What policies mean, what `explain` says of them, and what the kernel does: the same, for policies and
//! packets at random.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{CgroupSkb, TestRun as _, TestRunOptions};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel::policy::{Binder, Bound, Numbers, PolicySet, Subject, mapped};
use sentinel::watch::cgroupfs::Tree;
use sentinel_common::config::Modes;
use sentinel_common::flow::Direction;
use sentinel_common::policy::{Request, TCP, source};
use sentinel_common::verdict::{Mode, Verdict};
use sentinel_tests::packets::{Datagram, framed};
use sentinel_tests::policy::{Asked, Expected, compile, expected, flow, policies, text};
use sentinel_tests::random::Random;

const SEED: u64 = 0x5eed_0011;
/// Sets of policies, and packets for each: 100,000 in all, fewer where a machine is emulated.
const SETS: u64 = 400;
const SETS_EMULATED: u64 = 40;
const FLOWS: usize = 250;
/// The workload that is asked about; this process stands in for it.
const PATH: &str = "/work.slice/one.service";

pub fn meaning_explain_and_kernel_agree() -> Result<()> {
    let mut kernel = Kernel::load()?;
    for program in ["egress", "ingress"] {
        kernel.load_program(program)?;
    }
    let id = own_cgroup()?;
    let sets = if std::env::var_os("SENTINEL_VM").is_some() { SETS_EMULATED } else { SETS };
    let mut numbers = Numbers::default();
    let mut seen: BTreeMap<Verdict, usize> = BTreeMap::new();
    for number in 0..sets {
        let mut random = Random::of(SEED, number);
        let written = policies(&mut random);
        let text = text(&written);
        let set = compile(text.clone()).with_context(|| text.clone())?;
        let binder = Binder::new(numbers.assign(&set), Mode::Enforce, None);
        let bound = Bound::node(&set)
            .below(&set, Subject { path: "/work.slice", pod: None })
            .below(&set, Subject { path: PATH, pod: None });
        let (binding, left_out) = binder.binding(&set, &bound, PATH);
        ensure!(left_out == 0, "no room");
        let modes = Modes { egress: set.mode(Direction::Egress), ..Modes::OFF };
        let image = PolicyImage::new(modes, &set, &binder, Mode::Enforce, [(id, binding)].into());
        kernel.set_policy(&Arc::new(image))?;
        for _ in 0..FLOWS {
            let asked = flow(&mut random);
            let meant = expected(&written, PATH, &asked);
            let said = explained(&set, &bound, &asked);
            ensure!(said == meant, "{asked:?}: meant {meant:?}, explained {said:?}\n{text}");
            let done = judged(&mut kernel, &set, &binder, &asked)?;
            // What is allowed is not told of.
            let told = match meant.verdict {
                Verdict::Allowed => Expected { by: None, ..meant },
                _ => meant,
            };
            ensure!(done == told, "{asked:?}: meant {told:?}, the kernel did {done:?}\n{text}");
            *seen.entry(told.verdict).or_default() += 1;
        }
    }
    let least = seen.values().min().copied().unwrap_or_default();
    ensure!(seen.len() == 3 && least > FLOWS, "too much alike: {seen:?}");
    Ok(())
}

fn own_cgroup() -> Result<u64> {
    let tree = Tree::mounted().context("there is no cgroup2 hierarchy")?;
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).context("no cgroup2")?;
    Ok(std::fs::metadata(tree.folder(path))?.ino())
}

fn named(
    set: &PolicySet,
    place: usize,
    rule: u16,
) -> Option<(String, Option<(&'static str, usize)>)> {
    let policy = set.policies.get(place)?;
    let rule = policy.rule(rule).map(|rule| (rule.list, rule.index));
    Some((policy.name.to_string(), rule))
}

fn explained(set: &PolicySet, bound: &Bound, asked: &Asked) -> Expected {
    let Asked { direction, remote, protocol, port } = *asked;
    let request = Request { remote: mapped(remote), protocol, port, icmp_type: 0 };
    let judged = bound.judge(set, Mode::Enforce, direction, &request, None);
    let by = judged.policy.and_then(|place| named(set, place, judged.rule));
    Expected { verdict: judged.decision.verdict, by }
}

/// What the hook does with a packet, and what it tells.
fn judged(
    kernel: &mut Kernel,
    set: &PolicySet,
    binder: &Binder,
    asked: &Asked,
) -> Result<Expected> {
    let name = match asked.direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    };
    let frame = framed(&packet(asked));
    let program = kernel.ebpf().program(name).context("no such program")?;
    let program: &CgroupSkb = program.try_into()?;
    let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
    let passed = program.test_run(options)?.return_value == 1;
    let events = kernel.drain()?;
    let Some(event) = events.first() else {
        ensure!(passed, "dropped without a word");
        return Ok(Expected { verdict: Verdict::Allowed, by: None });
    };
    ensure!(events.len() == 1, "{} events of one packet", events.len());
    let event = sentinel::decode::decode(event)?;
    ensure!((event.verdict == Verdict::Blocked) != passed, "{event:?}, passed: {passed}");
    let word = event.rule.context("an event without a rule")?;
    let place = binder.numbers().iter().position(|number| source(*number, 0) == word & !0xffff);
    let by = place.and_then(|place| named(set, place, word as u16));
    Ok(Expected { verdict: event.verdict, by })
}

fn packet(asked: &Asked) -> Vec<u8> {
    let Asked { direction, remote, protocol, port } = *asked;
    let own: IpAddr = if remote.is_ipv4() {
        IpAddr::from([192, 0, 2, 7])
    } else {
        "2001:db8:ffff::7".parse().unwrap_or(remote)
    };
    let (from, to) = match direction {
        Direction::Egress => (own, remote),
        Direction::Ingress => (remote, own),
    };
    let mut payload = vec![0; 24];
    if let (Some(port), [_, _, high, low, ..]) = (port, payload.as_mut_slice()) {
        [*high, *low] = port.to_be_bytes();
    }
    if let (TCP, [.., offset, flags, _, _, _, _, _, _, _, _, _, _]) =
        (protocol, payload.as_mut_slice())
    {
        (*offset, *flags) = (5 << 4, 2);
    }
    Datagram { from, to, protocol, is_fragment: port.is_none(), payload: &payload }.bytes()
}
