//! The agent's journal, read as anyone else would: one JSON object a line.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::signals::Signals;

/// Waits for the blocked stratum event of the connection from this port; of the newest one if the
/// port is not known.
pub(super) fn wait_blocked(
    journal: &Path,
    port: Option<u16>,
    within: Duration,
    signals: &Signals,
) -> Result<Option<Value>> {
    let end = port.map(|port| format!(":{port}")).unwrap_or_default();
    let ours = |event: &Value| {
        ["src", "dst"].iter().any(|side| event[side].as_str().is_some_and(|it| it.ends_with(&end)))
    };
    signals.until(within, || Ok(blocked(journal).into_iter().rev().find(ours)))
}

/// The blocked stratum events so far; a line that is still being written is none yet.
fn blocked(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wanted = |event: &Value| event["kind"] == "stratum" && event["verdict"] == "blocked";
    events.filter(wanted).collect()
}
