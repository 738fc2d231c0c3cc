//! What nodes say of policies, put together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::policy::Fate;

/// Bytes of a node's report; an annotation of Kubernetes holds a few more.
const ROOM: usize = 192 * 1024;

/// What a node says of a policy that is on something there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OnNode {
    /// The specification that is in force.
    #[serde(rename = "g")]
    pub(super) generation: i64,
    /// Workloads that it is on.
    #[serde(rename = "w")]
    pub(super) workloads: u32,
    /// Events that it would have cut under enforcement.
    #[serde(rename = "h", default)]
    pub(super) hits: u64,
}

/// What a node says, by the policies' titles.
pub(super) type Report = BTreeMap<String, OnNode>;

/// The report as it is kept; policies that find no room are left out, and how many they are.
pub(super) fn written(report: &Report) -> (String, usize) {
    let mut kept = report.clone();
    loop {
        let text = serde_json::to_string(&kept).unwrap_or_default();
        if text.len() <= ROOM {
            return (text, report.len() - kept.len());
        }
        // Half of what is too much, at least.
        let excess = kept.len() * (text.len() - ROOM) / text.len() / 2 + 1;
        for _ in 0..excess {
            kept.pop_last();
        }
    }
}

/// The status of a policy: what this agent makes of it, and what all nodes say.
pub(super) fn status(fate: &Fate, reports: &[Report]) -> Value {
    let title = fate.title();
    let said = reports.iter().filter_map(|report| report.get(&title));
    let (mut nodes, mut workloads, mut hits) = (0_u32, 0_u64, 0_u64);
    for one in said {
        if one.generation == fate.generation {
            nodes += 1;
            workloads += u64::from(one.workloads);
        }
        hits += one.hits;
    }
    let (accepted, reason, message) = match &fate.error {
        None => ("True", "Accepted", "in force wherever it selects something"),
        Some(error) => ("False", "Invalid", error.as_str()),
    };
    let message: String = message.chars().take(4000).collect();
    json!({
        "observedGeneration": fate.generation,
        "nodes": nodes,
        "workloads": workloads,
        "auditHits": hits,
        "conditions": [{"type": "Accepted", "status": accepted, "reason": reason,
            "message": message, "observedGeneration": fate.generation}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ObjectKind;

    fn fate(error: Option<&str>) -> Fate {
        Fate {
            kind: ObjectKind::Namespaced,
            namespace: Some("shop".into()),
            name: "web".into(),
            generation: 2,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn nodes_count_where_the_newest_is_in_force() {
        let on = |generation, workloads, hits| OnNode { generation, workloads, hits };
        let report = |on| Report::from([("EgressPolicy shop/web".to_owned(), on)]);
        let reports =
            [report(on(2, 3, 1)), report(on(1, 5, 7)), Report::new(), report(on(2, 1, 0))];
        let status = status(&fate(None), &reports);
        let of = |key: &str| status.get(key).and_then(Value::as_u64);
        assert_eq!((of("nodes"), of("workloads"), of("auditHits")), (Some(2), Some(4), Some(8)));
        assert_eq!(status.pointer("/conditions/0/status"), Some(&json!("True")));
        let wrong = super::status(&fate(Some("spec.mode: no")), &[]);
        assert_eq!(wrong.pointer("/conditions/0/status"), Some(&json!("False")));
        assert_eq!(wrong.pointer("/conditions/0/message"), Some(&json!("spec.mode: no")));
    }

    #[test]
    fn a_report_never_outgrows_its_room() {
        let many =
            (0..8000).map(|n| (format!("EgressPolicy a-namespace/policy-{n}"), OnNode::default()));
        let report: Report = many.collect();
        let (text, left_out) = written(&report);
        assert!(text.len() <= ROOM && left_out > 0 && left_out < 8000);
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(read.len() + left_out, 8000);
    }
}
