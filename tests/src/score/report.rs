//! The outcomes as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use sentinel::detect::Settings;

use super::{KNOWLEDGE, Kind, Outcome, Pattern};

/// One pattern's sessions.
#[derive(Clone, Debug)]
pub struct Row {
    /// The pattern.
    pub pattern: Pattern,
    /// Its sessions.
    pub sessions: usize,
    /// How many of them were told of, for each state of knowledge.
    pub told: [usize; KNOWLEDGE],
    /// The median score, likewise.
    pub median: [f64; KNOWLEDGE],
}

/// One row for each pattern.
#[must_use]
pub fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let threshold = Settings::default().threshold;
    let mut by_pattern: BTreeMap<Pattern, Vec<[f64; KNOWLEDGE]>> = BTreeMap::new();
    for outcome in outcomes {
        by_pattern.entry(outcome.pattern).or_default().push(outcome.scores);
    }
    let row = |(pattern, scores): (Pattern, Vec<[f64; KNOWLEDGE]>)| {
        let column = |index: usize| scores.iter().filter_map(move |row| row.get(index).copied());
        let indices: [usize; KNOWLEDGE] = std::array::from_fn(|index| index);
        Row {
            pattern,
            sessions: scores.len(),
            told: indices.map(|index| column(index).filter(|score| *score >= threshold).count()),
            median: indices.map(|index| median(column(index).collect())),
        }
    };
    by_pattern.into_iter().map(row).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The table, and the sums below it.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let rows = rows(outcomes);
    let mut text = format!(
        "{:<16} {:<10} {:>8}  {:>14} {:>14} {:>14}\n",
        "", "", "sessions", "traffic alone", "idle workload", "busy workload"
    );
    for row in &rows {
        let name = row.pattern.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        let cells = row.told.iter().zip(row.median);
        let cells = cells.map(|(told, median)| format!("{:>14}", format!("{told} ({median:.2})")));
        let cells: Vec<String> = cells.collect();
        let kind = format!("{:?}", row.pattern.kind()).to_lowercase();
        let _ = writeln!(text, "{name:<16} {kind:<10} {:>8}  {}", row.sessions, cells.join(" "));
    }
    for kind in [Kind::Miner, Kind::Evader, Kind::Benign, Kind::Lookalike] {
        let of_kind = || rows.iter().filter(|row| row.pattern.kind() == kind);
        let sessions: usize = of_kind().map(|row| row.sessions).sum();
        if sessions == 0 {
            continue;
        }
        let shares: [String; KNOWLEDGE] = std::array::from_fn(|index| {
            let told: usize = of_kind().filter_map(|row| row.told.get(index)).sum();
            format!("{:>14}", format!("{:.1}%", told as f64 * 100.0 / sessions as f64))
        });
        let kind = format!("{kind:?}").to_lowercase();
        let _ = writeln!(text, "{:<16} {kind:<10} {sessions:>8}  {}", "all", shares.join(" "));
    }
    text
}
