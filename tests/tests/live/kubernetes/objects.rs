//! Policies as objects: refused where they are wrong, in the kernel within a second, gone when they are
//! deleted, a thousand of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scene::{ECONNREFUSED, EPERM, NAMESPACE, OTHER, Scene, eventually, within};
use super::{ask, no_more_than_granted};
use crate::stage::PEER;

/// Until a change is in the kernel. A second is what is promised; a machine that builds beside it is slower.
const PROMISED: Duration = Duration::from_secs(3);
const MANY: usize = 1000;
/// A policy from a file, besides.
const FILE: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
    metadata: {name: node}\nspec: {stratum: block}\n";

pub fn object(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "sentinel.dev/v1alpha1", "kind": "EgressPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

pub fn only_to(addresses: &[String]) -> Value {
    json!({"workload": {"podSelector": {"matchLabels": {"app": "web"}}}, "mode": "enforce",
        "egress": [{"toCIDRs": addresses}]})
}

pub fn life() -> Result<()> {
    let scene = Scene::begin("sentinel-object", 62, |_| FILE.to_owned())?;
    let admin = scene.cluster.admin();
    let address = |host| format!("{}/32", scene.lab.subnet().v4(host));
    let policies = || scene.agent.metric("sentinel_kubernetes_objects{kind=\"policy\"}");
    eventually("the pod is known", || {
        Ok(scene.agent.metric("sentinel_kubernetes_objects{kind=\"pod\"}")? == 1.0)
    })?;
    ensure!(scene.connect(OTHER)? == ECONNREFUSED, "denied by nobody");

    audited(&scene, &only_to(&[address(PEER)]))?;
    let web = object("web", only_to(&[address(PEER)]));
    admin.create(&web)?;
    let took = within(PROMISED, "it is in force", || Ok(scene.connect(OTHER)? == EPERM))?;
    println!("a new policy was in force after {took:?}");
    ensure!(scene.connect(PEER)? == ECONNREFUSED, "it is not let to what its policy allows");

    let wider = json!({"spec": only_to(&[address(PEER), address(OTHER)])});
    admin.patch(&web, &wider)?;
    let took = within(PROMISED, "it changes", || Ok(scene.connect(OTHER)? == ECONNREFUSED))?;
    println!("a change was in force after {took:?}");
    admin.patch(&web, &json!({"spec": only_to(&[address(PEER)])}))?;
    within(PROMISED, "it changes back", || Ok(scene.connect(OTHER)? == EPERM))?;

    refused(&scene)?;
    // What only the agent can tell leaves in force what was.
    admin.patch(&web, &json!({"spec": only_to(&["10.0.0.1/8".to_owned()])}))?;
    eventually("what is wrong is told by its field", || {
        let status = ask(&scene, "status")?;
        Ok(status.contains("spec.egress[0].toCIDRs[0]: \"10.0.0.1/8\" has bits set behind"))
    })?;
    status(&scene, &web, "a wrong one's status says so", |status| {
        let message = status.pointer("/conditions/0/message").and_then(Value::as_str);
        status.pointer("/conditions/0/status") == Some(&json!("False"))
            && message.is_some_and(|message| message.starts_with("spec.egress[0].toCIDRs[0]: "))
    })?;
    ensure!(scene.connect(OTHER)? == EPERM, "a wrong one took the right one away");
    admin.patch(&web, &json!({"spec": only_to(&[address(PEER)])}))?;

    let one = |number: usize| {
        let selector = json!({"matchLabels": {"app": format!("a{number}")}});
        let prefix = format!("10.{}.{}.0/24", number / 200, number % 200);
        let spec = json!({"workload": {"podSelector": selector}, "mode": "enforce",
            "egress": [{"toCIDRs": [prefix]}]});
        object(&format!("policy-{number}"), spec)
    };
    admin.create_all(&(0..MANY).map(one).collect::<Vec<_>>())?;
    eventually("a thousand are known", || Ok(policies()? == (MANY + 1) as f64))?;
    admin.patch(&web, &wider)?;
    let took =
        within(PROMISED, "it changes among many", || Ok(scene.connect(OTHER)? == ECONNREFUSED))?;
    println!("a change among {MANY} was in force after {took:?}");
    admin.patch(&web, &json!({"spec": only_to(&[address(PEER)])}))?;
    within(PROMISED, "it changes back", || Ok(scene.connect(OTHER)? == EPERM))?;

    admin.delete(&web)?;
    let took = within(PROMISED, "it is gone", || Ok(scene.connect(OTHER)? == ECONNREFUSED))?;
    println!("a deletion among {MANY} counted after {took:?}");
    no_more_than_granted(&scene, true)?;
    scene.end()
}

/// What the server itself refuses, by the schema.
fn refused(scene: &Scene) -> Result<()> {
    let port = |port: Value| json!({"mode": "enforce", "egress": [{"toCIDRs": ["10.0.0.0/8"], "ports": [port]}]});
    let wrong = [
        ("spec.mode", json!({"mode": "enforced"})),
        ("spec.egress", json!({"mode": "audit", "egress": [{"toCIDRs": ["nonsense"]}]})),
        ("spec.egress", port(json!({"port": 70000}))),
        ("spec.egress", port(json!({"port": 53, "protocol": "HTTP"}))),
        ("spec.workload", json!({"workload": {}, "stratum": "block"})),
    ];
    for (field, spec) in wrong {
        let Err(error) = scene.cluster.admin().create(&object("wrong", spec.clone())) else {
            anyhow::bail!("the server takes {spec}");
        };
        let error = format!("{error:#}");
        ensure!(error.contains(field) && error.contains("Invalid"), "{spec}: {error}");
    }
    eventually("nothing wrong is known", || {
        Ok(scene.agent.metric("sentinel_kubernetes_objects{kind=\"refused_policy\"}")? == 0.0)
    })
}

/// Policies under audit say in their status where they are and what they would have cut.
fn audited(scene: &Scene, spec: &Value) -> Result<()> {
    let mut spec = spec.clone();
    spec.as_object_mut().context("no table")?.insert("mode".to_owned(), json!("audit"));
    let watching = object("watching", spec);
    scene.cluster.admin().create(&watching)?;
    let cluster = json!({"apiVersion": "sentinel.dev/v1alpha1", "kind": "ClusterEgressPolicy",
        "metadata": {"name": "everywhere"}, "spec": {"stratum": "block"}});
    scene.cluster.admin().create(&cluster)?;
    status(scene, &watching, "it is accepted where its pod is", |status| {
        status.pointer("/conditions/0/status") == Some(&json!("True"))
            && status.get("nodes") == Some(&json!(1))
            && status.get("workloads") == Some(&json!(1))
    })?;
    ensure!(scene.connect(OTHER)? == ECONNREFUSED, "audit has cut");
    status(scene, &watching, "what it would have cut is counted", |status| {
        status.get("auditHits").and_then(Value::as_u64).is_some_and(|hits| hits > 0)
    })?;
    status(scene, &cluster, "one of no namespace is accepted", |status| {
        status.pointer("/conditions/0/status") == Some(&json!("True"))
    })?;
    scene.cluster.admin().delete(&watching)?;
    scene.cluster.admin().delete(&cluster).map(drop)
}

/// Waits for a status of the newest specification.
pub fn status(
    scene: &Scene,
    object: &Value,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Result<()> {
    eventually(what, || {
        let now = scene.cluster.admin().read(object)?;
        let seen = now.pointer("/status/observedGeneration");
        let is_newest = seen.is_some() && seen == now.pointer("/metadata/generation");
        Ok(is_newest && now.get("status").is_some_and(&holds))
    })
}
