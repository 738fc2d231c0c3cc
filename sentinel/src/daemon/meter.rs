//! How busy a suspect keeps the processor: readings of the time used, over some minutes.

/// A measurement rests on no less than this, nanoseconds.
const LEAST: u64 = 1_000_000_000;
/// The older reading is replaced by the newer one after so long, so that a measurement is over one to
/// two of these once there was time for it; nanoseconds.
const WINDOW: u64 = 300_000_000_000;

/// Processor time used up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// Nanoseconds of any clock that only goes forward.
    at: u64,
    time: Time,
}

/// Processor time, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time {
    /// What was used.
    pub(super) used: u64,
    /// How long something waited for a processor.
    pub(super) waited: u64,
}

/// Two readings that a third is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    readings: Option<(Reading, Reading)>,
}

/// What came of a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measured {
    /// Nobody tells how much was used.
    Unknown,
    /// There was no time yet to measure.
    NotYet,
    /// Processors kept busy on average over these seconds, and the part of them spent waiting.
    Busy { cores: f64, seconds: f64, waiting: f64 },
}

impl Meter {
    /// Takes a reading and compares it with the older one.
    pub(super) fn read(&mut self, at: u64, time: Option<Time>) -> Measured {
        let Some(time) = time else { return Measured::Unknown };
        let now = Reading { at, time };
        let (mut older, mut newer) = self.readings.unwrap_or((now, now));
        if at.saturating_sub(newer.at) >= WINDOW {
            (older, newer) = (newer, now);
        }
        self.readings = Some((older, newer));
        let nanoseconds = at.saturating_sub(older.at);
        if nanoseconds < LEAST {
            return Measured::NotYet;
        }
        let seconds = nanoseconds as f64 / 1e9;
        let cores = time.used.saturating_sub(older.time.used) as f64 / 1e6 / seconds;
        let waiting = time.waited.saturating_sub(older.time.waited) as f64 / 1e6 / seconds;
        Measured::Busy { cores, seconds, waiting: waiting.min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn time(used: u64) -> Option<Time> {
        Some(Time { used, waited: used / 5 })
    }

    #[test]
    fn a_measurement_never_lapses_once_it_stands() {
        let mut meter = Meter::default();
        assert_eq!(meter.read(5 * SECOND, None), Measured::Unknown);
        assert_eq!(meter.read(5 * SECOND, time(7)), Measured::NotYet);
        // Half a processor, looked at every ten seconds for an hour.
        for look in 1..360 {
            let at = (5 + look * 10) * SECOND;
            let Measured::Busy { cores, seconds, waiting } =
                meter.read(at, time(7 + look * 5_000_000))
            else {
                panic!("nothing at look {look}");
            };
            assert!((cores - 0.5).abs() < 1e-9, "{cores} at look {look}");
            assert!((waiting - 0.1).abs() < 1e-6, "{waiting} at look {look}");
            assert!(seconds <= 610.0 && (look < 60 || seconds >= 300.0), "{seconds} at {look}");
        }
    }

    #[test]
    fn what_was_busy_long_ago_is_forgotten() {
        let mut meter = Meter::default();
        meter.read(0, time(0));
        meter.read(300 * SECOND, time(300_000_000));
        meter.read(600 * SECOND, time(300_000_000));
        let now = meter.read(900 * SECOND, time(300_000_000));
        assert!(matches!(now, Measured::Busy { cores, .. } if cores == 0.0), "{now:?}");
    }

    #[test]
    fn figures_that_go_backwards_are_nothing() {
        let mut meter = Meter::default();
        meter.read(10 * SECOND, time(1000));
        let back = meter.read(20 * SECOND, time(3));
        assert_eq!(back, Measured::Busy { cores: 0.0, seconds: 10.0, waiting: 0.0 });
        assert_eq!(meter.read(3 * SECOND, time(3)), Measured::NotYet);
    }
}
