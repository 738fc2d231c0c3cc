//! Names as workloads themselves look them up: learned, written as policies, enforced without a request lost.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::sentinel_program;
use sentinel_tests::honest::{HonestServer, Service};
use sentinel_tests::netlab::{Lab, PEER_HOSTS, Subnet};
use sentinel_tests::process::{Placement, Running, lab_program};
use sentinel_tests::resolver::{Client, Place, Resolver, Visited, addresses, member};
use sentinel_tests::sniffer::{Packet, Sniffer};
use serde_json::Value;

use crate::allowlist::{as_workload, errno, says};
use crate::stage::{Stage, WITHIN};
use crate::trial;

const PORT: u16 = 7443;
/// How long the agent may take to notice a file.
const NOTICED: Duration = Duration::from_secs(30);
/// Every destination is told of, none is cut.
const WATCH: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
                     metadata: {name: watch}\nspec: {mode: audit, egress: []}\n";
/// Where the service goes; the last two share an address.
const NAMES: [&str; 4] =
    ["n300.lab.example.", "alias.lab.example.", "shared.lab.example.", "partner.lab.example."];

pub fn trials() -> Vec<Trial> {
    vec![trial("lookups/learn_names_then_enforce", learn_then_enforce)]
}

struct Scene {
    stage: Stage,
    folder: PathBuf,
    policy: PathBuf,
    server: IpAddr,
    /// Until its report is asked for.
    service: Option<Running>,
}

impl Scene {
    fn set(lab: Lab) -> Result<Self> {
        let [host, ..] = PEER_HOSTS;
        let server: IpAddr = lab.subnet().v4(host).into();
        let folder = std::env::temp_dir().join(format!("sentinel-lookups-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (policy, config) = (folder.join("policy.yaml"), folder.join("config.yaml"));
        fs::write(&policy, WATCH)?;
        fs::write(&config, format!("resolvers: [{server}]\ndiscoverResolvers: false\n"))?;
        let [policy_path, config_path] = [&policy, &config].map(|path| path.display().to_string());
        let arguments = ["--mode", "enforce", "--no-builtin-feed", "--policy", &policy_path];
        let arguments: Vec<&str> =
            arguments.into_iter().chain(["--config", &config_path]).collect();
        let stage = Stage::set_in(lab, "sentinel-lookups", &arguments)?;
        let mut command = Command::new(lab_program()?);
        command.arg("visit").arg(server.to_string()).arg(PORT.to_string()).args(NAMES);
        command.stdin(Stdio::piped());
        let place = Placement::default().cgroup(&stage.workload).netns(stage.lab.node());
        let service = Some(place.spawn_reporting(command)?);
        Ok(Self { stage, folder, policy, server, service })
    }

    /// Runs `sentinel policy` with these arguments; its exit code and what it printed.
    fn policy(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(sentinel_program()?);
        command.arg("policy").args(arguments).arg("--state-dir").arg(self.stage.agent.folder());
        let output = command.stdin(Stdio::null()).output()?;
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().context("sentinel policy was killed")?;
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

    /// What `explain` says of an address: exit code and the answer on it.
    fn explain(&self, to: IpAddr) -> Result<(i32, Value)> {
        let path = self.stage.workload.path().display().to_string();
        let to = SocketAddr::new(to, PORT).to_string();
        let arguments = ["explain", "--workload", &path, "--to", &to, "--format", "json"];
        let (code, text) = self.policy(&arguments)?;
        let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        Ok((code, answer.pointer("/answers/0").context("no answer")?.clone()))
    }

    /// Looks a name up and connects, as a part of the service; the address and the error's number.
    fn visit(&self, name: &str) -> Result<(IpAddr, Option<i32>)> {
        as_workload(&self.stage, || {
            let found = addresses(&Client::new(self.server, true)?.ask(name)?);
            let address = *found.first().context("no address")?;
            let to = SocketAddr::new(address, PORT);
            Ok((address, errno(TcpStream::connect_timeout(&to, Duration::from_secs(2)))))
        })
    }

    /// What a record of the journal says of the names of a destination.
    fn names(&self, address: IpAddr, verdict: &str) -> Result<Vec<String>> {
        let to = SocketAddr::new(address, PORT).to_string();
        let record = self.stage.agent.record(WITHIN, |record| {
            says(record, "dst", &to) && says(record, "verdict", verdict)
        })?;
        let names = record.get("names").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It is in the temporary folder: what cannot be removed is found there.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn learn_then_enforce() -> Result<()> {
    let lab = Lab::with_subnet("sentinel-lookups", Subnet::numbered(48))?;
    lab.add_crowd(member(0))?;
    let [host, ..] = PEER_HOSTS;
    let server: IpAddr = lab.subnet().v4(host).into();
    let _resolver = lab.in_peer(|| Resolver::start(server))?;
    let everywhere = SocketAddr::new([0, 0, 0, 0].into(), PORT);
    let _servers = lab.in_peer(|| HonestServer::start(Service::Http, &[everywhere]))?;
    let mut scene = Scene::set(lab)?;

    // Under audit the journal tells what the workload had asked for, and which names share an address.
    let one: IpAddr = member(300).into();
    ensure!(scene.names(one, "audited")? == ["n300.lab.example"]);
    let text = learned(&scene)?;
    scene.put(&text)?;
    thread::sleep(Duration::from_secs(2));
    let (code, said) = scene.policy(&["diff"])?;
    ensure!(code == 0 && said.contains("nothing would be cut"), "{code}: {said}");
    let (code, explained) = scene.explain(one)?;
    ensure!(code == 0 && says(&explained, "reason", "allowlisted"), "{code}: {explained}");
    let by = explained.pointer("/learned/0").and_then(Value::as_str);
    ensure!(by == Some("n300.lab.example"), "{explained}");

    scene.put(&text.replace("  mode: audit", "  mode: enforce"))?;
    let sniffer = Sniffer::start(&scene.stage.lab)?;
    let (other, refused) = scene.visit("n900.lab.example.")?;
    ensure!(refused == Some(rustix::io::Errno::PERM.raw_os_error()), "{refused:?}");
    ensure!(scene.names(other, "blocked")? == ["n900.lab.example"]);
    let (code, explained) = scene.explain(other)?;
    ensure!(code == 2 && says(&explained, "reason", "not_allowlisted"), "{code}: {explained}");
    ensure!(scene.visit("n300.lab.example.")? == (one, None), "a learned name is refused");
    thread::sleep(Duration::from_secs(3));
    let capture = sniffer.finish()?;
    ensure!(capture.dropped == 0, "the sniffer lost {} frames", capture.dropped);
    let packets: Vec<_> =
        capture.frames.iter().filter_map(|frame| Packet::parse(&frame.bytes)).collect();
    let to = |address: IpAddr| packets.iter().filter(|packet| packet.dst == address).count();
    ensure!(to(other) == 0 && to(one) > 0, "{} and {} packets", to(other), to(one));

    let mut service = scene.service.take().context("the service has ended")?;
    drop(service.child().stdin.take());
    let visited: Visited = service.report(WITHIN)?;
    ensure!(visited.failed == 0 && visited.visits > 60, "{visited:?}");
    Ok(())
}

/// The policy that is learned of the service: its names, none of their addresses.
fn learned(scene: &Scene) -> Result<String> {
    let path = scene.stage.workload.path().display().to_string();
    let (code, text) = scene.policy(&["learn", "--for", "3s", "--workload", &path])?;
    ensure!(code == 0, "learn ended with {code}");
    for name in NAMES {
        let name = format!("- \"{}\"", name.trim_end_matches('.'));
        ensure!(text.contains(&name), "{name} is missing in\n{text}");
    }
    for number in [300, Place::ALIAS, Place::SHARED] {
        let address = format!("{}/", member(number));
        ensure!(!text.contains(&address), "{address} is in\n{text}");
    }
    ensure!(text.contains("; shares an address with shared.lab.example"), "{text}");
    ensure!(text.contains(&format!("- {}/32", scene.server)), "nobody to ask in\n{text}");
    eprintln!("{text}");
    Ok(text)
}
