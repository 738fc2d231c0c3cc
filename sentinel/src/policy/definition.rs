//! The definitions of the policies' kinds for a Kubernetes API, made from the types that read them:
//! `deploy/kubernetes/crds.yaml`, and the same in the chart. `BLESS=1` writes both. A server of 1.25 and
//! newer holds objects against the rules (CEL), an older one against the rest of the schema.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::model::Spec;
use super::object::ObjectKind;

mod rules;

/// What the agents say of a policy.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is here for its schema: agents write it field by field")]
struct Status {
    /// The number of the specification that this is about.
    observed_generation: Option<i64>,
    /// Nodes on which it is in force.
    nodes: Option<i32>,
    /// Workloads that it is on, on all nodes.
    workloads: Option<i32>,
    /// Events that it would have cut under enforcement, on all nodes.
    audit_hits: Option<i64>,
    /// `Accepted`: whether it is in force, or what is wrong with it.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    conditions: Option<Vec<Condition>>,
}

/// As in Kubernetes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is here for its schema")]
struct Condition {
    /// What it is about.
    #[schemars(rename = "type", length(max = 64))]
    kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    status: String,
    /// Why, in a word.
    #[schemars(length(max = 64))]
    reason: String,
    /// Why, in a sentence.
    #[schemars(length(max = 4096))]
    message: String,
    /// The number of the specification that this is about.
    observed_generation: Option<i64>,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    last_transition_time: String,
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural(&mut schema);
    schema
}

/// What JSON Schema may say and a definition may not.
fn structural(schema: &mut Value) {
    let Value::Object(table) = schema else { return };
    for key in ["$schema", "title"] {
        table.remove(key);
    }
    // The server knows no unknown fields: it drops them, or refuses them where asked to.
    if table.get("additionalProperties") == Some(&Value::Bool(false)) {
        table.remove("additionalProperties");
    }
    // "Or null" is what an optional field is.
    if let Some(Value::Array(types)) = table.get("type") {
        let one = types.iter().find(|one| *one != "null").cloned().expect("a type");
        table.insert("type".to_owned(), one);
    }
    if let Some(Value::Array(choices)) = table.remove("anyOf") {
        let one = { choices }.into_iter().find(|one| *one != json!({"type": "null"}));
        let Some(Value::Object(one)) = one else { panic!("a choice of nothing") };
        for (key, value) in one {
            table.entry(key).or_insert(value);
        }
    }
    if let Some(Value::Array(values)) = table.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if table.get("default").is_some() {
        table.remove("default");
    }
    if let Some(format) = table.get("format").and_then(Value::as_str)
        && !["date-time", "int32", "int64"].contains(&format)
    {
        table.remove("format");
    }
    for key in ["items", "additionalProperties"] {
        table.get_mut(key).into_iter().for_each(structural);
    }
    if let Some(Value::Object(properties)) = table.get_mut("properties") {
        properties.values_mut().for_each(structural);
    }
}

/// The definition of a kind.
fn definition(kind: ObjectKind) -> Value {
    let (name, plural, scope) = match kind {
        ObjectKind::Namespaced => ("EgressPolicy", "egresspolicies", "Namespaced"),
        ObjectKind::Cluster => ("ClusterEgressPolicy", "clusteregresspolicies", "Cluster"),
    };
    let mut spec = schema_of::<Spec>();
    rules::add(&mut spec, kind);
    let about = match kind {
        ObjectKind::Namespaced => "What pods of a namespace may reach, and who may call them.",
        ObjectKind::Cluster => {
            "What workloads of any namespace, or of none, may reach, and who may call them."
        }
    };
    let column = |name: &str, kind: &str, path: &str, about: &str| json!({"name": name, "type": kind, "jsonPath": path, "description": about});
    let accepted = ".status.conditions[?(@.type==\"Accepted\")].status";
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.sentinel.dev")},
        "spec": {
            "group": "sentinel.dev",
            "scope": scope,
            "names": {"kind": name, "listKind": format!("{name}List"), "plural": plural,
                "singular": name.to_lowercase(), "categories": ["sentinel"]},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Mode", "string", ".spec.mode", "Told only, or dropped."),
                    column("Accepted", "string", accepted, "Whether it is in force."),
                    column("Nodes", "integer", ".status.nodes", "Nodes on which it is in force."),
                    column("Hits", "integer", ".status.auditHits", "What it would have cut under enforcement."),
                    column("Age", "date", ".metadata.creationTimestamp", "Since when it is there."),
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "description": about, "required": ["spec"],
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "metadata": {"type": "object"},
                        "spec": spec,
                        "status": schema_of::<Status>(),
                    },
                }},
            }],
        },
    })
}

fn document() -> String {
    let head = "# Generated from the types in sentinel/src/policy/model.rs: change it there.\n";
    let kinds = [ObjectKind::Namespaced, ObjectKind::Cluster];
    let texts = kinds.map(|kind| serde_saphyr::to_string(&definition(kind)).unwrap());
    format!("{head}{}", texts.join("---\n"))
}

#[test]
fn the_definitions_in_the_tree_are_current() {
    let current = document();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for name in ["kubernetes/crds.yaml", "helm/sentinel/crds/sentinel.yaml"] {
        let path = deploy.join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &current).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == current, "{} is not current: run the tests with BLESS=1", path.display());
    }
    let read: Vec<Value> = serde_saphyr::from_multiple(&current).unwrap();
    assert_eq!(read, [ObjectKind::Namespaced, ObjectKind::Cluster].map(definition));
}

/// What a definition must not have to be structural.
#[test]
fn the_schemas_are_structural() {
    fn check(schema: &Map<String, Value>, path: &str) {
        assert!(schema.get("type").is_some_and(Value::is_string), "{path} has no type");
        for word in ["$ref", "anyOf", "oneOf", "const", "definitions", "nullable"] {
            assert!(!schema.contains_key(word), "{path} has {word}");
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, one) in properties.into_iter().flatten() {
            check(one.as_object().unwrap(), &format!("{path}.{name}"));
        }
        if let Some(items) = schema.get("items") {
            check(items.as_object().unwrap(), &format!("{path}[]"));
        }
    }
    for kind in [ObjectKind::Namespaced, ObjectKind::Cluster] {
        let whole = definition(kind);
        let schema = whole.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        check(schema.as_object().unwrap(), kind.name());
    }
}

#[test]
fn the_pattern_of_prefixes_knows_what_no_prefix_is() {
    let pattern = regex_automata::meta::Regex::new(super::model::PREFIX).unwrap();
    let wrong =
        ["10.0.0.0/33", "10.0.0.256/8", "10.0.0/8", "10.0.0.0", "10.0.0.0/8 ", "::/129", "a::/64/"];
    for text in wrong {
        assert!(text.parse::<IpNet>().is_err() && !pattern.is_match(text), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn the_pattern_of_prefixes_takes_every_prefix(
        v4: u32, v6: u128, short in 0..=32_u8, long in 0..=128_u8
    ) {
        let pattern = regex_automata::meta::Regex::new(super::model::PREFIX).unwrap();
        let v4 = IpNet::new(Ipv4Addr::from(v4).into(), short).unwrap();
        let v6 = IpNet::new(Ipv6Addr::from(v6).into(), long).unwrap();
        let mapped = format!("::ffff:{v4}");
        for text in [v4.to_string(), v6.to_string(), mapped] {
            assert!(pattern.is_match(&text), "{text}");
        }
    }
}
