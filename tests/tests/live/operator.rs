//! An operator puts a running service under a policy: learn, diff, audit, enforce, without a request lost.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::sentinel_program;
use sentinel_tests::honest::{HonestServer, Options, Report, Service};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::process::{Placement, Running, lab_program};
use serde_json::Value;

use crate::allowlist::{as_workload, errno, says};
use crate::stage::{Stage, WITHIN};
use crate::trial;

/// How long the agent may take to notice a file.
const NOTICED: Duration = Duration::from_secs(30);
/// What stands before anything is known: every destination is told of, none is cut.
const WATCH: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
                     metadata: {name: watch}\nspec: {mode: audit, egress: []}\n";

pub fn trials() -> Vec<Trial> {
    vec![trial("operator/learn_diff_audit_enforce", learn_then_enforce)]
}

/// What the operator has: a folder with a policy, an agent that follows it, a service with a pool.
struct Scene {
    stage: Stage,
    folder: PathBuf,
    policy: PathBuf,
    clients: Vec<Running>,
    _servers: HonestServer,
}

/// The pool's three members, and a destination that is none.
fn pool(stage: &Lab) -> ([SocketAddr; 3], SocketAddr) {
    let subnet = stage.subnet();
    let at = |address: std::net::IpAddr| SocketAddr::new(address, 7001);
    let pool = [at(subnet.v4(2).into()), at(subnet.v4(3).into()), at(subnet.v6(4).into())];
    (pool, at(subnet.v4(4).into()))
}

impl Scene {
    fn set() -> Result<Self> {
        let lab = Lab::with_subnet("sentinel-operator", Subnet::numbered(31))?;
        let folder = std::env::temp_dir().join(format!("sentinel-operator-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let policy = folder.join("policy.yaml");
        fs::write(&policy, WATCH)?;
        let path = policy.to_str().context("the policy's path is not UTF-8")?;
        let arguments = ["--mode", "enforce", "--policy", path, "--no-builtin-feed"];
        let stage = Stage::set_in(lab, "sentinel-operator", &arguments)?;
        let (members, other) = pool(&stage.lab);
        let listen: Vec<SocketAddr> = members.into_iter().chain([other]).collect();
        let servers = stage.lab.in_peer(|| HonestServer::start(Service::Http, &listen))?;
        let mut scene = Self { stage, folder, policy, clients: Vec::new(), _servers: servers };
        for member in members {
            let mut options = Options::new(Service::Http, member);
            options.until_stdin_ends = true;
            let mut command = Command::new(lab_program()?);
            command.arg("honest").args(options.to_args()).stdin(Stdio::piped());
            let placement =
                Placement::default().cgroup(&scene.stage.workload).netns(scene.stage.lab.node());
            scene.clients.push(placement.spawn_reporting(command)?);
        }
        Ok(scene)
    }

    /// Runs `sentinel policy` with these arguments; its exit code and what it printed.
    fn policy(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(sentinel_program()?);
        command.arg("policy").args(arguments);
        if arguments.first() != Some(&"check") {
            command.arg("--state-dir").arg(self.stage.agent.folder());
        }
        let output = command.stdin(Stdio::null()).output()?;
        let code = output.status.code().context("sentinel policy was killed")?;
        if !output.stderr.is_empty() {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok((code, String::from_utf8(output.stdout)?))
    }

    /// Puts a policy in the other's place, and waits until the agent has taken it.
    fn put(&self, text: &str) -> Result<()> {
        let before = self.stage.agent.metric("sentinel_policy_generation")?;
        let new = self.folder.join("policy.new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.policy)?;
        let deadline = Instant::now() + NOTICED;
        while self.stage.agent.metric("sentinel_policy_generation")? <= before {
            ensure!(Instant::now() < deadline, "not taken:\n{}", self.stage.agent.log());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The error number of one connection from the service's cgroup.
    fn connect(&self, target: SocketAddr) -> Result<Option<i32>> {
        as_workload(&self.stage, || {
            Ok(errno(TcpStream::connect_timeout(&target, Duration::from_secs(2))))
        })
    }

    /// What `explain` says of a destination of the service's: exit code and its one answer.
    fn explain(&self, target: SocketAddr) -> Result<(i32, Value)> {
        let path = self.stage.workload.path().display().to_string();
        let target = target.to_string();
        let arguments = ["explain", "--workload", &path, "--to", &target, "--format", "json"];
        let (code, text) = self.policy(&arguments)?;
        let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let one = answer.pointer("/answers/0").context("no answer")?.clone();
        Ok((code, one))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn learn_then_enforce() -> Result<()> {
    let mut scene = Scene::set()?;
    let (members, other) = pool(&scene.stage.lab);

    // Learn: what was written is a valid policy that names the pool and nobody else.
    let learned = scene.folder.join("learned.yaml.txt");
    let out = learned.to_str().context("not UTF-8")?.to_owned();
    let path = scene.stage.workload.path().display().to_string();
    let (code, _) = scene.policy(&["learn", "--for", "3s", "--workload", &path, "--out", &out])?;
    ensure!(code == 0, "learn ended with {code}");
    let text = fs::read_to_string(&learned)?;
    for member in members {
        ensure!(text.contains(&format!("{}/", member.ip())), "{member} is missing in\n{text}");
    }
    ensure!(!text.contains(&format!("{}/", other.ip())), "{other} is in\n{text}");
    ensure!(text.matches("kind: EgressPolicy").count() == 1, "{text}");

    // Audit: nothing of what the service does would be cut, and what it does not do is told.
    scene.put(&text)?;
    let (code, check) = scene.policy(&["check", scene.policy.to_str().context("not UTF-8")?])?;
    ensure!(code == 0, "{check}");
    thread::sleep(Duration::from_secs(2));
    let (code, said) = scene.policy(&["diff"])?;
    ensure!(code == 0 && said.contains("nothing would be cut"), "{code}: {said}");
    ensure!(scene.connect(other)?.is_none(), "an audit refused a connection");
    let (code, explained) = scene.explain(other)?;
    ensure!(code == 2 && says(&explained, "verdict", "audited"), "{code}: {explained}");
    let said = would_cut(&scene, other)?;
    ensure!(said.contains("1 would have been cut"), "{said}");
    let name = text.lines().find_map(|line| line.strip_prefix("  name: ")).context("no name")?;
    let sample = format!("sentinel_policy_audit_hits_total{{policy=\"{name}\",rule=\"default\"}}");
    ensure!(scene.stage.agent.metric(&sample)? == 1.0, "not counted");

    // Enforce: the other is refused, and explain says the same as the journal.
    scene.put(&text.replace("  mode: audit", "  mode: enforce"))?;
    let refused = scene.connect(other)?;
    ensure!(refused == Some(rustix::io::Errno::PERM.raw_os_error()), "{refused:?}");
    let record = scene.stage.agent.record(Duration::from_secs(5), |record| {
        says(record, "dst", &other.to_string()) && says(record, "verdict", "blocked")
    })?;
    let (code, explained) = scene.explain(other)?;
    ensure!(code == 2, "{code}");
    for key in ["verdict", "reason", "policy"] {
        ensure!(explained.get(key) == record.get(key), "{key}: {explained}\n{record}");
    }
    let word = |key: &str| explained.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let rule = format!("{} ({})", word("rule"), word("place"));
    ensure!(says(&record, "rule", &rule), "{rule} is not the rule of {record}");
    for member in members {
        ensure!(scene.connect(member)?.is_none(), "{member} was refused");
        let (code, explained) = scene.explain(member)?;
        ensure!(code == 0 && says(&explained, "reason", "allowlisted"), "{explained}");
    }

    // And all the while no request was lost.
    for mut client in std::mem::take(&mut scene.clients) {
        drop(client.child().stdin.take());
        let report: Report = client.report(WITHIN)?;
        ensure!(report.ok && report.requests == report.requests_ok, "{report:?}");
        ensure!(report.requests > 50, "too few to tell: {report:?}");
    }
    Ok(())
}

/// What `diff` says once it names a destination; its exit code is 2 then.
fn would_cut(scene: &Scene, target: SocketAddr) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (code, said) = scene.policy(&["diff"])?;
        if said.contains(&target.to_string()) {
            ensure!(code == 2, "{code}: {said}");
            return Ok(said);
        }
        if Instant::now() > deadline {
            bail!("{target} is not told of: {said}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}
