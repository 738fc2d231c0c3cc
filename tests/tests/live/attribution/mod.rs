//! Whose socket is it: whoever makes sockets writes down whose they are, and every line of the journal
//! is held against that.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::crowd::Made;
use sentinel_tests::process::{Placement, lab_program};
use serde_json::Value;

use crate::stage::{PEER, WITHIN};
use crate::trial;
use crate::workloads::{Play, policy};

/// Where the ports begin that nobody listens on.
const PORT: u16 = 20_000;
/// Sockets of one cgroup: the agent writes no more lines of one in ten seconds.
const EACH: usize = 200;
/// The last line may take as long on a busy machine.
const SOON: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    // An emulated machine takes long for each process.
    let emulated = std::env::var_os("SENTINEL_VM").is_some();
    let (groups, each, brief) = if emulated { (4, 25, 2) } else { (50, EACH, 5) };
    vec![
        trial("attribution/short_lived_sockets", move || crowd(groups, each)),
        trial("attribution/programs_of_a_millisecond", move || programs(brief, each)),
    ]
}

/// What a line of the journal is held against.
struct Truth {
    made: Made,
    cgroup: u64,
    other: u64,
}

/// What came of holding them.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    unattributed: usize,
    wrong: Vec<String>,
}

fn begin(name: &str, number: u8) -> Result<Play> {
    Play::begin(name, number, |lab| {
        let spec = format!("egress: [{{toCIDRs: [\"{}/32\"]}}]", lab.subnet().v4(9));
        let audit = policy("audited", "audited-*", &spec).replace("mode: enforce", "mode: audit");
        policy("enforced", "enforced-*", &spec) + &audit
    })
}

/// Runs a crowd in each of these cgroups, and returns what they say.
fn truths(
    play: &Play,
    groups: &[TestCgroup],
    other: &TestCgroup,
    more: &[&str],
) -> Result<Vec<Truth>> {
    let target = SocketAddr::new(play.stage.lab.subnet().v4(PEER).into(), PORT);
    let mut crowds = Vec::new();
    for group in groups {
        let mut command = Command::new(lab_program()?);
        command.arg("crowd").arg(target.to_string()).arg("--other").arg(other.path()).args(more);
        let placement = Placement::default().cgroup(group).netns(play.stage.lab.node());
        crowds.push((group.id()?, placement.spawn_reporting(command)?));
    }
    let mut truths = Vec::new();
    let other = other.id()?;
    for (cgroup, crowd) in crowds {
        let made: Vec<Made> = crowd.report(WITHIN)?;
        truths.extend(made.into_iter().map(|made| Truth { made, cgroup, other }));
    }
    Ok(truths)
}

fn groups(play: &Play, count: usize) -> Result<Vec<TestCgroup>> {
    let name = |number| if number % 2 == 0 { "enforced" } else { "audited" };
    let group = |number| play.stage.workload.child(&format!("{}-{number}", name(number)));
    (0..count).map(group).collect()
}

/// Events of flows, once there are as many.
fn lines(play: &Play, expected: usize) -> Result<Vec<Value>> {
    let is_flow = |line: &Value| line.get("kind").and_then(Value::as_str) == Some("egress");
    let begun = Instant::now();
    loop {
        let mut lines = play.stage.agent.journal()?;
        lines.retain(is_flow);
        if lines.len() >= expected || begun.elapsed() > SOON {
            return Ok(lines);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn crowd(count: usize, each: usize) -> Result<()> {
    let play = begin("sentinel-crowd", 71)?;
    let (groups, other) = (groups(&play, count)?, play.stage.workload.child("elsewhere")?);
    let truths = truths(&play, &groups, &other, &["--count", &each.to_string()])?;
    ensure!(truths.len() == count * each, "{} sockets were made", truths.len());
    let by_cookie: HashMap<u64, &Truth> =
        truths.iter().map(|truth| (truth.made.cookie, truth)).collect();
    let lines = lines(&play, truths.len())?;
    let mut tally = Tally::default();
    let mut told = BTreeMap::new();
    for line in &lines {
        let cookie = line.get("cookie").and_then(Value::as_u64).unwrap_or_default();
        let truth = by_cookie.get(&cookie).with_context(|| format!("nobody made it: {line}"))?;
        *told.entry(cookie).or_insert(0) += 1;
        tally.hold(line, truth, "crowd")?;
    }
    conclude(&play, &tally, told.len(), truths.len())?;
    drop((groups, other));
    play.end()
}

fn programs(count: usize, each: usize) -> Result<()> {
    let play = begin("sentinel-brief", 72)?;
    let (groups, other) = (groups(&play, count)?, play.stage.workload.child("elsewhere")?);
    let begun = Instant::now();
    let truths = truths(&play, &groups, &other, &["--brief", "--count", &each.to_string()])?;
    println!("one program in {:?}", begun.elapsed() / u32::try_from(truths.len())?);
    let by_pid: HashMap<(u32, u64), &Truth> =
        truths.iter().map(|truth| ((truth.made.pid, truth.cgroup), truth)).collect();
    let lines = lines(&play, truths.len())?;
    let mut tally = Tally::default();
    for line in &lines {
        let pid = number(line, "/process/pid");
        let key = (u32::try_from(pid)?, number(line, "/workload/cgroup_id"));
        let truth = by_pid.get(&key).with_context(|| format!("nobody made it: {line}"))?;
        tally.hold(line, truth, truth.made.tag.as_deref().unwrap_or_default())?;
    }
    ensure!(tally.unattributed == 0, "{} without their program", tally.unattributed);
    conclude(&play, &tally, lines.len(), truths.len())?;
    drop((groups, other));
    play.end()
}

fn number(line: &Value, at: &str) -> u64 {
    line.pointer(at).and_then(Value::as_u64).unwrap_or_default()
}

impl Tally {
    /// Everything that the line says must be so. A program that is not known is said to be missing.
    fn hold(&mut self, line: &Value, truth: &Truth, argument: &str) -> Result<()> {
        let program = fs::canonicalize(lab_program()?)?;
        let made = &truth.made;
        let passed = line.get("passed").and_then(Value::as_bool).unwrap_or_default();
        let place = number(line, "/process_cgroup/id");
        let port = line.get("dst").and_then(Value::as_str).and_then(|dst| dst.rsplit_once(':'));
        let is_right = number(line, "/process/pid") == u64::from(made.pid)
            && number(line, "/workload/cgroup_id") == truth.cgroup
            && port.and_then(|(_, port)| port.parse().ok()) == Some(made.port)
            && passed == made.passed
            && place == if made.elsewhere { truth.other } else { 0 };
        let is_missing = line.pointer("/process/missing").is_some();
        let exe = line.pointer("/process/exe").and_then(Value::as_str);
        let cmdline = line.pointer("/process/cmdline").and_then(Value::as_array);
        let is_said =
            cmdline.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(argument)));
        let parents = line.pointer("/process/parents").and_then(Value::as_array);
        let has_program = exe == program.to_str()
            && is_said
            && parents.is_some_and(|parents| !parents.is_empty());
        match (is_right, is_missing, has_program) {
            (true, true, _) => self.unattributed += 1,
            (true, false, true) => self.right += 1,
            _ => self.wrong.push(format!("{made:?}: {line}")),
        }
        Ok(())
    }
}

fn conclude(play: &Play, tally: &Tally, told: usize, made: usize) -> Result<()> {
    let Tally { right, unattributed, wrong } = tally;
    println!(
        "{made} sockets, {told} told of: {right} lines right, {unattributed} unattributed, {} wrong",
        wrong.len()
    );
    ensure!(wrong.is_empty(), "{} wrong, such as {:#?}", wrong.len(), wrong.first());
    ensure!(told == made, "{told} of {made} were told of\n{}", play.stage.agent.log());
    ensure!(*right > 0, "none is right");
    let lost = play.stage.agent.metric("sentinel_losses_total{kind=\"process\"}");
    println!("news of processes lost: {lost:?}");
    Ok(())
}
