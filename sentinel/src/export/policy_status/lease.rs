//! Leases: a node's report, and who writes for all.

use std::collections::BTreeMap;
use std::time::SystemTime;

use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Error};
use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

const MICRO: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const PLAIN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// Who writes for all, and for how long nobody else may.
const LEADER: &str = "sentinel-policy-status";
const TERM: Duration = Duration::seconds(45);
/// After which a node's report is an old one's.
const FORGOTTEN: Duration = Duration::minutes(5);
const LABEL: &str = "sentinel.dev/report";
const ANNOTATION: &str = "sentinel.dev/policies";
/// How many nodes the one that writes for all heard last.
const NODES: &str = "sentinel.dev/nodes";

/// The time as Kubernetes writes it.
pub(super) fn now(micro: bool) -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    now.format(if micro { MICRO } else { PLAIN }).unwrap_or_default()
}

fn age(text: Option<&Value>) -> Option<Duration> {
    let time = PrimitiveDateTime::parse(text?.as_str()?, MICRO).ok()?.assume_utc();
    Some(OffsetDateTime::from(SystemTime::now()) - time)
}

/// Who writes for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    /// This node does.
    pub(super) is_mine: bool,
    /// How many nodes were heard last, as far as anybody said.
    pub(super) nodes: u32,
}

pub(super) struct Leases {
    api: Api<DynamicObject>,
    node: String,
}

impl Leases {
    pub(super) fn new(client: Client, namespace: &str, node: &str) -> Self {
        let about = ApiResource {
            group: "coordination.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "coordination.k8s.io/v1".to_owned(),
            kind: "Lease".to_owned(),
            plural: "leases".to_owned(),
        };
        Self { api: Api::namespaced_with(client, namespace, &about), node: node.to_owned() }
    }

    fn lease(&self, name: &str, more: &Value) -> Value {
        let mut metadata = json!({"name": name});
        if let (Some(metadata), Some(more)) = (metadata.as_object_mut(), more.as_object()) {
            metadata.extend(more.clone());
        }
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
            "spec": {"holderIdentity": self.node, "renewTime": now(true),
                "leaseDurationSeconds": TERM.whole_seconds()}})
    }

    /// Says what this node has in force.
    pub(super) async fn report(&self, text: &str) -> Result<(), Error> {
        let name = format!("sentinel-node-{}", self.node);
        let more = json!({"labels": {LABEL: "policies"}, "annotations": {ANNOTATION: text}});
        let lease = self.lease(&name, &more);
        let params = PatchParams::apply("sentinel").force();
        self.api.patch(&name, &params, &Patch::Apply(&lease)).await.map(drop)
    }

    /// Whether this node writes for all; takes that over where nobody does any more. Says then that it
    /// heard so many nodes, and else how many the other did.
    pub(super) async fn lead(&self, heard: u32) -> Result<Lead, Error> {
        let Some(held) = self.api.get_opt(LEADER).await? else {
            let lease = object(self.lease(LEADER, &json!({})))?;
            let is_mine = won(self.api.create(&PostParams::default(), &lease).await)?;
            return Ok(Lead { is_mine, nodes: heard });
        };
        let annotations = held.metadata.annotations.as_ref();
        let nodes = annotations.and_then(|all| all.get(NODES)?.parse().ok()).unwrap_or(heard);
        let spec = held.data.get("spec");
        let holder = spec.and_then(|spec| spec.get("holderIdentity")).and_then(Value::as_str);
        let age = age(spec.and_then(|spec| spec.get("renewTime")));
        let is_mine = holder == Some(self.node.as_str());
        if is_mine && age.is_some_and(|age| age < TERM / 3) {
            return Ok(Lead { is_mine, nodes: heard });
        }
        if !is_mine && age.is_some_and(|age| age < TERM) {
            return Ok(Lead { is_mine, nodes });
        }
        // Of two that try only one names the version that is there.
        let nodes = if is_mine { heard } else { nodes.max(heard) };
        let more = json!({"resourceVersion": held.metadata.resource_version,
            "annotations": {NODES: nodes.to_string()}});
        let lease = object(self.lease(LEADER, &more))?;
        let is_mine = won(self.api.replace(LEADER, &PostParams::default(), &lease).await)?;
        Ok(Lead { is_mine, nodes })
    }

    /// What all nodes say that live.
    pub(super) async fn reports(&self) -> Result<Vec<String>, Error> {
        let mut params = ListParams::default().labels(LABEL).limit(500);
        let mut reports = Vec::new();
        loop {
            let page = self.api.list(&params).await?;
            for lease in page.items {
                let renewed = lease.data.pointer("/spec/renewTime");
                if age(renewed).is_some_and(|age| age < FORGOTTEN) {
                    let mut said: BTreeMap<_, _> = lease.metadata.annotations.unwrap_or_default();
                    reports.extend(said.remove(ANNOTATION));
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(reports),
            }
        }
    }
}

fn object(lease: Value) -> Result<DynamicObject, Error> {
    serde_json::from_value(lease).map_err(Error::SerdeError)
}

/// Another was faster, or this node was.
fn won(answer: Result<DynamicObject, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
