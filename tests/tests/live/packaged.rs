//! The Debian package on a machine that systemd runs: installed, told by the unit's name, enforced, taken to
//! a new version, stopped and purged, in this order. Only in a guest that is made for it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::LAYOUT;
use sentinel_tests::miner::{Ended, Family, Report, Segments};
use sentinel_tests::netlab::Lab;
use sentinel_tests::pool::{Manner, Pool};
use sentinel_tests::process::lab_program;
use sentinel_tests::transcript::Dialect;
use serde_json::Value;

use crate::allowlist::says;
use crate::stage::{PEER, session};
use crate::trial;

/// Where the guest has the package.
const PACKAGE: &str = "/guest/sentinel.deb";
const PROGRAM: &str = "/usr/bin/sentinel";
const SETTINGS: &str = "/etc/sentinel/sentinel.yaml";
const POLICY: &str = "/etc/sentinel/policies/app.yaml";
const UNIT: &str = "sentinel.service";
/// An emulated machine takes half a minute to load the programs.
const SOON: Duration = Duration::from_secs(180);
/// What the package brings or makes.
const TRACES: [&str; 6] = [
    PROGRAM,
    "/etc/sentinel",
    "/lib/systemd/system/sentinel.service",
    "/etc/systemd/system/multi-user.target.wants/sentinel.service",
    "/run/sentinel",
    "/var/log/sentinel",
];

pub fn trials() -> Vec<Trial> {
    if std::env::var(LAYOUT).as_deref() != Ok("systemd") {
        return Vec::new();
    }
    vec![
        trial("packaged/installed_it_runs", installed),
        trial("packaged/a_miner_is_told_of_by_its_unit", told),
        trial("packaged/enforced_the_miner_is_cut", cut),
        trial("packaged/a_policy_is_on_its_unit", on_a_unit),
        trial("packaged/a_new_version_keeps_what_was_edited", upgraded),
        trial("packaged/stopped_it_judges_nothing", stopped),
        trial("packaged/purged_it_leaves_nothing", purged),
    ]
}

fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    Command::new(program).args(arguments).output().with_context(|| program.to_owned())
}

/// The same of what has to succeed: what it printed.
fn must(program: &str, arguments: &[&str]) -> Result<String> {
    let output = run(program, arguments)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {}: {complaint}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// One property of the unit.
fn property(name: &str) -> Result<String> {
    let value = must("systemctl", &["show", "--value", "-p", name, UNIT])?;
    Ok(value.trim().to_owned())
}

fn status() -> Result<Value> {
    Ok(serde_json::from_str(&must(PROGRAM, &["status", "--format", "json"])?)?)
}

/// The status, once it is like this.
fn status_with(what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let now = status();
        if let Ok(status) = &now
            && is_so(status)
        {
            return now;
        }
        if Instant::now() > deadline {
            let log = must("journalctl", &["-u", UNIT, "-o", "cat", "--no-pager", "-n", "40"])?;
            bail!("the agent is not {what}: {now:?}\n{log}");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn is_ready(status: &Value) -> bool {
    status.get("ready") == Some(&Value::Bool(true))
}

/// Whether the agent that answers is the process that systemd means.
fn says_pid(status: &Value, pid: &str) -> bool {
    status.get("pid").and_then(Value::as_u64) == pid.parse().ok()
}

fn in_force(status: &Value, policy: &str) -> bool {
    let policies = status.get("in_force").and_then(Value::as_array);
    policies.into_iter().flatten().any(|one| says(one, "policy", policy))
}

/// A miner-like session from a unit of this name, in system.slice.
fn mine(unit: &str) -> Result<(Report, Pool)> {
    let lab = Lab::new("packaged")?;
    let listen = SocketAddr::new(lab.subnet().v4(PEER).into(), 14444);
    let pool = lab.in_peer(|| Pool::start(&[listen], Manner::of(Dialect::StratumV1)))?;
    let options = session(Dialect::StratumV1, listen, Family::V4, Segments::Whole);
    // A unit gets its policies a moment after it is made.
    let program = lab_program()?;
    let netns = lab.node().path();
    let line = format!(
        "sleep 3; exec {} --netns {} miner {}",
        program.display(),
        netns.display(),
        options.to_args().join(" ")
    );
    let unit = format!("--unit={unit}");
    let how = ["--quiet", "--wait", "--pipe", "--collect", &unit, "sh", "-c", &line];
    let output = run("systemd-run", &how)?;
    let report = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((report, pool))
}

/// A line about this unit in the agent's journal.
fn line(kind: &str, unit: &str) -> Result<Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let text = must("journalctl", &["-u", UNIT, "-o", "cat", "--no-pager"])?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_unit = |line: &Value| line.get("workload").is_some_and(|it| says(it, "unit", unit));
        if let Some(found) = lines.find(|line| says(line, "kind", kind) && of_unit(line)) {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "no {kind} of {unit} in the journal:\n{text}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The unit's sandbox is the real one: a filter on system calls, a mount namespace of its own.
fn installed() -> Result<()> {
    must("dpkg", &["-i", PACKAGE])?;
    ensure!(property("ActiveState")? == "active", "{}", property("ActiveState")?);
    let status = status_with("ready", is_ready)?;
    ensure!(says(&status, "mode", "audit"), "{status}");
    ensure!(in_force(&status, "node"), "the packaged policy is not in force: {status}");
    let pid = property("MainPID")?;
    ensure!(says_pid(&status, &pid), "{pid}: {status}");
    let process = fs::read_to_string(format!("/proc/{pid}/status"))?;
    for limit in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
        ensure!(process.lines().any(|line| line == limit), "no {limit:?} in:\n{process}");
    }
    let mounts = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt"));
    ensure!(mounts(&pid)? != mounts("self")?, "it has no mount namespace of its own");
    must("systemd-analyze", &["verify", UNIT])?;
    Ok(())
}

fn told() -> Result<()> {
    let (report, pool) = mine("packaged-told")?;
    ensure!(report.succeeded(), "audit disturbed it: {report:?}");
    ensure!(pool.record().requests() > 0, "nothing came to the pool");
    let line = line("stratum", "packaged-told.service")?;
    ensure!(says(&line, "verdict", "audited"), "{line}");
    Ok(())
}

fn cut() -> Result<()> {
    let text = fs::read_to_string(SETTINGS)?;
    ensure!(text.contains("\n# mode: audit\n"), "{text}");
    fs::write(SETTINGS, text.replace("\n# mode: audit\n", "\nmode: enforce\n"))?;
    must("systemctl", &["reload", UNIT])?;
    status_with("enforcing", |status| says(status, "mode", "enforce"))?;
    let (report, pool) = mine("packaged-cut")?;
    ensure!(report.local.is_some() && !report.succeeded(), "it was not cut: {report:?}");
    ensure!(pool.record().requests() == 0, "a request reached the pool");
    let line = line("stratum", "packaged-cut.service")?;
    ensure!(says(&line, "verdict", "blocked"), "{line}");
    let done = line.pointer("/countermeasure/result").and_then(Value::as_str);
    ensure!(done == Some("destroyed"), "{line}");
    Ok(())
}

fn on_a_unit() -> Result<()> {
    let text = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: app}\n\
                spec: {workload: {systemdUnit: \"packaged-app.service\"}, mode: enforce, egress: []}\n";
    fs::write(POLICY, text)?;
    must("systemctl", &["reload", UNIT])?;
    status_with("holding the unit", |status| in_force(status, "app"))?;
    let (report, _) = mine("packaged-app")?;
    let errno = report.errno.as_deref();
    ensure!(report.ended == Ended::Refused && errno == Some("EPERM"), "{report:?}");
    let line = line("egress", "packaged-app.service")?;
    ensure!(says(&line, "policy", "app") && says(&line, "verdict", "blocked"), "{line}");
    let (other, _) = mine("packaged-other")?;
    ensure!(other.local.is_some(), "another unit is held to it as well: {other:?}");
    Ok(())
}

fn upgraded() -> Result<()> {
    let (before, pid) = (fs::read_to_string(SETTINGS)?, property("MainPID")?);
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    let tree = tree.to_str().context("the path is not UTF-8")?;
    must("dpkg-deb", &["-R", PACKAGE, tree])?;
    let control = format!("{tree}/DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let version = text.lines().find_map(|line| line.strip_prefix("Version: "));
    let version = version.context("the package has no version")?;
    let newer = format!("{version}+next");
    fs::write(
        &control,
        text.replace(&format!("Version: {version}"), &format!("Version: {newer}")),
    )?;
    let package = format!("{tree}.deb");
    must("dpkg-deb", &["-Znone", "--root-owner-group", "-b", tree, &package])?;
    must("dpkg", &["-i", &package])?;
    ensure!(must("dpkg-query", &["-W", "-f", "${Version}", "sentinel"])? == newer);
    ensure!(fs::read_to_string(SETTINGS)? == before, "the settings are not those edited");
    let status = status_with("ready again", |status| is_ready(status) && !says_pid(status, &pid))?;
    ensure!(says(&status, "mode", "enforce") && in_force(&status, "app"), "{status}");
    let (report, _) = mine("packaged-upgraded")?;
    ensure!(!report.succeeded(), "the new version does not cut: {report:?}");
    Ok(())
}

fn stopped() -> Result<()> {
    must("systemctl", &["stop", UNIT])?;
    ensure!(property("ActiveState")? == "inactive", "{}", property("ActiveState")?);
    ensure!(property("Result")? == "success", "{}", property("Result")?);
    for unit in ["packaged-app", "packaged-stopped"] {
        let (report, _) = mine(unit)?;
        ensure!(report.succeeded(), "{unit} is judged still: {report:?}");
    }
    ensure!(!run(PROGRAM, &["status"])?.status.success(), "a stopped agent answers");
    Ok(())
}

fn purged() -> Result<()> {
    must("systemctl", &["start", UNIT])?;
    status_with("ready", is_ready)?;
    must("dpkg", &["-P", "sentinel"])?;
    let left: Vec<&str> = TRACES.into_iter().filter(|path| Path::new(path).exists()).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    ensure!(property("LoadState")? == "not-found", "{}", property("LoadState")?);
    ensure!(!run("dpkg-query", &["-W", "sentinel"])?.status.success(), "dpkg knows it still");
    let (report, _) = mine("packaged-purged")?;
    ensure!(report.succeeded(), "somebody judges still: {report:?}");
    Ok(())
}
