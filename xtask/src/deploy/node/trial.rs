//! The agent in its container, whole and with each capability of the manifest taken away: what happens is what
//! the README's table says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Agent, Node, PATIENCE, POOL, PORT, may_set_limits, wait};
use crate::ladder::{Checks, Lacking, installed};
use crate::process;
use crate::setup;

const WHOLE: &str = "node/a_miner_is_cut_under_containerd";
const METRICS: &str = "node/promtool_finds_no_fault_with_the_metrics";
/// Every check here, for who prepares the image.
pub(crate) const NAMES: [&str; 9] = [
    WHOLE,
    METRICS,
    "node/without_NET_ADMIN",
    "node/without_BPF",
    "node/without_PERFMON",
    "node/without_SYS_ADMIN",
    "node/without_SYS_PTRACE",
    "node/without_DAC_READ_SEARCH",
    "node/without_SYS_RESOURCE",
];

/// What a trial shows.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The agent ended instead of being ready, with these last words.
    Refused(String),
    /// It was ready, and a miner dialled.
    Ready(Ready),
}

#[derive(Debug, PartialEq, Eq)]
struct Ready {
    /// How the miner's session ended for the miner.
    miner: String,
    /// What became of its socket.
    countermeasure: String,
    /// Whether the event names the miner's program.
    exe: bool,
    /// What is told of the connection that was open before.
    older: Older,
}

#[derive(Debug, PartialEq, Eq)]
enum Older {
    Untold,
    Nameless,
    Attributed,
}

impl Ready {
    fn with_everything() -> Self {
        Self {
            miner: "cut".to_owned(),
            countermeasure: "destroyed".to_owned(),
            exe: true,
            older: Older::Attributed,
        }
    }
}

/// What the README says of the agent without this.
fn expected(capability: &str) -> Seen {
    let whole = Ready::with_everything();
    Seen::Ready(match capability {
        "NET_ADMIN" => return Seen::Refused("CAP_NET_ADMIN".to_owned()),
        "SYS_ADMIN" => Ready {
            miner: "unanswered".to_owned(),
            countermeasure: "failed".to_owned(),
            older: Older::Untold,
            ..whole
        },
        "SYS_PTRACE" | "DAC_READ_SEARCH" => Ready { older: Older::Nameless, ..whole },
        _ => whole,
    })
}

/// Starts the agent in its container again and again.
pub(crate) fn checks(checks: &mut Checks, archive: &Path) {
    let Some(mut node) = checks.prepare(&NAMES, || Node::new(archive)) else { return };
    if let Some((seen, metrics)) = checks.prepare(&[WHOLE, METRICS], || trial(&mut node, None)) {
        checks.run(WHOLE, || compare(&seen, &Seen::Ready(Ready::with_everything())));
        checks.run(METRICS, || lint(&metrics));
    }
    for name in NAMES.iter().filter_map(|name| name.strip_prefix("node/without_")) {
        checks.run(&format!("node/without_{name}"), || {
            if name == "SYS_RESOURCE" && !may_set_limits() {
                let why = "this machine's root has not got it either";
                return Err(Lacking(why.to_owned()).into());
            }
            compare(&trial(&mut node, Some(name))?.0, &expected(name))
        });
    }
}

fn compare(seen: &Seen, expected: &Seen) -> Result<()> {
    let same = match (seen, expected) {
        (Seen::Refused(words), Seen::Refused(word)) => words.contains(word.as_str()),
        _ => seen == expected,
    };
    if same { Ok(()) } else { bail!("seen {seen:?}, expected {expected:?}") }
}

/// One agent from start to end, and its metrics.
fn trial(node: &mut Node, without: Option<&str>) -> Result<(Seen, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut agent = node.agent(port, without)?;
    let ready = wait(PATIENCE, || match agent.child.try_wait() {
        Ok(None) => get(port, "/readyz").map(|_| true),
        _ => Some(false),
    });
    if !ready.context("the agent in the container is not ready")? {
        let words = fs::read_to_string(&agent.words)?;
        return Ok((Seen::Refused(words.lines().last().unwrap_or_default().to_owned()), words));
    }
    let miner = mine(node)?;
    let event =
        wait(Duration::from_secs(5), || stratum(&agent)).context("nothing tells of the miner")?;
    let metrics = get(port, "/metrics").context("there are no metrics")?;
    node.stop(&mut agent)?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let ready = Ready {
        miner,
        countermeasure: text("/countermeasure/result").unwrap_or_default().to_owned(),
        exe: text("/process/exe").is_some_and(|exe| exe.ends_with("/lab")),
        older: older(&agent),
    };
    Ok((Seen::Ready(ready), metrics))
}

/// What a miner reports of itself.
fn mine(node: &Node) -> Result<String> {
    let lab = node.folder.join("lab").display().to_string();
    let pool = format!("{POOL}:{PORT}");
    let mut miner = node.as_other_user(&lab, &["miner", &pool, "--dialect", "xmrig"]);
    let report: Value = serde_json::from_str(&process::output(&mut miner)?)?;
    let ended = report.get("ended").and_then(Value::as_str);
    ended.map(str::to_owned).context("the miner does not say how it ended")
}

fn lines(agent: &Agent) -> Vec<Value> {
    let text = fs::read_to_string(&agent.events).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The first finding, once what became of the socket is known.
fn stratum(agent: &Agent) -> Option<Value> {
    lines(agent).into_iter().find(|line| line["kind"] == "stratum" && line["verdict"] == "blocked")
}

fn older(agent: &Agent) -> Older {
    let told = lines(agent);
    let of_ours = |line: &&Value| {
        line["kind"] == "socket" && line["dst"] == format!("{POOL}:{PORT}").as_str()
    };
    match told.iter().find(of_ours) {
        None => Older::Untold,
        Some(line) if line.pointer("/process/pid").is_some() => Older::Attributed,
        Some(_) => Older::Nameless,
    }
}

/// The body of an answer with status 200.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200").map(|_| body.to_owned())
}

/// Names, types and helps, as Prometheus' own tool reads them.
fn lint(metrics: &str) -> Result<()> {
    if !metrics.contains("sentinel_countermeasures_total{") {
        bail!("a miner was cut, and the metrics do not say so: {metrics}");
    }
    let mut promtool = Command::new(installed(setup::promtool())?);
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().context("cannot start promtool")?;
    promtool.stdin.take().context("promtool takes nothing")?.write_all(metrics.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let words = [output.stdout, output.stderr].concat();
    if output.status.success() && words.is_empty() {
        return Ok(());
    }
    bail!("promtool finds fault with the metrics:\n{}", String::from_utf8_lossy(&words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::node::manifest;
    use crate::project;

    #[test]
    fn each_capability_of_the_manifest_is_taken_away_in_turn() {
        let path = project::root().join("deploy/kubernetes/sentinel.yaml");
        let mut granted = manifest::capabilities(&fs::read_to_string(path).unwrap());
        let tried = NAMES.iter().filter_map(|name| name.strip_prefix("node/without_"));
        let mut tried: Vec<String> = tried.map(str::to_owned).collect();
        granted.sort();
        tried.sort();
        assert_eq!(granted, tried);
    }
}
