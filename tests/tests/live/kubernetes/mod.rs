//! The agent at a real API server: pods, owners and services are told, policies follow labels, nothing is
//! lost while the server is down, and nothing is asked for that the chart does not grant.

mod admission;
mod cluster;
mod nodes;
mod objects;
mod scene;
mod workloads;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::agent::sentinel_program;
use sentinel_tests::netlab::Lab;
use sentinel_tests::{containerd, kubernetes};
use serde_json::{Value, json};

use crate::allowlist::says;
use crate::stage::PEER;
use crate::trial;
use scene::{ECONNREFUSED, EPERM, NAMESPACE, NODE, OTHER, PORT, SOON, Scene, eventually, within};

type Test = fn() -> Result<()>;

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 4] = [
        ("kubernetes/pods_owners_services_and_no_server", known),
        ("kubernetes/policies_are_objects", objects::life),
        ("kubernetes/rules_on_workloads_follow_pods", workloads::follow),
        ("kubernetes/one_node_writes_for_all", nodes::one_writes),
    ];
    let missing = kubernetes::missing();
    let name = |name: &str| match missing {
        Some(what) => format!("{name} (needs {what}: cargo xtask setup)"),
        None => name.to_owned(),
    };
    let trials = tests.map(|(test, run)| trial(name(test), run));
    let skip = missing.is_some();
    let skipped = |test: Trial, skip: bool| if skip { test.with_ignored_flag(true) } else { test };
    let missing = missing.or_else(kubernetes::missing_for_nodes).or_else(containerd::missing);
    let missing = missing.or_else(containerd::missing_for_registry);
    let node = "kubernetes/a_kubelet_runs_the_daemonset";
    let node = match missing {
        Some(what) => format!("{node} (needs {what}: cargo xtask setup)"),
        None => node.to_owned(),
    };
    let node = skipped(trial(node, cluster::by_the_readme), missing.is_some());
    let newer = "kubernetes/a_newer_server_knows_the_rules";
    let unbuilt = kubernetes::missing_for_admission();
    let newer = match unbuilt {
        Some(what) => format!("{newer} (needs {what}: name this test, and it is built)"),
        None => newer.to_owned(),
    };
    let newer = skipped(trial(newer, admission::by_cel), skip || unbuilt.is_some());
    trials.into_iter().map(|test| skipped(test, skip)).chain([node, newer]).collect()
}

/// A policy on pods by their own labels and their namespace's.
fn policy(lab: &Lab) -> String {
    format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {{name: web-only}}\n\
         spec: {{workload: {{podSelector: {{matchLabels: {{app: web}}}}, \
         namespaceSelector: {{matchLabels: {{team: a}}}}}}, mode: enforce, \
         egress: [{{toCIDRs: [\"{}/32\"]}}]}}\n",
        lab.subnet().v4(PEER)
    )
}

fn known() -> Result<()> {
    let mut scene = Scene::begin("sentinel-kube", 61, policy)?;
    let admin = scene.cluster.admin();
    scene::pod(&scene.cluster, "web-6d4c-far", "node-2")?;
    let ends = json!({"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice",
        "metadata": {"name": "db-1", "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4", "ports": [{"port": PORT, "protocol": "TCP", "name": ""}],
        "endpoints": [{"addresses": [scene.lab.subnet().v4(OTHER).to_string()]}]});
    admin.create(&ends)?;
    eventually("the policy is on the pod", || Ok(scene.connect(OTHER)? == EPERM))?;
    ensure!(scene.connect(PEER)? == ECONNREFUSED, "it is not let to what its policy allows");
    eventually("the service's end is known", || {
        Ok(scene.agent.metric("sentinel_kubernetes_objects{kind=\"service_address\"}")? >= 2.0)
    })?;
    eventually("this node's pods are known", || {
        Ok(scene.agent.metric("sentinel_kubernetes_objects{kind=\"pod\"}")? == 1.0)
    })?;
    scene.connect(OTHER)?;
    told(&scene)?;
    down(&mut scene)?;
    scene.cluster.admin().delete(&scene.pod)?;
    eventually("the pod is gone", || {
        Ok(scene.agent.metric("sentinel_kubernetes_objects{kind=\"pod\"}")? == 0.0)
    })?;
    no_more_than_granted(&scene, false)?;
    scene.end()
}

/// An event of the pod says whose it is and where it went.
fn told(scene: &Scene) -> Result<()> {
    let db = format!("{NAMESPACE}/db");
    let record = scene.agent.record(SOON, |record| says(record, "service", &db))?;
    ensure!(says(&record, "policy", "web-only"), "{record}");
    let workload = record.get("workload").context("no workload")?;
    let expected = [("namespace", NAMESPACE), ("pod", "web-6d4c-x"), ("container_name", "app")];
    for (key, value) in expected {
        ensure!(says(workload, key, value), "{key} is not {value}: {record}");
    }
    let owner = workload.get("owner").context("no owner")?;
    ensure!(says(owner, "kind", "Deployment") && says(owner, "name", "web"), "{record}");
    let node = record.get("node").context("no node")?;
    let expected = [
        ("name", NODE),
        ("provider", "aws"),
        ("instance", "i-0abc1234567890def"),
        ("region", "eu-central-1"),
        ("zone", "eu-central-1a"),
    ];
    for (key, value) in expected {
        ensure!(says(node, key, value), "{key} is not {value}: {record}");
    }
    Ok(())
}

/// Without a server the last state holds and nothing storms; with it all goes on.
fn down(scene: &mut Scene) -> Result<()> {
    let failures = |scene: &Scene| -> Result<f64> {
        scene.agent.metric("sentinel_kubernetes_failures_total{resource=\"pods\"}")
    };
    scene.cluster.interrupt();
    eventually("the silence is noticed", || {
        Ok(scene.agent.metric("sentinel_kubernetes_watches_answering")? == 0.0)
    })?;
    let before = failures(scene)?;
    std::thread::sleep(Duration::from_secs(10));
    let tries = failures(scene)? - before;
    ensure!((1.0..=5.0).contains(&tries), "{tries} tries in 10 s");
    let status = ask(scene, "status")?;
    let last = format!("degraded, 1 pods of {NODE}");
    ensure!(status.contains(&last), "{status}");
    ensure!(scene.connect(OTHER)? == EPERM, "the policy is lost with the server");
    ensure!(scene.connect(PEER)? == ECONNREFUSED, "the policy is lost with the server");
    scene.cluster.resume()?;
    eventually("the server is heard again", || {
        let kinds = scene.agent.metric("sentinel_kubernetes_watches_answering")?;
        Ok(kinds == scene::KINDS)
    })?;
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let change = json!({"metadata": {"labels": {"team": "b"}}});
    scene.cluster.admin().patch(&shop, &change)?;
    let took = within(SOON, "a namespace's new label counts", || {
        Ok(scene.connect(OTHER)? == ECONNREFUSED)
    })?;
    println!("a namespace's new label counted after {took:?}");
    Ok(())
}

/// The agent asks for nothing that the chart does not grant; and, when `all` of it was needed, for all that
/// it does. One that has just started may refuse what it grants.
fn no_more_than_granted(scene: &Scene, all: bool) -> Result<()> {
    let mut granted = BTreeSet::new();
    let rules = scene.granted.iter().filter_map(|object| object.get("rules")?.as_array());
    for rule in rules.flatten() {
        let list = |key: &str| -> Vec<String> {
            let values = rule.get(key).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for group in list("apiGroups") {
            for resource in list("resources") {
                let verbs = list("verbs").into_iter();
                granted.extend(verbs.map(|verb| (verb, group.clone(), resource.clone())));
            }
        }
    }
    ensure!(!granted.is_empty(), "the chart grants nothing");
    if all {
        eventually("all that is granted is asked for", || {
            Ok(granted.is_subset(&scene.cluster.asked(&Scene::user())?.0))
        })?;
    }
    let (asked, refused) = scene.cluster.asked(&Scene::user())?;
    ensure!(asked.is_subset(&granted), "asked: {asked:?}\ngranted: {granted:?}");
    ensure!(!all || refused.is_empty(), "it was refused: {refused:?}");
    Ok(())
}

/// Asks the agent, as a person would.
fn ask(scene: &Scene, verb: &str) -> Result<String> {
    let mut command = Command::new(sentinel_program()?);
    command.arg(verb).arg("--state-dir").arg(scene.agent.folder());
    Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
}
