//! `sentinel sockets`: asks the running agent which connections are open.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::export::printable;
use crate::status::{StatusError, ask_within, list, plain, word};

/// The agent enters every network namespace and walks `/proc` for the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The columns; numbers stand to the right.
const COLUMNS: [(&str, bool); 9] = [
    ("AGE", true),
    ("PROTO", false),
    ("LOCAL", false),
    ("REMOTE", false),
    ("SENT", true),
    ("RECEIVED", true),
    ("VERDICT", false),
    ("WHO", false),
    ("WORKLOAD", false),
];

type Row = [String; COLUMNS.len()];

/// Asks for the open connections.
///
/// # Errors
/// When no agent answers.
pub fn fetch(state_dir: &Path) -> Result<Value, StatusError> {
    ask_within(state_dir, ("GET /sockets", ""), PATIENCE)
}

/// The connections for people.
#[must_use]
pub fn table(answer: &Value) -> String {
    let connections = list(answer, "connections");
    let header = COLUMNS.map(|(name, _)| name.to_owned());
    let rows: Vec<Row> = std::iter::once(header).chain(connections.iter().map(row)).collect();
    let mut text = lines(&rows);
    let older = connections.iter().filter(|one| is_older(one)).count();
    // Writing to a string does not fail.
    let _ = write!(text, "{} connections", connections.len());
    if older > 0 {
        let started = word(answer, "started");
        let _ = write!(text, ", {older} of them older than the agent (started {started})");
    }
    let more = answer.get("left_out").and_then(Value::as_u64).unwrap_or(0);
    if more > 0 {
        let _ = write!(text, "; {more} more are not shown");
    }
    text.push('\n');
    for why in list(answer, "failed") {
        let why = printable(&plain(why));
        let _ = writeln!(text, "a network namespace could not be looked into: {why}");
    }
    text
}

fn row(one: &Value) -> Row {
    let inbound = one.get("direction").and_then(Value::as_str) == Some("inbound");
    let arrow = if inbound { "<- " } else { "-> " };
    let cells = [
        age(one),
        word(one, "proto"),
        word(one, "src"),
        format!("{arrow}{}", word(one, "dst")),
        bytes(one, "bytes_sent"),
        bytes(one, "bytes_received"),
        verdict(one),
        who(one),
        workload(one),
    ];
    cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { printable(&cell) })
}

fn lines(rows: &[Row]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), (_, to_the_right)) in row.iter().zip(widths).zip(COLUMNS) {
            let _ = if to_the_right {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn is_older(one: &Value) -> bool {
    one.get("older_than_agent").and_then(Value::as_bool).unwrap_or(false)
}

/// `older` is all that is known of what was there first.
fn age(one: &Value) -> String {
    if is_older(one) {
        return "older".to_owned();
    }
    let seconds = one.get("age_at_least_seconds").and_then(Value::as_u64).unwrap_or(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn bytes(one: &Value, key: &str) -> String {
    let Some(bytes) = one.get(key).and_then(Value::as_u64) else { return String::new() };
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, size)| format!("{:.1} {unit}", bytes as f64 / *size as f64),
    )
}

fn verdict(one: &Value) -> String {
    let verdict = word(one, "verdict");
    let reason = word(one, "reason");
    let score = one.get("score").and_then(Value::as_f64);
    let score = score.map_or_else(String::new, |score| format!(", score {score:.2}"));
    if verdict == "allowed" {
        format!("{verdict}{score}")
    } else {
        format!("{verdict} ({reason}{score})")
    }
}

fn who(one: &Value) -> String {
    let Some(process) = one.get("process") else { return String::new() };
    let exe = word(process, "exe");
    let name = if exe.is_empty() { word(process, "comm") } else { exe };
    format!("{name}[{}]", word(process, "pid"))
}

fn workload(one: &Value) -> String {
    let Some(workload) = one.get("workload") else { return String::new() };
    let pod = word(workload, "pod");
    if !pod.is_empty() {
        let names = [word(workload, "namespace"), pod, word(workload, "container_name")];
        let image = word(workload, "image");
        let image = if image.is_empty() { image } else { format!(" ({image})") };
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        return format!("{}{image}", names.join("/"));
    }
    let names = ["unit", "container", "cgroup"].map(|key| word(workload, key));
    let id = || format!("cgroup {}", word(workload, "cgroup_id"));
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_else(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        serde_json::json!({
            "time": "2026-11-23T12:00:00Z", "started": "2026-11-23T11:00:00Z", "left_out": 3,
            "connections": [
                {"src": "10.0.0.1:4000", "dst": "192.0.2.1:443", "proto": "tcp", "direction": "outbound",
                 "older_than_agent": false, "age_at_least_seconds": 3725, "bytes_sent": 1536,
                 "bytes_received": 12, "verdict": "audited", "reason": "encrypted_mining", "score": 0.912,
                 "process": {"pid": 7, "exe": "/tmp/x\u{1b}[31m", "comm": "x"},
                 "workload": {"cgroup": "/a", "cgroup_id": 5}, "cookie": 1},
                {"src": "10.0.0.1:22", "dst": "192.0.2.9:5", "proto": "tcp", "direction": "inbound",
                 "older_than_agent": true, "age_at_least_seconds": 9, "verdict": "allowed",
                 "reason": "unremarkable", "cookie": 2},
            ],
        })
    }

    #[test]
    fn rows_stand_under_their_headers() {
        let text = table(&answer());
        let rows: Vec<&str> = text.lines().collect();
        let at = |name: &str| rows[0].find(name).unwrap();
        assert!(rows[1].starts_with("1h02m  tcp    10.0.0.1:4000  -> 192.0.2.1:443"), "{text}");
        assert!(rows[1][at("VERDICT")..].starts_with("audited (encrypted_mining, score 0.91)"));
        assert!(rows[1][at("WHO")..].starts_with("/tmp/x·[31m[7]"), "no escapes reach a terminal");
        assert!(rows[1].ends_with("/a") && rows[1].contains("1.5 KiB"), "{text}");
        assert!(rows[2].starts_with("older  tcp    10.0.0.1:22    <- 192.0.2.9:5"), "{text}");
        assert!(rows[2][at("VERDICT")..].starts_with("allowed  "), "{text}");
        assert_eq!(
            rows[3],
            "2 connections, 1 of them older than the agent (started 2026-11-23T11:00:00Z); 3 more are not shown"
        );
    }

    #[test]
    fn an_answer_without_anything_is_a_header() {
        let text = table(&Value::Null);
        assert!(text.starts_with("AGE  PROTO") && text.ends_with("\n0 connections\n"), "{text}");
    }

    #[test]
    fn ages_have_two_units() {
        let of = |seconds: u64| age(&serde_json::json!({"age_at_least_seconds": seconds}));
        assert_eq!([of(0), of(59), of(61)], ["0s", "59s", "1m01s"]);
        assert_eq!([of(86_399), of(90_000)], ["23h59m", "1d01h"]);
    }

    #[test]
    fn without_an_agent_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(folder.path()).unwrap_err().to_string();
        assert!(error.contains("sentinel run"), "{error}");
    }
}
