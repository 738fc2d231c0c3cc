//! The rules in CEL: what a person most often gets wrong, refused before it is stored. What they let
//! through is still read by the agents.

use serde_json::{Value, json};

use crate::policy::ObjectKind;

/// A rule, in CEL, and what is said where it does not hold.
type Rule = (&'static str, &'static str);

const MODE: Rule = (
    "has(self.mode) || !(has(self.egress) || has(self.egressDeny) || has(self.ingress) || has(self.ingressDeny) || (has(self.encryptedDNS) && self.encryptedDNS == 'deny'))",
    "rules need a mode beside them: write mode: audit to watch first, mode: enforce to block",
);
const NO_NAMESPACES: Rule = (
    "!has(self.workload) || !has(self.workload.namespaceSelector)",
    "namespaceSelector is for a ClusterEgressPolicy",
);
const EGRESS: Rule = (
    "(has(self.toCIDRs) && size(self.toCIDRs) > 0) || (has(self.toFQDNs) && size(self.toFQDNs) > 0) || has(self.toWorkloads)",
    "a rule names somebody: add toCIDRs, toFQDNs or toWorkloads; everywhere is [0.0.0.0/0, \"::/0\"]",
);
const SERVER_NAME: Rule = (
    "!has(self.requireServerName) || !self.requireServerName || (has(self.toFQDNs) && size(self.toFQDNs) > 0 && (!has(self.toCIDRs) || size(self.toCIDRs) == 0) && !has(self.toWorkloads))",
    "requireServerName is for rules with toFQDNs alone",
);
const NO_NAMES: Rule = (
    "!has(self.toFQDNs) || size(self.toFQDNs) == 0",
    "a name cannot be denied: its addresses are others' too",
);
const WORKLOADS: Rule = (
    "!has(self.toWorkloads) || has(self.toWorkloads.podSelector) || has(self.toWorkloads.namespaceSelector)",
    "toWorkloads selects nobody: write podSelector: {} for every pod",
);
const INGRESS: Rule = (
    "has(self.fromCIDRs) && size(self.fromCIDRs) > 0",
    "a rule names somebody: add fromCIDRs; everywhere is [0.0.0.0/0, \"::/0\"]",
);
const PORTS: [Rule; 3] = [
    ("!has(self.endPort) || has(self.port)", "endPort needs a port to begin from"),
    (
        "!has(self.endPort) || !has(self.port) || self.endPort >= self.port",
        "endPort lies before port",
    ),
    (
        "!has(self.protocol) || self.protocol != 'ICMP' || (!has(self.port) && !has(self.endPort))",
        "ICMP has no ports",
    ),
];

/// The rules of each place of a specification.
fn places(kind: ObjectKind) -> Vec<(&'static str, Vec<Rule>)> {
    let mut whole = vec![MODE];
    if kind == ObjectKind::Namespaced {
        whole.push(NO_NAMESPACES);
    }
    let mut places = vec![
        ("", whole),
        ("/properties/egress/items", vec![EGRESS, WORKLOADS, SERVER_NAME]),
        ("/properties/egressDeny/items", vec![EGRESS, WORKLOADS, NO_NAMES]),
        ("/properties/ingress/items", vec![INGRESS]),
        ("/properties/ingressDeny/items", vec![INGRESS]),
    ];
    places.extend([
        ("/properties/egress/items/properties/ports/items", PORTS.to_vec()),
        ("/properties/egressDeny/items/properties/ports/items", PORTS.to_vec()),
        ("/properties/ingress/items/properties/ports/items", PORTS.to_vec()),
        ("/properties/ingressDeny/items/properties/ports/items", PORTS.to_vec()),
    ]);
    places
}

pub(super) fn add(spec: &mut Value, kind: ObjectKind) {
    for (place, rules) in places(kind) {
        let schema = spec.pointer_mut(place).expect("a place for a rule");
        let rules =
            rules.into_iter().map(|(rule, message)| json!({"rule": rule, "message": message}));
        schema["x-kubernetes-validations"] = rules.collect();
    }
    spec["properties"]["workload"]["minProperties"] = json!(1);
}

#[cfg(test)]
mod tests {
    use cel::{Context, Program};

    use super::*;

    /// What is said of a specification, by an interpreter of CEL.
    fn judged(kind: ObjectKind, spec: &Value) -> Vec<&'static str> {
        let mut said = Vec::new();
        for (place, rules) in places(kind) {
            for found in found(spec, place) {
                for (rule, message) in &rules {
                    let mut context = Context::default();
                    context.add_variable("self", found.clone()).unwrap();
                    let outcome = Program::compile(rule).unwrap().execute(&context);
                    match outcome.unwrap_or_else(|error| panic!("{rule}: {error}")) {
                        cel::Value::Bool(true) => {}
                        cel::Value::Bool(false) => said.push(*message),
                        other => panic!("{rule} comes to {other:?}"),
                    }
                }
            }
        }
        said
    }

    /// The values that a place of the schema is about.
    fn found<'a>(spec: &'a Value, place: &str) -> Vec<&'a Value> {
        let mut found = vec![spec];
        for part in place.split('/').filter(|part| !matches!(*part, "" | "properties")) {
            found = match part {
                "items" => found.into_iter().filter_map(Value::as_array).flatten().collect(),
                name => found.into_iter().filter_map(|value| value.get(name)).collect(),
            };
        }
        found
    }

    /// A specification, and how what is said of it begins; the same are given to a real server.
    #[derive(serde::Deserialize)]
    struct Case {
        spec: Value,
        #[serde(default)]
        cluster: bool,
        refused: Option<String>,
    }

    #[test]
    fn what_is_right_is_let_through_and_what_is_wrong_refused() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
        let mut broken = std::collections::BTreeSet::new();
        for Case { spec, cluster, refused } in cases {
            let kind = if cluster { ObjectKind::Cluster } else { ObjectKind::Namespaced };
            match (judged(kind, &spec).as_slice(), refused) {
                ([], None) => {}
                ([message], Some(refused)) if message.starts_with(&refused) => {
                    broken.insert(*message);
                }
                (said, refused) => panic!("{spec}: {said:?}, not {refused:?}"),
            }
        }
        let all = places(ObjectKind::Namespaced).into_iter().flat_map(|(_, rules)| rules);
        let all = all.map(|(_, message)| message).collect();
        assert_eq!(broken, all, "every rule has a case that breaks it, and no other");
    }
}
