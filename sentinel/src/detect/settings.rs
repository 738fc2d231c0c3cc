//! What the score is made with.

use std::time::Duration;

use super::TermName;

/// Threshold, weights and patience.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// From this score on, 0 to 1, a connection is told of.
    pub threshold: f64,
    /// The terms' weights.
    pub weights: Weights,
    /// Nothing is said of a connection before it was watched for so long.
    pub watch_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 0.7, weights: Weights::default(), watch_for: Duration::from_secs(300) }
    }
}

/// How much each term counts; 0 leaves it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights([f64; TermName::COUNT]);

impl Weights {
    /// The weight of a term.
    #[must_use]
    pub fn of(&self, name: TermName) -> f64 {
        self.0.get(name as usize).copied().unwrap_or_default()
    }

    /// The same with another weight for a term; below 0 is 0.
    #[must_use]
    pub fn with(mut self, name: TermName, weight: f64) -> Self {
        if let Some(slot) = self.0.get_mut(name as usize) {
            *slot = weight.max(0.0);
        }
        self
    }
}

/// Of the three signs that count most (when it speaks, how much it says, whether the workload is busy)
/// two alone stay below the default threshold.
impl Default for Weights {
    fn default() -> Self {
        let mut weights = Self([0.0; TermName::COUNT]);
        for name in TermName::ALL {
            let weight = match name {
                TermName::LongLived | TermName::LowRate => 0.25,
                TermName::Periodic | TermName::RecordSizes | TermName::Cpu => 5.0,
                TermName::Destination | TermName::Names => 2.0,
                TermName::Binary => 1.5,
                TermName::Noise => 4.0,
            };
            weights = weights.with(*name, weight);
        }
        weights
    }
}
