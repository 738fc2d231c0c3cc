//! All ways of the table at once: at each place one process tries them and one capture says what
//! arrived, which takes seconds where an attempt of its own for each takes minutes.
//!
//! Markers tell the ways apart. What has none, such as a SYN, tells only that *something* got out:
//! then each way is tried alone.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::bypass::{self, Family, Layer, Mirror, Report, Sweep, Way};
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::process::{Placement, lab_program};
use sentinel_tests::sniffer::Sniffer;

use super::place::{
    Arrival, BAD, BARE, GOOD, GUARDED, MARK, Place, held, of, seen, sightings, whole,
};

/// An emulated machine is slow, and ways that hang are given up one after another.
const WITHIN: Duration = Duration::from_secs(180);

/// What became of every way, at every place.
pub struct Table {
    pub rows: Vec<Row>,
    /// Frames to the denied addresses, or with a marker, that no excuse is known for.
    pub strays: usize,
}

/// A way in one family. Of an [`Arrival`] here only the marker and the protocol are this way's own.
pub struct Row {
    pub way: Way,
    pub family: Family,
    /// Without an agent, to the denied address.
    pub before: Arrival,
    /// The same under the allowlist.
    pub denied: Arrival,
    /// To an allowed address under the allowlist.
    pub allowed: Arrival,
}

/// Each way in each of its families.
pub fn tries() -> Vec<(Way, Family)> {
    let each = |way: Way| way.families.iter().map(move |&family| (way, family));
    bypass::WAYS.into_iter().flat_map(each).collect()
}

/// The table, filled when it is first asked for.
pub fn table() -> Result<&'static Table> {
    static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
    let table = TABLE.get_or_init(|| fill().map_err(|error| format!("{error:#}")));
    table.as_ref().map_err(|error| anyhow::anyhow!("the ways were not tried: {error}"))
}

impl Table {
    /// The row of a way in a family.
    pub fn row(&self, way: &Way, family: Family) -> Result<&Row> {
        let mut rows = self.rows.iter();
        let row = rows.find(|row| row.way.name == way.name && row.family == family);
        row.context("the way was not tried")
    }
}

fn fill() -> Result<Table> {
    let tries = tries();
    let bare = held(&BARE, Place::bare)?;
    let before = of(&bare)?.sweep(&tries, BAD)?;
    drop(bare);
    let guarded = held(&GUARDED, Place::guarded)?;
    let place = of(&guarded)?;
    let denied = place.sweep(&tries, BAD)?;
    // To the allowed address goes much; that nothing does is seen where nobody else sends.
    let is_refused = |(way, _): &(Way, Family)| way.mirror == Mirror::Refused;
    let (refused, arrive): (Vec<_>, Vec<_>) = tries.iter().copied().partition(is_refused);
    let mut refused = place.sweep(&refused, GOOD)?.arrivals.into_iter();
    let mut arrive = place.sweep(&arrive, GOOD)?.arrivals.into_iter();
    let mut rows = Vec::new();
    let tried = tries.into_iter().zip(before.arrivals).zip(denied.arrivals);
    for (((way, family), before), denied) in tried {
        let allowed = match way.mirror {
            Mirror::Refused => refused.next(),
            Mirror::Arrives => arrive.next(),
        };
        let allowed = allowed.context("a way was not tried to the allowed address")?;
        rows.push(Row { way, family, before, denied, allowed });
    }
    Ok(Table { rows, strays: denied.strays })
}

/// What the peer's side saw of a sweep.
pub struct Swept {
    pub arrivals: Vec<Arrival>,
    pub strays: usize,
}

impl Place {
    /// A workload tries all of these to an address of the peer's, one after another.
    fn sweep(&self, tries: &[(Way, Family)], host: u8) -> Result<Swept> {
        self.sweep_from(&self.workload, tries, host)
    }

    /// The same by whoever is in this cgroup.
    pub fn sweep_from(
        &self,
        cgroup: &TestCgroup,
        tries: &[(Way, Family)],
        host: u8,
    ) -> Result<Swept> {
        let attempt = |(way, family): &(Way, Family)| self.options(way, *family, host);
        let attempts: Vec<_> = tries.iter().map(attempt).collect();
        let sniffer = Sniffer::start(&self.lab)?;
        let mut command = Command::new(lab_program()?);
        command.arg("bypass-sweep").args(Sweep::new(&attempts)?.into_args());
        let placement = Placement::default().cgroup(cgroup).netns(self.lab.node());
        let reports: Vec<Report> = placement.spawn_reporting(command)?.report(WITHIN)?;
        ensure!(reports.len() == tries.len(), "{} reports of {}", reports.len(), tries.len());
        let capture = whole(sniffer.finish()?)?;
        let frames = sightings(&capture);
        let tried = tries.iter().zip(&attempts).zip(reports);
        let arrivals = tried.map(|(((way, _), attempt), report)| Arrival {
            error: report.error,
            ..seen(&frames, attempt.target.ip(), &attempt.marker, way.witness)
        });
        let arrivals = arrivals.collect();
        let excused = tries.iter().zip(&attempts).filter(|((way, _), _)| self.excuses(way));
        let excused: Vec<&str> = excused.map(|(_, attempt)| attempt.marker.as_str()).collect();
        let targets = [Family::V4, Family::V6].map(|family| self.address(family, host));
        let strays = frames.iter().filter(|frame| {
            let counts = frame.has(MARK) || targets.iter().any(|&target| frame.went_to(target));
            counts && !excused.iter().any(|marker| frame.has(marker))
        });
        Ok(Swept { arrivals, strays: strays.count() })
    }

    /// Whether it is known that this way gets out here.
    pub fn excuses(&self, way: &Way) -> bool {
        way.layer == Layer::Wire && !self.has_backstop
    }
}
