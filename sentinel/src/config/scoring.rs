//! Settings of the score for mining that cannot be read: as typed, and as they hold.

use std::collections::BTreeMap;
use std::time::Duration;

use sentinel_common::verdict::Mode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::file::FindingAction;
use crate::detect::{Settings, TermName, Weights};
use crate::signature::suggest;

/// How often connections are looked at when nothing is said.
const INTERVAL: Duration = Duration::from_secs(10);
/// Looks further apart see no single messages, and closer ones no more than these do.
const INTERVALS: std::ops::RangeInclusive<u64> = 5..=60;

/// As typed; all is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ScoringFile {
    /// `block`, `alert` or `off`.
    pub mode: Option<FindingAction>,
    /// From this score on a connection is told of, 0 to 1.
    #[serde(deserialize_with = "threshold")]
    pub threshold: Option<f64>,
    /// How often connections are looked at, e.g. `10s`.
    #[serde(deserialize_with = "interval")]
    pub interval: Option<Duration>,
    /// Weights of terms by their names; 0 leaves a term out.
    #[serde(deserialize_with = "weights")]
    pub weights: BTreeMap<TermName, f64>,
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
            settings: Settings { threshold: file.threshold.unwrap_or(defaults.threshold), weights },
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
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let seconds = text.strip_suffix('s').and_then(|number| number.trim().parse().ok());
    match seconds {
        Some(seconds) if INTERVALS.contains(&seconds) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(D::Error::custom(format!(
            "\"{text}\" is no interval: write {}s to {}s, e.g. 10s",
            INTERVALS.start(),
            INTERVALS.end()
        ))),
    }
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
