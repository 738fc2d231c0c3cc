//! What is written about the settings comes from their types: `deploy/sentinel.yaml`, and what the chart's
//! `values.schema.json` says of `config`. `BLESS=1` writes both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

/// A key, a value for it, and what that value is.
struct Key(&'static str, &'static str, Worth);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// What holds when the key is left out.
    Default,
    /// Something to write there; without it, these words hold.
    Example(&'static str),
    /// Written, and not left in a comment: the package brings what it names.
    Set,
}
use Worth::{Default as D, Example as E, Set};

/// The keys in the order in which a reader wants them.
const KEYS: [Key; 23] = [
    Key("mode", "audit", D),
    Key("stratum", "block", E("what the policies say, else block")),
    Key("names", "alert", D),
    Key("peerToPeer", "alert", D),
    Key("rawSockets", "allow", D),
    Key("rootFallback", "refuse", D),
    Key("encryptedMining", "", D),
    Key("policies", "[policies]", Set),
    Key("resolvers", "[10.96.0.10]", E("none")),
    Key("discoverResolvers", "true", D),
    Key("feeds", "[pools.txt]", E("none")),
    Key("builtinFeed", "true", D),
    Key("signatures", "[signatures]", E("none")),
    Key("builtinSignatures", "true", D),
    Key("cri", "[/run/containerd/containerd.sock]", E("those at the usual places")),
    Key("kubernetes", "", D),
    Key("node", "", D),
    Key("cgroup", "/sys/fs/cgroup/system.slice", E("the whole host")),
    Key("pin", "/sys/fs/bpf/sentinel", E("all that is enforced ends with the agent")),
    Key("listen", "127.0.0.1:9640", E("not served")),
    Key("events", "/var/log/sentinel/events.json", E("standard output")),
    Key("stateDir", "/run/sentinel", D),
    Key("logLevel", "info", D),
];

const ENCRYPTED_MINING: [Key; 5] = [
    Key("mode", "alert", D),
    Key("threshold", "0.7", D),
    Key("interval", "10s", D),
    Key("watchFor", "300s", D),
    Key("weights", "{ cpu: 5 }", E("the built-in weights")),
];

const KUBERNETES: [Key; 3] = [
    Key("node", "node-1", E("the environment's NODE_NAME")),
    Key("kubeconfig", "kubeconfig", E("the pod's service account, where the agent runs in one")),
    Key("services", "true", D),
];

const NODE: [Key; 7] = [
    Key("name", "node-1", E("kubernetes.node, else NODE_NAME, else what the kernel calls it")),
    Key("provider", "aws", E("what Kubernetes says, else the firmware")),
    Key(
        "instance",
        "i-0123456789abcdef0",
        E("what Kubernetes, the firmware or the metadata service say"),
    ),
    Key("account", "\"123456789012\"", E("likewise")),
    Key("region", "eu-central-1", E("likewise")),
    Key("zone", "eu-central-1a", E("likewise")),
    Key("metadataService", "auto", D),
];

const HEAD: &str = "\
## Settings of `sentinel run --config FILE`. Every key may be left out; a flag of the command line wins
## over its key. Paths are taken from this file's folder. A change is taken up within seconds, but for
## `cgroup`, `cri`, `kubernetes`, `node`, `pin`, `rawSockets`, `listen`, `events`, `stateDir`, `logLevel` and `encryptedMining`, which
## need a restart; a mistake leaves what was before in force. Lines that begin with one # are settings to uncomment.
";

fn schema() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<ConfigFile>().to_value()
}

fn render(keys: &[Key], schema: &Value, indent: &str, text: &mut String) {
    let known: BTreeSet<&str> =
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(known, keys.iter().map(|key| key.0).collect(), "KEYS is not what the type has");
    for Key(name, value, worth) in keys {
        let property = &schema["properties"][name];
        let about = property["description"].as_str().expect("a key without a comment");
        if indent.is_empty() {
            text.push('\n');
        }
        for line in about.lines() {
            text.push_str(&format!("## {indent}{line}\n"));
        }
        if let E(without) = worth {
            text.push_str(&format!("## {indent}Left out: {without}.\n"));
        }
        let comment = if *worth == Set { "" } else { "# " };
        let gap = if value.is_empty() { "" } else { " " };
        text.push_str(&format!("{comment}{indent}{name}:{gap}{value}\n"));
        match *name {
            _ if !indent.is_empty() => {}
            "encryptedMining" => render(&ENCRYPTED_MINING, property, "  ", text),
            "kubernetes" => render(&KUBERNETES, property, "  ", text),
            "node" => render(&NODE, property, "  ", text),
            _ => {}
        }
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    render(&KEYS, &schema(), "", &mut text);
    text
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn is_current(path: &Path, current: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == current, "{} is not current: run the tests with BLESS=1", path.display());
}

#[test]
fn the_documented_configuration_is_that_of_the_types() {
    is_current(&deploy("sentinel.yaml"), &document());
}

#[test]
fn the_charts_values_know_the_settings() {
    let path = deploy("helm/sentinel/values.schema.json");
    let mut values: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut config = schema();
    let table = config.as_object_mut().unwrap();
    table.remove("$schema");
    let about = "Settings of the agent, as in deploy/sentinel.yaml.";
    table.insert("description".to_owned(), about.into());
    values["properties"]["config"] = config;
    is_current(&path, &(serde_json::to_string_pretty(&values).unwrap() + "\n"));
}

#[test]
fn what_is_written_is_understood_and_its_defaults_are_the_defaults() {
    let path = Path::new("sentinel.yaml");
    let text = document();
    let packaged = ConfigFile::parse(&text, path).unwrap();
    assert_eq!(packaged, ConfigFile { policies: vec!["policies".into()], ..Default::default() });
    let whole: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let file = ConfigFile::parse(&whole.join("\n"), path).unwrap();
    assert!(file.listen.is_some() && file.cgroup.is_some() && file.events.is_some());
    assert!(file.stratum.is_some() && !file.encrypted_mining.weights.is_empty());
    let mut written = Config::new(ConfigFile::default(), file);
    let without = Config::new(ConfigFile::default(), ConfigFile::default());
    written.stratum = without.stratum;
    written.encrypted_mining.settings.weights = without.encrypted_mining.settings.weights.clone();
    (written.policies, written.resolvers) = Default::default();
    (written.feeds, written.signatures) = Default::default();
    written.kubernetes = without.kubernetes.clone();
    assert_eq!(written.node.metadata_service.unwrap_or_default(), MetadataService::Auto);
    written.node = without.node.clone();
    (written.cgroup, written.cri, written.pin) = (None, None, None);
    (written.listen, written.events) = (None, None);
    assert_eq!(written, without);
}
