//! The two lines that everyone looks for on standard error: the first and the last.

use super::agent::{Agent, Summary};

/// Says that everything is attached.
pub(super) fn ready(agent: &Agent) {
    let status = agent.status();
    let metrics = agent
        .address()
        .map_or_else(String::new, |address| format!(", metrics on http://{address}/metrics"));
    eprintln!(
        "sentinel: ready: {} programs on {} ({}, generation {}){metrics}",
        status.programs.len(),
        status.cgroup,
        status.mode,
        status.generation,
    );
    if status.mode == "audit" {
        eprintln!(
            "sentinel: audit only: nothing is dropped; `--mode enforce` cuts mining sessions"
        );
    }
}

/// Says what was done.
pub(super) fn stopped(summary: &Summary) {
    let packets = &summary.status.packets;
    let count = |verdict: &str| -> u64 {
        packets.iter().filter(|one| one.verdict == verdict).map(|one| one.count).sum()
    };
    let lost: u64 = summary.status.losses.get("event").copied().unwrap_or_default();
    eprintln!(
        "sentinel: stopped: packets and calls: {} blocked, {} audited, {} allowed; {lost} events lost",
        count("blocked"),
        count("audited"),
        count("allowed"),
    );
    if let Some(pinned) = &summary.status.pinned {
        eprintln!(
            "sentinel: what was enforced stays in force, pinned in {0}: the next agent takes it over, `sentinel unpin {0}` ends it",
            pinned.folder.display()
        );
    }
}
