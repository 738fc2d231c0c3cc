//! Every way past an allowlist, to an address that it names and to one that it does not.
//!
//! A way is first tried where no agent is: one that does not work there is skipped with the reason.
//! Then a workload under an enforcing allowlist tries it. A packet socket on the peer's side says
//! what arrived.

mod owner;
mod place;
mod wires;

use anyhow::{Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use sentinel_tests::bypass::{self, Family, Layer, Mirror, Way};

pub use place::strike;
use place::{Arrival, BAD, BARE, GOOD, Place, held};

pub fn trials() -> Vec<Trial> {
    let root = rustix::process::geteuid().is_root();
    // An emulated machine takes a second for each attempt.
    let emulated = std::env::var_os("SENTINEL_VM").is_some();
    let mut trials = Vec::new();
    for way in bypass::all() {
        let some = if emulated { 1 } else { usize::MAX };
        for &family in way.families.iter().take(some) {
            let version = if family == Family::V4 { "v4" } else { "v6" };
            let name = format!("bypass/{}/{version}", way.name);
            let name = if root { name } else { format!("{name} (needs root)") };
            let run =
                move || closed(way, family).map_err(|error| Failed::from(format!("{error:#}")));
            trials.push(Trial::ignorable_test(name, run).with_ignored_flag(!root));
        }
    }
    trials.extend(owner::trials());
    trials.extend(wires::trials());
    trials
}

/// The way is closed to the address that is not allowed, and does not hinder who goes to one that is.
fn closed(way: Way, family: Family) -> Result<Completion> {
    let bare = held(&BARE, Place::bare)?;
    let before = place::of(&bare)?.attempt(&way, family, BAD)?;
    if !before.arrived(&way) {
        let why = before.error.as_deref().unwrap_or("nothing arrived");
        return Ok(Completion::ignored_with(format!("does not work here without an agent: {why}")));
    }
    drop(bare);
    let guarded = held(&place::GUARDED, Place::guarded)?;
    let place = place::of(&guarded)?;
    let denied = place.attempt(&way, family, BAD)?;
    if way.layer == Layer::Wire && !place.has_backstop && denied.leaked() {
        return Ok(Completion::ignored_with("gets out: no program at the host's end of the wire"));
    }
    ensure!(!denied.leaked(), "it got out to the denied address: {denied:?}\n{}", place.log());
    let allowed = place.attempt(&way, family, GOOD)?;
    match way.mirror {
        Mirror::Arrives => ensure!(
            allowed.arrived(&way),
            "it did not reach the allowed address: {allowed:?}\n{}",
            place.log()
        ),
        Mirror::Refused => {
            ensure!(!allowed.leaked(), "nobody may send such a packet, and it got out: {allowed:?}")
        }
    }
    Ok(Completion::Completed)
}

impl Arrival {
    /// Whether it shows the way that this one shows.
    fn arrived(&self, way: &Way) -> bool {
        match way.witness {
            bypass::Witness::Marker => self.marked > 0,
            bypass::Witness::Protocol(_) => self.of_protocol > 0,
        }
    }

    /// Whether anything reached the address, or the marker anybody.
    fn leaked(&self) -> bool {
        self.to_target > 0 || self.marked > 0
    }
}
