//! What is under `deploy/` fits the agent: its flags, its settings, its capabilities.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use sentinel::cli::{Cli, Command};
use sentinel::config::{Config, ConfigFile};
use sentinel::policy;
use serde_json::Value;
use time::OffsetDateTime;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap()
}

/// The one object of this kind in the manifests.
fn object(kind: &str) -> Value {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&read("kubernetes/sentinel.yaml")).unwrap();
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}

fn container() -> Value {
    object("DaemonSet")["spec"]["template"]["spec"]["containers"][0].clone()
}

fn settings() -> Config {
    let map = object("ConfigMap");
    let text = map["data"]["sentinel.yaml"].as_str().unwrap();
    let file = ConfigFile::parse(text, Path::new("sentinel.yaml")).unwrap();
    Config::new(ConfigFile::default(), file)
}

/// The configuration file that a command line names.
fn config_of<'a>(line: impl IntoIterator<Item = &'a str>) -> PathBuf {
    match Cli::try_parse_from(line).unwrap().command {
        Command::Run(arguments) => arguments.config.unwrap(),
        other => unreachable!("{other:?} is not run"),
    }
}

#[test]
fn the_daemonset_starts_the_agent_with_flags_that_it_knows() {
    let container = container();
    let arguments = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let config = config_of(["sentinel"].into_iter().chain(arguments));
    let mounts = container["volumeMounts"].as_array().unwrap();
    let folder = config.parent().unwrap().to_str().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == folder), "{folder} is not mounted");
}

#[test]
fn ports_and_folders_of_the_daemonset_are_those_of_its_settings() {
    let (container, settings) = (container(), settings());
    let port = settings.listen.unwrap().port();
    assert_eq!(container["ports"][0]["containerPort"], port);
    assert_eq!(container["ports"][0]["hostPort"], port);
    let mounts = container["volumeMounts"].as_array().unwrap();
    let state = settings.state_dir.to_str().unwrap();
    let mount = mounts.iter().find(|mount| mount["mountPath"] == state).unwrap();
    // The root of the container is read only.
    assert_eq!(mount["readOnly"], Value::Null);
    assert_eq!(settings.events, Some("-".into()));
    assert_eq!(settings.mode, sentinel_common::verdict::Mode::Audit, "nothing is cut unasked");
}

/// `NEEDED` of `datapath/platform.rs`, and what finds processes and destroys sockets.
#[test]
fn image_and_unit_grant_the_same_capabilities_and_nothing_more() {
    let context = container()["securityContext"].clone();
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert_eq!(
        (&context["privileged"], &context["readOnlyRootFilesystem"]),
        (&false.into(), &true.into())
    );
    let granted = context["capabilities"]["add"].as_array().unwrap().iter();
    let granted: BTreeSet<String> =
        granted.map(|name| format!("CAP_{}", name.as_str().unwrap())).collect();
    let unit = read("systemd/sentinel.service");
    let bounding =
        unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    assert_eq!(granted, bounding.split(' ').map(str::to_owned).collect());
    for needed in ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"] {
        assert!(granted.contains(needed), "{needed} is missing");
    }
}

#[test]
fn the_daemonset_sees_the_host() {
    let pod = object("DaemonSet")["spec"]["template"]["spec"].clone();
    assert_eq!((&pod["hostPID"], &pod["hostNetwork"]), (&true.into(), &true.into()));
    assert_eq!(pod["tolerations"][0]["operator"], "Exists");
    let paths: BTreeSet<&str> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|volume| volume["hostPath"]["path"].as_str())
        .collect();
    assert!(paths.is_superset(&BTreeSet::from(["/sys/fs/cgroup", "/sys/fs/bpf"])), "{paths:?}");
}

/// The token is the agent's alone, and it asks about its own node.
#[test]
fn the_agent_asks_the_api_server_as_itself_about_its_node() {
    let pod = object("DaemonSet")["spec"]["template"]["spec"].clone();
    let account = object("ServiceAccount");
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(pod["automountServiceAccountToken"], true);
    assert_eq!(account["automountServiceAccountToken"], false);
    for binding in ["ClusterRoleBinding", "RoleBinding"] {
        let subject = object(binding)["subjects"][0].clone();
        assert_eq!(subject["name"], account["metadata"]["name"], "{binding}");
        assert_eq!(subject["namespace"], account["metadata"]["namespace"], "{binding}");
    }
    let environment = container()["env"].as_array().unwrap().clone();
    let node = environment.iter().find(|one| one["name"] == "NODE_NAME").unwrap();
    assert_eq!(node["valueFrom"]["fieldRef"]["fieldPath"], "spec.nodeName");
}

#[test]
fn the_unit_starts_the_agent_with_flags_that_it_knows() {
    let unit = read("systemd/sentinel.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(config_of(line.split(' ')), Path::new("/etc/sentinel/sentinel.yaml"));
    // The agent's socket is in the folder that systemd makes for it.
    assert!(unit.contains("RuntimeDirectory=sentinel\n"));
    let settings = Config::new(ConfigFile::default(), ConfigFile::default());
    assert_eq!(settings.state_dir, Path::new("/run/sentinel"));
}

#[test]
fn what_the_package_brings_is_understood_as_it_lies() {
    let file = ConfigFile::read(&deploy("sentinel.yaml")).unwrap();
    assert_eq!(file.policies, [deploy("policies")]);
    let set = policy::compile(&policy::load(&file.policies).unwrap(), OffsetDateTime::UNIX_EPOCH);
    let set = set.unwrap();
    assert_eq!(set.policies.len(), 1);
    assert_eq!(set.stratum(), sentinel_common::verdict::Mode::Enforce);
}
