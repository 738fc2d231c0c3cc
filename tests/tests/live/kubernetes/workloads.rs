//! Rules on workloads: open while a pod with the labels is there, by its own address and by its service's,
//! and no longer.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::agent::sentinel_program;
use serde_json::{Value, json};

use super::ask;
use super::objects::object;
use super::scene::{ECONNREFUSED, EPERM, NAMESPACE, OTHER, PORT, SOON, Scene, within};
use crate::stage::PEER;

/// The service's, which leads to [`PORT`].
const FRONT: u16 = 15_432;
/// A policy from a file, which says nothing of connections.
const FILE: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\n\
    metadata: {name: node}\nspec: {stratum: block}\n";

pub fn follow() -> Result<()> {
    let scene = Scene::begin("sentinel-towards", 63, |_| FILE.to_owned())?;
    let admin = scene.cluster.admin();
    let host = |host| IpAddr::from(scene.lab.subnet().v4(host));
    let db = json!({"podSelector": {"matchLabels": {"tier": "db"}}});
    admin.create(&object(
        "web",
        json!({"workload": {"podSelector": {"matchLabels": {"app": "web"}}}, "mode": "enforce",
            "egress": [{"toWorkloads": db, "ports": [{"port": PORT}]}]}),
    ))?;
    within(SOON, "where no pod has the labels all is closed", || {
        Ok(scene.connect(OTHER)? == EPERM && scene.connect(PEER)? == EPERM)
    })?;

    let service = admin.create(&json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "postgres", "tier": "db"},
            "ports": [{"name": "sql", "port": FRONT, "targetPort": PORT}]}}))?;
    let slice = json!({"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice",
        "metadata": {"name": "db-1", "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4", "ports": [{"port": PORT, "protocol": "TCP", "name": "sql"}],
        "endpoints": [{"addresses": [host(OTHER).to_string()]}]});
    admin.create(&slice)?;
    let took = within(SOON, "a pod behind the service is open", || {
        Ok(scene.connect(OTHER)? == ECONNREFUSED)
    })?;
    println!("a pod behind a service was open after {took:?}");
    ensure!(scene.connect(PEER)? == EPERM, "another address is open too");
    let front = service.pointer("/spec/clusterIP").and_then(Value::as_str).context("no address")?;
    let front: IpAddr = front.parse()?;
    // Nothing in this laboratory leads there: whoever may go finds no way.
    let outcome = scene.connect_to(SocketAddr::new(front, FRONT))?;
    ensure!(outcome != EPERM, "the service's own address is closed");
    for (address, port) in [(front, PORT), (host(OTHER), FRONT)] {
        let outcome = scene.connect_to(SocketAddr::new(address, port))?;
        ensure!(outcome == EPERM, "{address} is open on {port}: {outcome:?}");
    }
    for (host, verdict) in [(OTHER, "allowed"), (PEER, "blocked")] {
        let said = explained(&scene, host)?;
        ensure!(said == verdict, "explained as {said}, and {verdict} by the kernel");
    }

    // A pod of this node needs no service.
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/cache");
    admin.create(&json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "cache", "namespace": NAMESPACE, "labels": {"tier": "db"}},
        "spec": {"nodeName": super::NODE, "containers": [{"name": "c", "image": "c:1"}]}}))?;
    let status =
        json!({"status": {"phase": "Running", "podIPs": [{"ip": host(PEER).to_string()}]}});
    admin.send("PATCH", &format!("{path}/status"), Some(&status))?;
    within(SOON, "this node's pod is open", || Ok(scene.connect(PEER)? == ECONNREFUSED))?;
    let relabelled = json!({"metadata": {"labels": {"tier": "cache"}}});
    admin.send("PATCH", &path, Some(&relabelled))?;
    let took =
        within(SOON, "with another label it is closed", || Ok(scene.connect(PEER)? == EPERM))?;
    println!("a pod with another label was closed after {took:?}");

    // A file that is wrong by now holds nobody up.
    scene.write_policy("nonsense")?;
    let is_wrong = || Ok(ask(&scene, "status")?.contains("problem"));
    within(SOON, "the file is refused", is_wrong)?;
    admin.delete(&slice)?;
    let took = within(SOON, "without its end it is closed", || Ok(scene.connect(OTHER)? == EPERM))?;
    println!("a pod that was gone was closed after {took:?}");
    ensure!(took < Duration::from_secs(10), "closed after {took:?}");
    ensure!(is_wrong()?, "the file is wrong still, and nobody says so");
    scene.end()
}

/// What `policy explain` says of a connection from the pod.
fn explained(scene: &Scene, host: u8) -> Result<String> {
    let to = SocketAddr::new(scene.lab.subnet().v4(host).into(), PORT).to_string();
    let mut command = Command::new(sentinel_program()?);
    command.args(["policy", "explain", "--format", "json", "--to", &to]);
    command.args(["--workload", "pod:shop/web-6d4c-x", "--labels", "app=web"]);
    command.arg("--state-dir").arg(scene.agent.folder());
    let output = command.output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let verdict = answer.pointer("/answers/0/verdict").and_then(Value::as_str);
    Ok(verdict.with_context(|| format!("no verdict: {answer}"))?.to_owned())
}
