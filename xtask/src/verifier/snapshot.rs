//! The committed table: a line per program, a column per kernel.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::project;
use crate::vm;

/// The verified instructions of each program, as printed: a number, or `-` before Linux 5.16.
pub(super) type Counts = BTreeMap<String, String>;

/// A program that is not loaded on a kernel.
const ABSENT: &str = "absent";

/// A count may grow or shrink by this much before somebody must look at it.
const TOLERANCE_PERCENT: u64 = 10;

/// Reads `program<TAB>count` lines; anything else on a console is no count.
pub(super) fn counts<'a>(lines: impl Iterator<Item = &'a str>) -> Counts {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let (program, count) = (words.next()?, words.next()?);
        let is_count = count == "-" || count.chars().all(|c| c.is_ascii_digit());
        (words.next().is_none() && is_count).then(|| (program.to_owned(), count.to_owned()))
    };
    lines.filter_map(pair).collect()
}

/// The table, by column and program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    columns: BTreeMap<String, Counts>,
}

impl Snapshot {
    /// The committed table; empty when there is none yet.
    pub(super) fn load() -> Result<Self> {
        Ok(Self::parse(&fs::read_to_string(path()).unwrap_or_default()))
    }

    /// Writes the table back.
    pub(super) fn save(&self) -> Result<()> {
        let path = path();
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, self.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').skip(1).collect();
        let mut columns: BTreeMap<String, Counts> = BTreeMap::new();
        for line in lines {
            let mut cells = line.split('\t');
            let program = cells.next().unwrap_or_default();
            for (column, cell) in head.iter().zip(cells).filter(|(_, cell)| *cell != ABSENT) {
                let counts = columns.entry((*column).to_owned()).or_default();
                counts.insert(program.to_owned(), cell.to_owned());
            }
        }
        Self { columns }
    }

    /// What the measurement of one kernel breaks. A host that the table does not know breaks nothing.
    pub(super) fn complaints(&self, column: &str, measured: &Counts) -> Vec<String> {
        let Some(known) = self.columns.get(column) else {
            let matrix = vm::names().contains(&column);
            return if matrix { vec![format!("{column}: no snapshot yet")] } else { Vec::new() };
        };
        let gone = known.keys().filter(|program| !measured.contains_key(*program));
        let mut complaints: Vec<String> =
            gone.map(|program| format!("{column}: {program} is no longer loaded")).collect();
        for (program, now) in measured {
            match known.get(program) {
                None => complaints.push(format!("{column}: {program} is new ({now})")),
                Some(before) if differ(before, now) => {
                    complaints.push(format!("{column}: {program} was {before}, is {now}"));
                }
                Some(_) => {}
            }
        }
        complaints
    }

    /// Takes a measurement; a host's column replaces that of any other host.
    pub(super) fn bless(&mut self, column: &str, counts: Counts) {
        if !vm::names().contains(&column) {
            self.columns.retain(|name, _| vm::names().contains(&name.as_str()));
        }
        self.columns.insert(column.to_owned(), counts);
    }

    fn order(&self) -> Vec<&str> {
        let known = vm::names();
        let hosts = self.columns.keys().map(String::as_str).filter(|name| !known.contains(name));
        let matrix = known.iter().copied().filter(|name| self.columns.contains_key(*name));
        hosts.chain(matrix).collect()
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.order();
        writeln!(f, "program\t{}", order.join("\t"))?;
        let mut programs: Vec<&String> = self.columns.values().flat_map(BTreeMap::keys).collect();
        programs.sort();
        programs.dedup();
        for program in programs {
            let cell = |column: &&str| {
                self.columns
                    .get(*column)
                    .and_then(|counts| counts.get(program))
                    .map_or(ABSENT, String::as_str)
            };
            let cells: Vec<&str> = order.iter().map(cell).collect();
            writeln!(f, "{program}\t{}", cells.join("\t"))?;
        }
        Ok(())
    }
}

fn differ(before: &str, now: &str) -> bool {
    match (before.parse::<u64>(), now.parse::<u64>()) {
        (Ok(before), Ok(now)) => before.abs_diff(now) * 100 > before * TOLERANCE_PERCENT,
        _ => before != now,
    }
}

fn path() -> PathBuf {
    project::root().join("tests/snapshots/verifier.tsv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_survives_a_round_trip() {
        let text = "program\t6.18\t5.10\t6.12\negress\t17796\t-\t17800\nkprobe\tabsent\t-\t90\n";
        assert_eq!(Snapshot::parse(text).to_string(), text);
    }

    #[test]
    fn ten_percent_is_the_border() {
        let snapshot = Snapshot::parse("program\t6.1\negress\t1000\n");
        let measured = |count: &str| counts([format!("egress\t{count}").as_str()].into_iter());
        assert!(snapshot.complaints("6.1", &measured("1100")).is_empty());
        assert_eq!(
            snapshot.complaints("6.1", &measured("1101")),
            ["6.1: egress was 1000, is 1101"]
        );
        assert_eq!(snapshot.complaints("6.1", &measured("899")).len(), 1);
    }

    #[test]
    fn new_and_vanished_programs_and_unknown_kernels_are_told() {
        let snapshot = Snapshot::parse("program\t6.1\negress\t1000\n");
        let measured =
            counts(["ingress\t5", "[ 1.0] a console line", "two words more"].into_iter());
        let complaints = snapshot.complaints("6.1", &measured);
        assert_eq!(complaints, ["6.1: egress is no longer loaded", "6.1: ingress is new (5)"]);
        assert_eq!(snapshot.complaints("7.3", &measured), ["7.3: no snapshot yet"]);
        assert!(snapshot.complaints("6.99", &measured).is_empty());
    }

    #[test]
    fn another_host_takes_the_hosts_column() {
        let mut snapshot = Snapshot::parse("program\t6.18\t6.1\negress\t1\t2\n");
        snapshot.bless("6.19", counts(["egress\t3"].into_iter()));
        assert_eq!(snapshot.to_string(), "program\t6.19\t6.1\negress\t3\t2\n");
    }
}
