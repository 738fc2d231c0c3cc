//! Settings of the score for mining that cannot be read: as typed, and as they hold.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use sentinel_common::verdict::Mode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::file::FindingAction;
use crate::detect::{KEPT, Settings, TermName, Weights};
use crate::signature::suggest;

/// How often connections are looked at when nothing is said.
const INTERVAL: Duration = Duration::from_secs(10);
/// Looks further apart see no single messages. Each lists every TCP socket of every network namespace:
/// closer ones cost that, and see sooner what there is to see.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(60);
/// How long a connection can be wanted to be watched. A score of a few seconds rests on few messages.
const WATCHES: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);

/// As typed; all is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ScoringFile {
    /// `block`, `alert` or `off`.
    pub mode: Option<FindingAction>,
    /// From this score on a connection is told of, 0 to 1.
    #[serde(deserialize_with = "threshold")]
    pub threshold: Option<f64>,
    /// How often connections are looked at, `250ms` to `60s`.
    #[serde(deserialize_with = "interval")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub interval: Option<Duration>,
    /// Nothing is said of a connection before it was watched for so long, `5s` to `60m`; nor before
    /// 16 looks and 8 messages.
    #[serde(deserialize_with = "watch_for")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub watch_for: Option<Duration>,
    /// Weights of terms by their names; 0 leaves a term out.
    #[serde(deserialize_with = "weights")]
    #[cfg_attr(test, schemars(with = "BTreeMap<String, f64>"))]
    pub weights: BTreeMap<TermName, f64>,
}

/// Reads the settings and refuses those that leave the score with less than it is to watch: it rests on
/// the last [`KEPT`] looks.
pub(super) fn consistent<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ScoringFile, D::Error> {
    let file = ScoringFile::deserialize(deserializer)?;
    let Scoring { settings, interval, .. } = Scoring::new(None, &file);
    let looks = u32::try_from(KEPT).unwrap_or(u32::MAX);
    if interval * looks >= settings.watch_for {
        return Ok(file);
    }
    Err(D::Error::custom(format!(
        "the last {KEPT} looks are kept, which is less than watchFor: write an interval of {}s or more, or watchFor {}s or less",
        settings.watch_for.as_secs().div_ceil(u64::from(looks)),
        (interval * looks).as_secs()
    )))
}

/// As they hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoring {
    /// What a connection that reaches the threshold leads to.
    pub mode: Mode,
    /// Threshold and weights.
    pub settings: Settings,
    /// How often connections are looked at.
    pub interval: Duration,
}

impl Scoring {
    /// What was typed over the defaults.
    #[must_use]
    pub fn new(typed: Option<FindingAction>, file: &ScoringFile) -> Self {
        let defaults = Settings::default();
        let weights = file.weights.iter();
        let weights =
            weights.fold(Weights::default(), |all, (name, weight)| all.with(*name, *weight));
        Self {
            mode: typed.or(file.mode).unwrap_or_default().mode(),
            settings: Settings {
                threshold: file.threshold.unwrap_or(defaults.threshold),
                weights,
                watch_for: file.watch_for.unwrap_or(defaults.watch_for),
            },
            interval: file.interval.unwrap_or(INTERVAL),
        }
    }
}

fn threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let Some(value) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if (0.0..=1.0).contains(&value) {
        return Ok(Some(value));
    }
    Err(D::Error::custom(format!(
        "the threshold {value} is none: write a number from 0 to 1, e.g. 0.7"
    )))
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer, INTERVALS, "no interval: write 250ms to 60s, e.g. 10s")
}

fn watch_for<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer, WATCHES, "no time to watch for: write 5s to 60m, e.g. 300s")
}

/// A whole number of `ms`, `s` or `m`, within a range.
fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: RangeInclusive<Duration>,
    mend: &str,
) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let parsed = units.iter().find_map(|(unit, milliseconds)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*milliseconds).map(Duration::from_millis)
    });
    let within = parsed.filter(|time| range.contains(time));
    within.map(Some).ok_or_else(|| D::Error::custom(format!("\"{text}\" is {mend}")))
}

fn weights<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<TermName, f64>, D::Error> {
    let typed = BTreeMap::<String, f64>::deserialize(deserializer)?;
    let mut weights = BTreeMap::new();
    for (name, weight) in typed {
        let known = TermName::ALL.iter().find(|term| term.label() == name);
        let Some(term) = known else {
            let labels = TermName::ALL.iter().map(|term| term.label());
            let hint = suggest::clause(&name, labels.clone());
            let all: Vec<&str> = labels.collect();
            let message = format!("unknown term \"{name}\"{hint}; known are {}", all.join(", "));
            return Err(D::Error::custom(message));
        };
        if !(0.0..=100.0).contains(&weight) {
            return Err(D::Error::custom(format!(
                "the weight {weight} of {name} is none: write a number from 0 to 100"
            )));
        }
        weights.insert(*term, weight);
    }
    Ok(weights)
}
