//! Which machine an event is of: the cloud's metadata service is at its own address, on the other side of the
//! wire, and what reaches it is seen by a sniffer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::TestCgroup;
use sentinel_tests::metadata::{ACCOUNT, INSTANCES, Kind, Service};
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::process::Placement;
use sentinel_tests::sniffer::Sniffer;
use serde_json::Value;

use crate::allowlist::says;
use crate::stage::File;
use crate::trial;

const SERVICE: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const SOON: Duration = Duration::from_secs(40);
/// Longer than three tries take.
const GIVEN_UP: Duration = Duration::from_secs(20);

type Test = fn() -> Result<()>;

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 3] = [
        ("node/the_metadata_service_tells_instance_and_account", told),
        ("node/nobody_is_asked_where_no_cloud_is_known", unasked),
        ("node/a_policy_may_keep_the_agent_from_it", denied),
    ];
    tests.map(|(name, test)| trial(name, test)).into()
}

/// An agent in a laboratory where the address of the service is the peer's.
struct Scene {
    agent: Agent,
    _group: TestCgroup,
    sniffer: Sniffer,
    service: Service,
    _files: [File; 2],
    lab: Lab,
}

impl Scene {
    fn begin(name: &str, number: u8, kind: Kind, settings: &str, within: bool) -> Result<Self> {
        let lab = Lab::with_subnet(name, Subnet::numbered(number))?;
        lab.add_crowd(Ipv4Addr::new(169, 254, 0, 0))?;
        let address = SocketAddr::new(SERVICE.into(), 80);
        let service = lab.in_peer(|| Service::start(kind, address))?;
        let sniffer = Sniffer::start(&lab)?;
        let group = TestCgroup::unique(name)?;
        let policy = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
                      metadata: {name: nothing}\nspec: {mode: enforce, egress: []}\n";
        let files = [File::new(name, settings)?, File::new(name, policy)?];
        let [config, policy] = &files;
        let arguments =
            ["--mode", "enforce", "--config", config.path()?, "--policy", policy.path()?];
        let place = Placement::default().netns(lab.node());
        let place = if within { place.cgroup(&group) } else { place };
        let agent = Agent::start_from(place, &group, &arguments)?;
        Ok(Self { agent, _group: group, sniffer, service, _files: files, lab })
    }

    fn end(self) -> Result<usize> {
        ensure!(self.agent.stop()?.success(), "the agent did not end well");
        Ok(self.sniffer.finish()?.frames_to(IpAddr::V4(SERVICE)))
    }
}

/// A record of this node says so, and is the first that can.
fn node_of(record: &Value) -> &Value {
    record.get("node").unwrap_or(&Value::Null)
}

fn told() -> Result<()> {
    let settings = "cri: []\nnode: {name: node-7, provider: aws}\n";
    let scene = Scene::begin("sentinel-node", 71, Kind::Aws, settings, false)?;
    let [(_, instance), ..] = INSTANCES;
    let metric = format!(
        "sentinel_node_info{{account=\"{ACCOUNT}\",instance_id=\"{instance}\",node=\"node-7\",provider=\"aws\",region=\"eu-central-1\",zone=\"eu-central-1a\"}}"
    );
    let deadline = std::time::Instant::now() + SOON;
    while scene.lab.in_node(|| scene.agent.metric(&metric)).is_err() {
        ensure!(std::time::Instant::now() < deadline, "it does not learn: {}", scene.agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // Reading its policy again is an event.
    scene.agent.hang_up()?;
    let record = scene.agent.record(SOON, |record| says(node_of(record), "instance", instance))?;
    let node = node_of(&record);
    for (key, value) in [("name", "node-7"), ("account", ACCOUNT), ("zone", "eu-central-1a")] {
        ensure!(says(node, key, value), "{key} is not {value}: {record}");
    }
    let all = scene.agent.journal()?;
    let first = all.first().context("no journal")?;
    ensure!(says(node_of(first), "name", "node-7"), "the first line has no node: {first}");
    let asked = scene.service.asked();
    let expected =
        ["PUT /latest/api/token 200", "GET /latest/dynamic/instance-identity/document 200"];
    ensure!(asked == expected, "{asked:?}");
    ensure!(scene.end()? > 0, "nothing passed the wire");
    Ok(())
}

/// Neither where it is switched off, nor where nothing says which cloud this is.
fn unasked() -> Result<()> {
    for (number, node) in [(72, "{provider: aws, metadataService: off}"), (73, "{provider: x}")] {
        let settings = format!("cri: []\nnode: {node}\n");
        let scene = Scene::begin("sentinel-unasked", number, Kind::Aws, &settings, false)?;
        std::thread::sleep(Duration::from_secs(3));
        ensure!(scene.service.asked().is_empty(), "{:?}", scene.service.asked());
        ensure!(scene.end()? == 0, "something was sent to the service");
    }
    Ok(())
}

/// The agent is a workload like others: it does without, says so, and runs.
fn denied() -> Result<()> {
    let settings = "cri: []\nnode: {provider: gcp}\n";
    let scene = Scene::begin("sentinel-denied", 74, Kind::Gcp, settings, true)?;
    let deadline = std::time::Instant::now() + GIVEN_UP;
    while !scene.agent.log().contains("a policy in force denies the agent the way to it") {
        ensure!(std::time::Instant::now() < deadline, "it says nothing: {}", scene.agent.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let service = "169.254.169.254:80";
    let record = scene.agent.record(SOON, |record| says(record, "dst", service))?;
    ensure!(says(&record, "verdict", "blocked") && says(&record, "policy", "nothing"), "{record}");
    ensure!(says(node_of(&record), "provider", "gcp"), "{record}");
    ensure!(node_of(&record).get("instance").is_none(), "{record}");
    ensure!(scene.service.asked().is_empty(), "{:?}", scene.service.asked());
    ensure!(scene.end()? == 0, "something was sent to the service");
    Ok(())
}
