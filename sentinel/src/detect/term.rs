//! One sign of mining: a value between 0 and 1, and in words what it was made of.

use crate::event::word::Words;

/// What a term looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum TermName {
    /// It stays open.
    LongLived,
    /// Little is said on it.
    LowRate,
    /// Messages come one by one, at moments set by chance, and not in bursts or by the clock.
    Periodic,
    /// Messages have the sizes of shares, replies and jobs.
    RecordSizes,
    /// Where it leads.
    Destination,
    /// What name it was opened by.
    Names,
    /// How busy the workload keeps the processor.
    Cpu,
    /// What kind of file the program is.
    Binary,
    /// It began like stratum V2's encrypted handshake.
    Noise,
}

impl TermName {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// The name in events and in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LongLived => "longLived",
            Self::LowRate => "lowRate",
            Self::Periodic => "periodic",
            Self::RecordSizes => "recordSizes",
            Self::Destination => "destination",
            Self::Names => "names",
            Self::Cpu => "cpu",
            Self::Binary => "binary",
            Self::Noise => "noise",
        }
    }
}

impl TermName {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::LongLived,
        Self::LowRate,
        Self::Periodic,
        Self::RecordSizes,
        Self::Destination,
        Self::Names,
        Self::Cpu,
        Self::Binary,
        Self::Noise,
    ];
}

impl Words for TermName {
    const NAME: &'static str = "TermName";
    const ALL: &'static [Self] = Self::ALL;
    fn word(self) -> &'static str {
        self.label()
    }
}

/// One term of a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it looks at.
    pub name: TermName,
    /// 0 (nothing speaks for mining) to 1.
    pub value: f64,
    /// How much it counts.
    pub weight: f64,
    /// What it was made of, in words.
    pub detail: String,
}

/// 0 up to `from`, 1 from `to` on, and a straight line between; the other way round where `from` is
/// the larger.
pub(super) fn ramp(value: f64, from: f64, to: f64) -> f64 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

/// 1 between `low` and `high`, and nothing outside `floor` and `ceiling`.
pub(super) fn band(value: f64, floor: f64, low: f64, high: f64, ceiling: f64) -> f64 {
    ramp(value, floor, low).min(ramp(value, ceiling, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_and_bands() {
        assert_eq!(
            [ramp(0.0, 1.0, 3.0), ramp(2.0, 1.0, 3.0), ramp(9.0, 1.0, 3.0)],
            [0.0, 0.5, 1.0]
        );
        assert_eq!(
            [ramp(0.0, 3.0, 1.0), ramp(2.0, 3.0, 1.0), ramp(9.0, 3.0, 1.0)],
            [1.0, 0.5, 0.0]
        );
        let at = |value| band(value, 1.0, 2.0, 4.0, 8.0);
        assert_eq!([at(0.5), at(1.5), at(3.0), at(6.0), at(9.0)], [0.0, 0.5, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn every_name_has_its_own_slot() {
        assert_eq!(TermName::ALL.len(), TermName::COUNT);
        assert!(TermName::ALL.iter().enumerate().all(|(index, name)| *name as usize == index));
    }
}
