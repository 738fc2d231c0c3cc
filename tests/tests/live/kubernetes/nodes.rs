//! Two nodes and one object: the status has what both say, one of them writes it, nobody writes it again
//! without news, and the other takes over when that one is gone.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::agent::Agent;
use sentinel_tests::cgroup::TestCgroup;
use serde_json::{Value, json};

use super::objects::{object, only_to, status};
use super::scene::{self, NODE, Scene, within};

const OTHER_NODE: &str = "node-2";
/// Nodes look for something to say every five seconds or so; whoever writes says that it lives every 15.
const QUIET: Duration = Duration::from_secs(25);
/// Nobody else may write for 45 s after the last word of who did.
const TAKEN_OVER: Duration = Duration::from_secs(90);
const FILE: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
    metadata: {name: node}\nspec: {stratum: block}\n";

pub fn one_writes() -> Result<()> {
    let scene = Scene::begin("sentinel-nodes", 63, |_| FILE.to_owned())?;
    scene::pod(&scene.cluster, "web-6d4c-y", OTHER_NODE)?;
    scene::pod(&scene.cluster, "web-6d4c-z", OTHER_NODE)?;
    let config = scene::config(&scene.cluster, "sentinel-nodes-2", OTHER_NODE)?;
    let group = TestCgroup::unique("sentinel-nodes-2")?;
    let other = Agent::start(&group, &["--mode", "audit", "--config", config.path()?])?;

    let shared = object("shared", only_to(&["10.0.0.0/8".to_owned()]));
    scene.cluster.admin().create(&shared)?;
    status(&scene, &shared, "both nodes count", |status| {
        status.get("nodes") == Some(&json!(2)) && status.get("workloads") == Some(&json!(3))
    })?;
    let now = scene.cluster.admin().read(&shared)?;
    let managers = now.pointer("/metadata/managedFields").and_then(Value::as_array);
    let writes_status = |one: &&Value| one.pointer("/fieldsV1/f:status").is_some();
    let managers: Vec<&Value> =
        managers.context("no managers")?.iter().filter(writes_status).collect();
    ensure!(managers.len() == 1, "whose is the status? {managers:?}");

    let writes = || scene.cluster.status_writes("egresspolicies", "shared");
    let before = writes()?;
    ensure!((1..=3).contains(&before), "{before} writes of one status");
    thread::sleep(QUIET);
    ensure!(writes()? == before, "it was written {} times without news", writes()? - before);

    let writer = scene::writer(&scene.cluster)?;
    ensure!([NODE, OTHER_NODE].contains(&writer.as_str()), "{writer} writes");
    // The one that wrote goes, and what is news after that is told by the other.
    let Scene { agent, cluster, .. } = scene;
    let (gone, left) =
        if writer == NODE { (agent, (other, OTHER_NODE)) } else { (other, (agent, NODE)) };
    ensure!(gone.stop()?.success(), "the agent did not end well");
    let (_left, left) = left;
    cluster.admin().patch(&shared, &json!({"spec": only_to(&["10.0.0.0/9".to_owned()])}))?;
    let took = within(TAKEN_OVER, "the other node writes", || {
        thread::sleep(Duration::from_millis(500));
        let now = cluster.admin().read(&shared)?;
        Ok(now.pointer("/status/observedGeneration") == now.pointer("/metadata/generation"))
    })?;
    println!("{left} wrote {took:?} after {writer} was gone");
    ensure!(scene::writer(&cluster)? == left, "the status has another writer");
    Ok(())
}
