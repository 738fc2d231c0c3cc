//! A server that knows CEL takes the definitions, what is right, and nothing that is wrong.

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::kubernetes::{Admission, Cluster};
use serde_json::{Value, json};

use super::scene::{DEFINITIONS, eventually};

/// What the library's rules are held to as well.
const CASES: &str = include_str!("../../../../sentinel/src/policy/definition/cases.json");

pub fn by_cel() -> Result<()> {
    let cluster = Cluster::start()?;
    let server = Admission::start(&cluster)?;
    let admin = server.admin();
    // Refused where a rule could cost too much, or is none.
    admin.apply(DEFINITIONS, &["CustomResourceDefinition"])?;
    let cases: Vec<Value> = serde_json::from_str(CASES)?;
    let mut refusals = 0;
    for (number, case) in cases.iter().enumerate() {
        let refused = case.get("refused").and_then(Value::as_str);
        let object = object(number, case);
        match (admin.create(&object).map_err(|error| format!("{error:#}")), refused) {
            (Ok(_), None) => {}
            // A kind is served a moment after it is defined.
            (Err(_), None) => {
                eventually("what is right is let through", || Ok(admin.create(&object).is_ok()))
                    .with_context(|| object.to_string())?
            }
            (Err(said), Some(refused)) => {
                ensure!(said.contains(refused), "{object}: {said}");
                refusals += 1;
            }
            (Ok(_), Some(_)) => anyhow::bail!("it is let through: {object}"),
        }
    }
    println!("{refusals} of {} refused", cases.len());
    Ok(())
}

fn object(number: usize, case: &Value) -> Value {
    let is_cluster = case.get("cluster").is_some();
    let kind = if is_cluster { "ClusterEgressPolicy" } else { "EgressPolicy" };
    let mut metadata = json!({"name": format!("case-{number}")});
    if !is_cluster && let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("namespace".to_owned(), json!("default"));
    }
    json!({"apiVersion": "sentinel.dev/v1alpha1", "kind": kind, "metadata": metadata,
        "spec": case.get("spec")})
}
