//! Every way past an allowlist, to an address that it names and to one that it does not.
//!
//! A way is first tried where no agent is: one that the kernel does not have is skipped by name, with
//! what the kernel said. Then a workload under an enforcing allowlist tries it. A packet socket on the
//! peer's side says what arrived.

mod home;
mod older;
mod owner;
mod place;
mod table;
mod wires;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use sentinel_tests::bypass::{self, Family, Mirror, Way};

use place::{Arrival, BAD, BARE, GOOD, GUARDED, Place, held};
use table::table;

use crate::trial;

/// What kernels say of what they do not have.
const LACKS: [&str; 8] = [
    "EPROTONOSUPPORT",
    "EAFNOSUPPORT",
    "ESOCKTNOSUPPORT",
    "ENOPROTOOPT",
    "EOPNOTSUPP",
    "ENOSYS",
    "ENODEV",
    "ENOENT",
];

pub fn trials() -> Vec<Trial> {
    let root = rustix::process::geteuid().is_root();
    let mut trials = Vec::new();
    for (way, family) in table::tries() {
        let version = if family == Family::V4 { "v4" } else { "v6" };
        let name = format!("bypass/{}/{version}", way.name);
        let name = if root { name } else { format!("{name} (needs root)") };
        let run = move || closed(way, family).map_err(|error| Failed::from(format!("{error:#}")));
        trials.push(Trial::ignorable_test(name, run).with_ignored_flag(!root));
    }
    trials.push(trial("bypass/all_of_them_together", together));
    trials.extend(owner::trials());
    trials.extend(older::trials());
    trials.extend(wires::trials());
    trials.extend(home::trials());
    trials
}

/// Takes the places down.
pub fn strike() {
    home::strike();
    place::strike();
}

/// The way is closed to the address that is not allowed, and does not hinder who goes to one that is.
fn closed(way: Way, family: Family) -> Result<Completion> {
    let table = table()?;
    let row = table.row(&way, family)?;
    if !row.before.arrived(&way) {
        let bare = held(&BARE, Place::bare)?;
        let alone = place::of(&bare)?.attempt(&way, family, BAD)?;
        if !alone.arrived(&way) {
            return lacking(&alone);
        }
    }
    let guarded = held(&GUARDED, Place::guarded)?;
    let place = place::of(&guarded)?;
    if row.denied.leaked() {
        let alone = place.attempt(&way, family, BAD)?;
        let leaked = row.denied.marked > 0 || alone.leaked();
        if leaked && place.excuses(&way) {
            return Ok(Completion::ignored_with(
                "gets out: no program at the host's end of the wire",
            ));
        }
        let both = (&row.denied, alone);
        ensure!(!leaked, "it got out to the denied address: {both:?}\n{}", place.log());
    }
    match way.mirror {
        Mirror::Arrives if row.allowed.arrived(&way) => {}
        Mirror::Arrives => {
            let alone = place.attempt(&way, family, GOOD)?;
            let both = (&row.allowed, &alone);
            let reached = alone.arrived(&way);
            ensure!(reached, "it did not reach the allowed address: {both:?}\n{}", place.log());
        }
        Mirror::Refused if row.allowed.leaked() => {
            let alone = place.attempt(&way, family, GOOD)?;
            let leaked = row.allowed.marked > 0 || alone.leaked();
            let both = (&row.allowed, alone);
            ensure!(!leaked, "nobody may send such a packet, and it got out: {both:?}");
        }
        Mirror::Refused => {}
    }
    Ok(Completion::Completed)
}

/// What does not arrive without an agent proves nothing, unless the kernel says that it has no such
/// way.
fn lacking(alone: &Arrival) -> Result<Completion> {
    let error = alone.error.as_deref();
    let error = error.context("without an agent nothing arrived, and the kernel says no error")?;
    ensure!(LACKS.contains(&error), "it does not work without an agent: {error}");
    Ok(Completion::ignored_with(format!("this kernel has no such way: {error} without an agent")))
}

/// Of all ways together, one after another, nothing reached the denied addresses, late frames and
/// those without a marker included.
fn together() -> Result<()> {
    let table = table()?;
    let known: Vec<_> = table.rows.iter().filter(|row| row.denied.marked > 0).collect();
    let names: Vec<_> = known.iter().map(|row| (row.way.name, row.family)).collect();
    ensure!(table.strays == 0, "{} frames got out; marked ones by {names:?}", table.strays);
    Ok(())
}

impl Arrival {
    /// Whether it shows the way that this one shows.
    fn arrived(&self, way: &Way) -> bool {
        match way.witness {
            bypass::Witness::Marker => self.marked > 0,
            bypass::Witness::Protocol(_) | bypass::Witness::Port(..) => self.shown > 0,
        }
    }

    /// Whether anything reached the address, or the marker anybody.
    fn leaked(&self) -> bool {
        self.to_target > 0 || self.marked > 0
    }
}
