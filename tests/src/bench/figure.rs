//! A benchmark's figures and what they may be, as an aligned table.

use std::fmt::Write as _;

/// A figure, and what it may be. Without a unit it is the heading of those that follow.
#[derive(Clone, Debug)]
pub struct Figure {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) budget: Option<f64>,
}

impl Figure {
    /// Whether it is more than it may be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.value > budget)
    }
}

/// The figures as an aligned table.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let Figure { name, value, unit, budget } = figure;
        // Writing to a string does not fail.
        if unit.is_empty() {
            let _ = writeln!(text, "{name}");
            continue;
        }
        let budget = budget.map_or(String::new(), |budget| format!("  of {budget} {unit}"));
        let word = if figure.is_over() { "  OVER" } else { "" };
        let _ = writeln!(text, "{name:<66} {value:>12.1} {unit}{budget}{word}");
    }
    text
}
