//! `sentinel status`: asks the running agent over its unix socket.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::SOCKET;
use crate::engine::rfc3339;

/// The agent answers at once or hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Policies that the table lists.
const POLICIES: usize = 20;
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
    let mut rows = Rows(String::new());
    settings(status, &mut rows);
    attached(status, &mut rows);
    counted(status, &mut rows);
    rows.0
}

struct Rows(String);

impl Rows {
    /// Nothing to say is no row.
    fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(self.0, "{name:<12} {value}");
        }
    }

    fn each(&mut self, name: &str, ones: &[Value], words: impl Fn(&Value) -> String) {
        for one in ones {
            self.add(name, &words(one));
        }
    }
}

/// What is in force.
fn settings(status: &Value, rows: &mut Rows) {
    let ready = match status.get("not_ready") {
        Some(why) => format!("no: {}", plain(why)),
        None => "yes".to_owned(),
    };
    rows.add("ready", &ready);
    let [version, pid, started] = ["version", "pid", "started"].map(|key| word(status, key));
    rows.add("version", &format!("{version}, pid {pid}, since {started}"));
    rows.add("mode", &modes(status));
    rows.add("policy", &policy(status));
    let policies = list(status, "in_force");
    let (first, rest) = policies.split_at(policies.len().min(POLICIES));
    rows.each("", first, in_force);
    if !rest.is_empty() {
        rows.add("", &format!("and {} more: --format json lists all", rest.len()));
    }
    rows.add("problem", &word(status, "policy_error"));
    rows.each("warning", list(status, "warnings"), plain);
    rows.add("signatures", &signatures(status));
    rows.add("problem", &word(status, "signature_error"));
    rows.each("audit", list(status, "audited"), audited);
    rows.each("feed", list(status, "feeds"), feed);
    rows.add("names", &learned(status));
}

/// Where it counts, and whom it knows.
fn attached(status: &Value, rows: &mut Rows) {
    rows.add("cgroup", &word(status, "cgroup"));
    rows.each("program", list(status, "programs"), |program| {
        let [name, target, note] = ["program", "target", "note"].map(|key| word(program, key));
        format!("{name} on {target} {note}")
    });
    rows.each("problem", list(status, "broken_hooks"), plain);
    rows.each("beside", list(status, "other_programs"), |other| {
        let [program, id, name] = ["program", "id", "name"].map(|key| word(other, key));
        format!("program {id} `{name}` of somebody else's is on the hook of {program}")
    });
    rows.each("runtime", list(status, "runtimes"), runtime);
    rows.add("kubernetes", &kubernetes(status));
    rows.add("node", &node(status));
    let silent = status.pointer("/node/errors").and_then(Value::as_object);
    rows.add("problem", &reasons(silent));
    let refused = status.pointer("/kubernetes/refused_policies").and_then(Value::as_object);
    for (name, why) in refused.into_iter().flatten().take(POLICIES) {
        rows.add("problem", &format!("{name}: {}", plain(why)));
    }
    rows.each("coverage", list(status, "coverage"), coverage);
}

/// What was seen.
fn counted(status: &Value, rows: &mut Rows) {
    rows.add("pinned", &pinned(status));
    rows.add("pinned", &left_behind(status));
    rows.add("at start", &at_start(status));
    rows.each("packets", list(status, "packets"), |packets| {
        let [count, verdict, reason] = ["count", "verdict", "reason"].map(|key| word(packets, key));
        format!("{count} {verdict} ({reason})")
    });
    for (kind, count) in status.get("losses").and_then(Value::as_object).into_iter().flatten() {
        rows.add("lost", &format!("{} ({kind})", plain(count)));
    }
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

/// Empty where nobody has left anything.
fn left_behind(status: &Value) -> String {
    let Some(folder) = status.get("left_behind").and_then(Value::as_str) else {
        return String::new();
    };
    format!(
        "in {folder} by an agent before, whose policies are in force beside these: `sentinel unpin` ends that"
    )
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

/// One that is not there, and that nobody asked for, is no news.
fn runtime(one: &Value) -> String {
    let (socket, error) = (word(one, "socket"), word(one, "error"));
    let told = format!("{} pods, {} containers", word(one, "pods"), word(one, "containers"));
    match word(one, "state").as_str() {
        "answers" => format!("{} ({socket}): {told}", word(one, "runtime")),
        "absent" if error.is_empty() => String::new(),
        _ => format!("{socket} does not answer, {told} at last: {error}"),
    }
}

/// Empty where it is not asked.
fn kubernetes(status: &Value) -> String {
    let Some(told) = status.get("kubernetes") else { return String::new() };
    let known = format!(
        "{} pods of {}, {} namespaces, {} addresses of services, {} policies",
        word(told, "pods"),
        word(told, "node"),
        word(told, "namespaces"),
        word(told, "service_addresses"),
        word(told, "policies"),
    );
    let errors = reasons(told.get("errors").and_then(Value::as_object));
    match word(told, "state").as_str() {
        "answers" => known,
        "asked" => "has not answered yet".to_owned(),
        _ => format!("degraded, {known} as it told last: {errors}"),
    }
}

fn reasons(errors: Option<&Map<String, Value>>) -> String {
    let errors = errors.into_iter().flatten();
    let errors: Vec<String> = errors.map(|(what, why)| format!("{what}: {}", plain(why))).collect();
    errors.join("; ")
}

/// Which machine this is, as far as it is known.
fn node(status: &Value) -> String {
    let Some(told) = status.get("node") else { return String::new() };
    let [provider, instance] = ["provider", "instance"].map(|key| word(told, key));
    let place = if word(told, "zone").is_empty() { "region" } else { "zone" };
    let said = [
        ("", format!("{provider} {instance}").trim().to_owned()),
        ("account ", word(told, "account")),
        ("", word(told, place)),
    ];
    let said = said.into_iter().filter(|(_, word)| !word.is_empty());
    let said: Vec<String> = said.map(|(what, word)| format!("{what}{word}")).collect();
    let name = word(told, "name");
    if said.is_empty() { name } else { format!("{name} ({})", said.join(", ")) }
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

fn in_force(policy: &Value) -> String {
    let said = [
        ("stratum", "stratum"),
        ("unknown_workloads", "unknown workloads"),
        ("expires", "expires"),
    ];
    let said = said.iter().filter_map(|(key, name)| {
        let word = word(policy, key);
        (!word.is_empty()).then(|| format!(", {name} {word}"))
    });
    format!(
        "{} on {}: {}{} ({})",
        word(policy, "policy"),
        word(policy, "workload"),
        word(policy, "mode"),
        said.collect::<String>(),
        word(policy, "place"),
    )
}

/// Empty while no policy has names.
fn learned(status: &Value) -> String {
    let Some(learned) = status.get("learned") else { return String::new() };
    let words = |key| list(learned, key).iter().map(plain).collect::<Vec<_>>().join(", ");
    let resolvers = words("resolvers");
    let resolvers = if resolvers.is_empty() { "nobody".to_owned() } else { resolvers };
    let shared = match word(learned, "shared_count").as_str() {
        "" | "0" => String::new(),
        count => format!("; {count} addresses are of more than one name ({})", words("shared")),
    };
    format!("{} addresses learned, {resolvers} believed{shared}", word(learned, "pairs"))
}

fn coverage(room: &Value) -> String {
    let workloads: Vec<String> = list(room, "workloads").iter().map(plain).collect();
    let why = word(room, "why");
    let why = if why.is_empty() { why } else { format!(" ({why})") };
    format!("{}{why}: {}", word(room, "backstop"), workloads.join(", "))
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
    fn policies_and_names_have_a_line_each() {
        let policy = serde_json::json!({"policy": "shop/web", "workload": "unit web.service", "mode": "enforce",
            "stratum": "audit", "unknown_workloads": "closed", "place": "web.yaml:4"});
        let learned = serde_json::json!({"pairs": 3, "resolvers": ["10.0.0.53"], "shared_count": 1,
            "shared": ["192.0.2.7"]});
        let status =
            serde_json::json!({"in_force": vec![policy; POLICIES + 2], "learned": learned});
        let text = table(&status);
        let row = "shop/web on unit web.service: enforce, stratum audit, unknown workloads closed (web.yaml:4)\n";
        assert_eq!(text.matches(row).count(), POLICIES, "{text}");
        assert!(text.contains("and 2 more: --format json lists all\n"), "{text}");
        let row = "names        3 addresses learned, 10.0.0.53 believed; 1 addresses are of more than one name (192.0.2.7)\n";
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
