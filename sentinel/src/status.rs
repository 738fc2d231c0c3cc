//! `sentinel status`: asks the running agent over its unix socket.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::SOCKET;

/// The agent answers at once or hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read, bytes: that on the open connections.
const ANSWER: u64 = 128 * 1024 * 1024;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody listens.
    #[error(
        "no sentinel runs here ({path}: {error}): start one with `sentinel run`, or name its folder with --state-dir"
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The socket belongs to someone else.
    #[error("{0} may not be opened: ask as the user that runs sentinel, most often root")]
    Denied(PathBuf),
    /// The conversation broke off.
    #[error("the agent did not answer: {0}")]
    Broken(#[from] io::Error),
    /// The answer makes no sense.
    #[error("the agent's answer is not understood: is it of another version?")]
    Foreign,
}

/// Asks for the status.
///
/// # Errors
/// When no agent answers.
pub fn fetch(state_dir: &Path) -> Result<Value, StatusError> {
    ask(state_dir, ("GET /status", ""))
}

/// Asks something else: method and path, and the question's body in JSON.
///
/// # Errors
/// When no agent answers.
pub fn ask<T: DeserializeOwned>(
    state_dir: &Path,
    question: (&str, &str),
) -> Result<T, StatusError> {
    ask_within(state_dir, question, PATIENCE)
}

/// The same of what may take longer.
///
/// # Errors
/// When no agent answers in this time.
pub fn ask_within<T: DeserializeOwned>(
    state_dir: &Path,
    question: (&str, &str),
    patience: Duration,
) -> Result<T, StatusError> {
    let path = state_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => StatusError::Denied(path.clone()),
        _ => StatusError::NotRunning { path: path.clone(), error },
    })?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let head = format!("{} HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n", question.0);
    let asked = question.1;
    let kind = "Content-Type: application/json\r\n";
    write!(stream, "{head}{kind}Content-Length: {}\r\n\r\n{asked}", asked.len())?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    body(&answer).ok_or(StatusError::Foreign)
}

fn body<T: DeserializeOwned>(answer: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    (status == "200").then(|| serde_json::from_str(body).ok())?
}

/// The status for people.
#[must_use]
pub fn table(status: &Value) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<12} {value}");
        }
    };
    let ready = match status.get("not_ready") {
        Some(why) => format!("no: {}", plain(why)),
        None => "yes".to_owned(),
    };
    row("ready", ready);
    row(
        "version",
        format!(
            "{}, pid {}, since {}",
            word(status, "version"),
            word(status, "pid"),
            word(status, "started")
        ),
    );
    row("mode", modes(status));
    row("policy", policy(status));
    row("problem", word(status, "policy_error"));
    row("signatures", signatures(status));
    row("problem", word(status, "signature_error"));
    for one in list(status, "audited") {
        row("audit", audited(one));
    }
    for one in list(status, "feeds") {
        row("feed", feed(one));
    }
    row("cgroup", word(status, "cgroup"));
    for program in list(status, "programs") {
        row(
            "program",
            format!(
                "{} on {} {}",
                word(program, "program"),
                word(program, "target"),
                word(program, "note")
            ),
        );
    }
    row("pinned", pinned(status));
    row("at start", at_start(status));
    for packets in list(status, "packets") {
        row(
            "packets",
            format!(
                "{} {} ({})",
                word(packets, "count"),
                word(packets, "verdict"),
                word(packets, "reason")
            ),
        );
    }
    for (kind, count) in status.get("losses").and_then(Value::as_object).into_iter().flatten() {
        row("lost", format!("{} ({kind})", plain(count)));
    }
    text
}

fn modes(status: &Value) -> String {
    format!(
        "{} (stratum {}, egress {}, names {}, encrypted mining {})",
        word(status, "mode"),
        word(status, "stratum"),
        word(status, "egress"),
        word(status, "names"),
        word(status, "encrypted_mining")
    )
}

/// Empty where everything goes with the agent.
fn pinned(status: &Value) -> String {
    let Some(pinned) = status.get("pinned") else { return String::new() };
    let since = pinned.get("since").and_then(Value::as_u64).unwrap_or_default();
    let since = rfc3339(i128::from(since) * 1_000_000_000);
    let whose = if word(pinned, "taken_over") == "true" { ", taken over" } else { "" };
    format!("in {} since {since}{whose}: stays when the agent goes", word(pinned, "folder"))
}

/// Empty until it has been looked at.
fn at_start(status: &Value) -> String {
    let Some(found) = status.get("at_start") else { return String::new() };
    format!(
        "{} connections to {} addresses by {} processes; {} not attributed, {} not allowed, {} read on",
        word(found, "connections"),
        word(found, "addresses"),
        word(found, "processes"),
        word(found, "unattributed"),
        word(found, "not_allowed"),
        word(found, "resumed"),
    )
}

fn policy(status: &Value) -> String {
    let files: Vec<String> = list(status, "policies").iter().map(plain).collect();
    let files = if files.is_empty() { "no policy files".to_owned() } else { files.join(", ") };
    format!(
        "generation {}, {files}, {} prefixes",
        word(status, "generation"),
        word(status, "prefixes")
    )
}

fn audited(policy: &Value) -> String {
    let last = policy.get("last").map_or_else(String::new, |last| {
        format!(
            ", last {} {} port {} of {}",
            word(last, "protocol"),
            word(last, "address"),
            word(last, "port"),
            word(last, "workload"),
        )
    });
    format!(
        "{} would have cut {} times since {}{last}",
        word(policy, "policy"),
        word(policy, "hits"),
        word(policy, "since"),
    )
}

fn feed(feed: &Value) -> String {
    let updated = word(feed, "updated");
    let updated = if updated.is_empty() { updated } else { format!(", updated {updated}") };
    format!(
        "{} ({}): {} domains, {} addresses, {} prefixes{updated}",
        word(feed, "name"),
        word(feed, "file"),
        word(feed, "domains"),
        word(feed, "addresses"),
        word(feed, "prefixes"),
    )
}

fn signatures(status: &Value) -> String {
    let Some(set) = status.get("signatures") else { return String::new() };
    let files: Vec<String> = list(set, "files").iter().map(plain).collect();
    let files = if files.is_empty() { "no files of yours".to_owned() } else { files.join(", ") };
    format!(
        "set {} ({}), {files}, {} rules of {} dialects, {} states",
        word(set, "set"),
        word(set, "fingerprint"),
        word(set, "rules"),
        word(set, "dialects"),
        word(set, "states")
    )
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn word(value: &Value, key: &str) -> String {
    value.get(key).map(plain).unwrap_or_default()
}

pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_is_taken() {
        let body = body::<Value>;
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"mode\":\"audit\"}").unwrap()["mode"],
            "audit"
        );
        assert!(body(b"HTTP/1.1 404 Not Found\r\n\r\n{}").is_none());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n{\"mode\":").is_none());
        assert!(body(b"\xff").is_none());
    }

    #[test]
    fn feeds_are_shown_with_their_age() {
        let feed = serde_json::json!({"name": "pools", "file": "built-in", "updated": "2026-11-23",
            "domains": 200, "addresses": 1, "prefixes": 0});
        let text = table(&serde_json::json!({"feeds": [feed]}));
        let row = "feed         pools (built-in): 200 domains, 1 addresses, 0 prefixes, updated 2026-11-23\n";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn whatever_is_missing_is_left_out() {
        let text = table(&serde_json::json!({"mode": "audit", "losses": {"event": 3}}));
        assert!(text.contains("lost         3 (event)\n"), "{text}");
        assert!(!text.contains("problem") && !text.contains("at start"));
        let found = serde_json::json!({"at_start": {"connections": 42, "addresses": 17}});
        assert!(table(&found).contains("at start     42 connections to 17 addresses"));
    }

    #[test]
    fn without_an_agent_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(folder.path()).unwrap_err().to_string();
        assert!(error.contains("sentinel run"), "{error}");
    }
}
