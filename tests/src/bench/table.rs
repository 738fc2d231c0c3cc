//! Figures as a table.

use std::fmt::Write as _;

use super::Case;

/// One case's figures.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub name: &'static str,
    /// Median nanoseconds of a run.
    pub nanoseconds: f64,
    /// Median nanoseconds above the empty program of the same round.
    pub above_empty: f64,
    /// Ratio of the two medians.
    pub ratio: f64,
    /// What it may cost above empty.
    pub budget: Option<f64>,
}

impl Row {
    pub(super) fn new(case: &Case, samples: &[(f64, f64)]) -> Self {
        let nanoseconds = median(samples.iter().map(|(taken, _)| *taken));
        let above_empty = median(samples.iter().map(|(_, above)| *above));
        let ratio = nanoseconds / (nanoseconds - above_empty).max(f64::MIN_POSITIVE);
        Self { name: case.name, nanoseconds, above_empty, ratio, budget: case.budget }
    }

    /// What one byte of a message costs: the difference of two rows over the bytes between them.
    pub(super) fn per_byte(short: &Self, long: &Self, bytes: f64) -> Self {
        let above_empty = (long.above_empty - short.above_empty) / bytes;
        let name = "one byte of a message (512 less 64 bytes)";
        Self { name, nanoseconds: above_empty, above_empty, ratio: 1.0, budget: Some(5.0) }
    }

    /// Whether it keeps to its budget.
    #[must_use]
    pub fn within(&self) -> bool {
        self.budget.is_none_or(|budget| self.above_empty <= budget)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) fn render(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:>9}  {:>8}  {:>12}  {:>10}\n",
        "", "ns", "ratio", "above empty", "budget"
    );
    for row in rows {
        let budget = row.budget.map_or_else(|| "-".to_owned(), |budget| format!("{budget:.0}"));
        let mark = if row.within() { "" } else { "  over" };
        let _ = writeln!(
            text,
            "{:width$}  {:>9.1}  {:>8.2}  {:>12.1}  {:>10}{mark}",
            row.name, row.nanoseconds, row.ratio, row.above_empty, budget
        );
    }
    text
}
