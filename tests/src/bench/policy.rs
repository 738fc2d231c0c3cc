//! `cargo xtask bench policy`: many policies on one node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel::policy::{Binder, Chooser, Numbers, PolicySet};
use sentinel_common::config::Modes;
use sentinel_common::flow::Direction;
use sentinel_common::policy::Binding;
use sentinel_common::verdict::Mode;

use super::connect::nanoseconds;
use super::figure::Figure;
use crate::cgroup::{self, TestCgroup};
use crate::netlab::{Lab, Subnet};
use crate::policy::compile;

/// Workloads that each policy is about.
const WORKLOADS: u32 = 5;
/// Interleaved rounds of connects, and connects in each.
const ROUNDS: usize = 31;
const REPEAT: u32 = 5_000;

/// One policy and its workloads in this benchmark.
fn text(number: u32, prefixes: u32, extra: &str) -> String {
    let [_, _, high, low] = number.to_be_bytes();
    let mut cidrs = String::new();
    for index in 0..prefixes {
        let _ = write!(cidrs, "10.{}.{}.{}/32, ", high ^ 1 ^ (index >> 6) as u8, low, index & 0xff);
    }
    let names: Vec<String> =
        (0..prefixes / 10).map(|index| format!("n{index}.p{number}.example.com")).collect();
    let named = match names.len() {
        0 => String::new(),
        _ => format!("    - toFQDNs: [{}]\n      ports: [{{port: 443}}]\n", names.join(", ")),
    };
    format!(
        "---\napiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: p{number}}}\n\
         spec:\n  workload: {{cgroup: \"/scale.slice/w{number}-*.service\"}}\n  mode: enforce\n  \
         egress:\n    - toCIDRs: [{cidrs}{extra}]\n{named}"
    )
}

/// Ids of workloads that are not there, and of the one that is.
fn bindings(
    chooser: &mut Chooser,
    set: &PolicySet,
    binder: &Binder,
    policies: u32,
    own: u64,
) -> BTreeMap<u64, Binding> {
    chooser.follow(set);
    let mut bindings = BTreeMap::new();
    for number in 0..policies {
        for index in 0..WORKLOADS {
            let path = format!("/scale.slice/w{number}-{index}.service");
            let (binding, _) = binder.binding(set, chooser.choose(set, &path), &path);
            let id = match (number, index) {
                (0, 0) => own,
                _ => 1 << 40 | u64::from(number) << 8 | u64::from(index),
            };
            bindings.insert(id, binding);
        }
    }
    bindings
}

struct Timer(Instant, Vec<Figure>);

impl Timer {
    fn lap(&mut self, name: impl Into<String>, budget: Option<f64>) {
        let value = self.0.elapsed().as_secs_f64() * 1000.0;
        self.1.push(Figure { name: name.into(), value, unit: "ms", budget });
        self.0 = Instant::now();
    }
}

/// Compiles, writes and changes this many policies, and measures `connect(2)` under them.
///
/// # Errors
/// When the programs do not load here, or the policies do not fit.
pub fn run(policies: u32, prefixes: u32) -> Result<Vec<Figure>> {
    let watched = TestCgroup::unique("sentinel-scale")?;
    let bare = TestCgroup::unique("sentinel-scale-bare")?;
    let lab = Lab::with_subnet("sentinel-scale", Subnet::numbered(16))?;
    let network = lab.subnet().cidr4();
    let mut kernel = Kernel::load()?;
    kernel.attach(Some(watched.path()))?;
    let own = fs::metadata(watched.path())?.ino();
    let (mut numbers, mut chooser) = (Numbers::default(), Chooser::default());
    let texts = |changed: &str| -> String {
        (0..policies)
            .map(|number| text(number, prefixes, if number == 0 { changed } else { "" }))
            .collect()
    };
    let mut image = |text: String, timer: &mut Timer, what: &str| -> Result<Arc<PolicyImage>> {
        timer.0 = Instant::now();
        let set = compile(text)?;
        timer.lap(format!("{what}: read and compile"), None);
        let binder = Binder::new(numbers.assign(&set), Mode::Enforce, None);
        let workloads = bindings(&mut chooser, &set, &binder, policies, own);
        timer.lap(format!("{what}: choose for {} workloads", workloads.len()), None);
        let modes =
            Modes { egress: set.mode(Direction::Egress), stratum: Mode::Enforce, ..Modes::OFF };
        let image = PolicyImage::new(modes, &set, &binder, Mode::Enforce, workloads);
        timer.lap(format!("{what}: image of {} prefixes", image.prefixes.len()), None);
        Ok(Arc::new(image))
    };
    let mut timer = Timer(Instant::now(), Vec::new());
    let first = image(texts(&network), &mut timer, "first set")?;
    kernel.set_policy(&first)?;
    timer.lap("first set: written and switched", None);
    kernel.prepare_next()?;
    timer.lap("the other slot made ready, in the background", None);
    let whole = Instant::now();
    let second = image(texts(&format!("{network}, 192.0.2.0/24")), &mut timer, "one rule more")?;
    kernel.set_policy(&second)?;
    timer.lap("one rule more: written and switched", None);
    let seconds = whole.elapsed().as_secs_f64();
    let mut rows = timer.1;
    rows.push(Figure {
        name: "one rule more: altogether".to_owned(),
        value: seconds * 1000.0,
        unit: "ms",
        budget: Some(1000.0),
    });
    let target = SocketAddr::from((lab.subnet().v4(2), 9));
    let alone = image(text(0, 0, &network), &mut Timer(Instant::now(), Vec::new()), "")?;
    let many = connects(&lab, &watched, &bare, target)?;
    kernel.set_policy(&alone)?;
    let one = connects(&lab, &watched, &bare, target)?;
    rows.push(Figure {
        name: format!("connect(2), {policies} policies, above no program"),
        value: many,
        unit: "ns",
        budget: Some(700.0),
    });
    rows.push(Figure {
        name: "connect(2), one policy with one prefix, above no program".to_owned(),
        value: one,
        unit: "ns",
        budget: Some(700.0),
    });
    Ok(rows)
}

/// The median difference between a cgroup with the programs and one without.
fn connects(lab: &Lab, watched: &TestCgroup, bare: &TestCgroup, target: SocketAddr) -> Result<f64> {
    let home = watched.path().parent().context("the cgroup has no parent")?;
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let mut taken = [0.0; 2];
        for (group, taken) in [bare, watched].into_iter().zip(&mut taken) {
            cgroup::join(group.path())?;
            *taken = lab.in_node(|| nanoseconds(target, REPEAT))?;
        }
        let [without, with] = taken;
        samples.push(with - without);
    }
    cgroup::join(home)?;
    samples.sort_by(f64::total_cmp);
    Ok(samples.get(samples.len() / 2).copied().unwrap_or_default())
}
