//! Whose pod it is: the object that a person wrote, found from what the pod itself says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The object that a pod comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `Job`, `CronJob`, ...
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
}

/// The label that the Deployment controller puts on the pods of its ReplicaSets, whose names end in it.
const TEMPLATE: &str = "pod-template-hash";
/// How long before its pod a CronJob's run may have been due: Kubernetes itself gives up within days.
const OVERDUE: i64 = 7 * 24 * 3600;
/// How far two clocks may lie apart, seconds.
const SKEW: i64 = 120;

impl Owner {
    /// Who is behind a pod's controller. ReplicaSets and Jobs are not asked for: a ReplicaSet is a
    /// Deployment's where its name ends in the hash that the pod has as a label, and a Job a CronJob's where
    /// its name ends in the minute that it was due at. `created` is when the pod was, in Unix seconds.
    #[must_use]
    pub fn behind(
        kind: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
        created: Option<i64>,
    ) -> Self {
        let (kind, name) = match kind {
            "ReplicaSet" => deployment(name, labels).map_or((kind, name), |it| ("Deployment", it)),
            "Job" => cron_job(name, created).map_or((kind, name), |it| ("CronJob", it)),
            _ => (kind, name),
        };
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }
}

fn deployment<'a>(replica_set: &'a str, labels: &BTreeMap<String, String>) -> Option<&'a str> {
    let name = replica_set.strip_suffix(labels.get(TEMPLATE)?)?.strip_suffix('-')?;
    (!name.is_empty()).then_some(name)
}

/// `NAME-MINUTES` since 1970 (Kubernetes 1.21 and newer), `NAME-SECONDS` before.
fn cron_job(job: &str, created: Option<i64>) -> Option<&str> {
    let (name, number) = job.rsplit_once('-')?;
    let due: i64 = number.parse().ok()?;
    let due = match number.len() {
        8 => due * 60,
        10 => due,
        _ => return None,
    };
    let late = created? - due;
    (!name.is_empty() && (-SKEW..=OVERDUE).contains(&late)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, name: &str, hash: Option<&str>, created: Option<i64>) -> String {
        let labels = hash.map(|hash| (TEMPLATE.to_owned(), hash.to_owned()));
        let owner = Owner::behind(kind, name, &labels.into_iter().collect(), created);
        format!("{}/{}", owner.kind, owner.name)
    }

    #[test]
    fn a_replica_set_is_a_deployments_where_the_pod_says_so() {
        assert_eq!(owner("ReplicaSet", "web-6d4c", Some("6d4c"), None), "Deployment/web");
        assert_eq!(owner("ReplicaSet", "web-6d4c", None, None), "ReplicaSet/web-6d4c");
        assert_eq!(owner("ReplicaSet", "web-6d4c", Some("77"), None), "ReplicaSet/web-6d4c");
        assert_eq!(owner("ReplicaSet", "-6d4c", Some("6d4c"), None), "ReplicaSet/-6d4c");
        assert_eq!(owner("DaemonSet", "log-6d4c", Some("6d4c"), None), "DaemonSet/log-6d4c");
    }

    #[test]
    fn a_job_is_a_cron_jobs_where_its_name_is_the_time() {
        let now = 1_795_478_400;
        assert_eq!(owner("Job", "dump-29924640", None, Some(now)), "CronJob/dump");
        assert_eq!(owner("Job", "dump-1795478340", None, Some(now)), "CronJob/dump");
        assert_eq!(owner("Job", "dump-20240101", None, Some(now)), "Job/dump-20240101");
        assert_eq!(owner("Job", "dump-29934640", None, Some(now)), "Job/dump-29934640");
        assert_eq!(owner("Job", "dump-29924640", None, None), "Job/dump-29924640");
        assert_eq!(owner("Job", "dump", None, Some(now)), "Job/dump");
    }
}
