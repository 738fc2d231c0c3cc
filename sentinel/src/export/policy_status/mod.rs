//! The status of policies that are objects of a Kubernetes API. Thousands of nodes must not write to one
//! object: each keeps what it has in force in a Lease of its own, and writes it only when that has changed
//! or to say that it lives; one node at a time, which holds another Lease, puts the reports together and
//! writes the status of each policy, by server-side apply, where it is another than it wrote last.

mod lease;
mod pace;
mod summary;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Error};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api::Shared;
use crate::policy::{Fate, ObjectKind, Pod, Policy, Subject};
use crate::watch::kubernetes::{Settings, connect};
use lease::{Lead, Leases};
use pace::Pace;
use summary::{OnNode, Report, status, written};

/// How often a node looks whether it has something to say, give or take a quarter.
const LOOK: Duration = Duration::from_secs(5);
/// How long whoever cannot be found is left alone.
const LOST: Duration = Duration::from_secs(60);
/// A status that the server did not take is tried again with the next look; this many are written in one.
const WRITES: usize = 100;
/// Who has written a policy's status, whichever node that was.
const MANAGER: &str = "sentinel";

/// What is told.
pub trait Policies: Send + Sync + 'static {
    /// What became of each.
    fn fates(&self) -> Vec<Fate>;
}

/// Tells until it is dropped. Nothing waits for it: while the server does not answer, nothing is told.
pub async fn tell(settings: Settings, shared: Arc<Shared>, policies: Arc<dyn Policies>) {
    let client = loop {
        match connect(&settings).await {
            Ok(client) => break client,
            // Whoever watches says why.
            Err(_) => sleep(LOST).await,
        }
    };
    let leases = Leases::new(client.clone(), client.default_namespace(), &settings.node);
    let mut teller = Teller {
        client,
        leases,
        shared,
        policies,
        told: None,
        lead: None,
        read: None,
        reports: Vec::new(),
        statuses: BTreeMap::new(),
    };
    let noise = RandomState::new();
    for turn in 0_u64.. {
        let per_mille = 750 + noise.hash_one(turn) % 500;
        sleep(LOOK * u32::try_from(per_mille).unwrap_or(1000) / 1000).await;
        if let Err(error) = teller.turn().await {
            tracing::debug!("the status of policies is not written: {error}");
            sleep(LOOK * 5).await;
        }
    }
}

struct Teller {
    client: Client,
    leases: Leases,
    shared: Arc<Shared>,
    policies: Arc<dyn Policies>,
    /// What this node said last, and when.
    told: Option<(Report, Instant)>,
    /// Who writes for all, and when that was looked at.
    lead: Option<(Lead, Instant)>,
    /// When what all nodes say was read, and what they said.
    read: Option<Instant>,
    reports: Vec<Report>,
    /// What was written last.
    statuses: BTreeMap<String, Said>,
}

/// A status that was written.
struct Said {
    status: Value,
    /// Since when it is accepted, or is not.
    since: String,
}

impl Teller {
    async fn turn(&mut self) -> Result<(), Error> {
        let fates = self.policies.fates();
        if fates.is_empty() && self.told.is_none() {
            return Ok(());
        }
        let pace = Pace { nodes: self.lead.map_or(0, |(lead, _)| lead.nodes) };
        let report = self.report(&fates);
        if pace.tells(&report, self.told.as_ref()) {
            let (text, left_out) = written(&report);
            if left_out > 0 {
                tracing::warn!("{left_out} policies find no room in this node's report");
            }
            self.leases.report(&text).await?;
            self.told = Some((report, Instant::now()));
        }
        if !self.leads(pace).await? {
            self.statuses.clear();
            self.reports.clear();
            self.read = None;
            return Ok(());
        }
        if pace.reads(self.read) {
            let texts = self.leases.reports().await?;
            self.reports =
                texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
            self.read = Some(Instant::now());
        }
        let reports = &self.reports;
        let mut writes = 0;
        for fate in &fates {
            let now = status(fate, reports);
            let before = self.statuses.get(&fate.title());
            if before.is_some_and(|said| said.status == now) || writes >= WRITES {
                continue;
            }
            writes += 1;
            let since = since(before, &now);
            self.write(fate, &now, &since).await?;
            self.statuses.insert(fate.title(), Said { status: now, since });
        }
        let there: Vec<String> = fates.iter().map(Fate::title).collect();
        self.statuses.retain(|title, _| there.contains(title));
        Ok(())
    }

    /// Whether this node writes for all.
    async fn leads(&mut self, pace: Pace) -> Result<bool, Error> {
        let (is_mine, last) =
            self.lead.map_or((false, None), |(lead, at)| (lead.is_mine, Some(at)));
        if pace.looks(is_mine, last) {
            let heard = u32::try_from(self.reports.len()).unwrap_or(u32::MAX);
            let lead = self.leases.lead(heard).await?;
            self.lead = Some((lead, Instant::now()));
            return Ok(lead.is_mine);
        }
        Ok(is_mine)
    }

    /// What this node has to say: of policies that are on something here.
    fn report(&self, fates: &[Fate]) -> Report {
        let (set, _) = self.shared.audits().policies();
        let audited = self.shared.audits().report().policies;
        let hits: HashMap<&str, u64> =
            audited.iter().map(|of| (of.policy.as_str(), of.hits)).collect();
        let policies: HashMap<&str, &Policy> =
            set.policies.iter().map(|policy| (policy.file.as_str(), policy.as_ref())).collect();
        let pods = self.shared.pods().now();
        let mut report = Report::new();
        for fate in fates.iter().filter(|fate| fate.error.is_none()) {
            let title = fate.title();
            let Some(policy) = policies.get(title.as_str()) else { continue };
            let is_on = |pod: &Arc<Pod>| {
                policy.selector.selects(Subject { path: "", pod: Some(pod.as_ref()) })
            };
            let workloads = match policy.selector.is_node() {
                true => 1,
                false => pods.live().filter(|pod| is_on(pod)).count(),
            };
            if workloads > 0 {
                let name = policy.name.to_string();
                let hits = hits.get(name.as_str()).copied().unwrap_or_default();
                let workloads = u32::try_from(workloads).unwrap_or(u32::MAX);
                report.insert(title, OnNode { generation: fate.generation, workloads, hits });
            }
        }
        report
    }

    async fn write(&self, fate: &Fate, status: &Value, since: &str) -> Result<(), Error> {
        let plural = match fate.kind {
            ObjectKind::Namespaced => "egresspolicies",
            ObjectKind::Cluster => "clusteregresspolicies",
        };
        let about = ApiResource {
            group: "sentinel.dev".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "sentinel.dev/v1alpha1".to_owned(),
            kind: fate.kind.name().to_owned(),
            plural: plural.to_owned(),
        };
        let api: Api<DynamicObject> = match &fate.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &about),
            None => Api::all_with(self.client.clone(), &about),
        };
        let mut status = status.clone();
        if let Some(condition) = status.pointer_mut("/conditions/0").and_then(Value::as_object_mut)
        {
            condition.insert("lastTransitionTime".to_owned(), json!(since));
        }
        let object = json!({"apiVersion": about.api_version, "kind": about.kind,
            "metadata": {"name": fate.name}, "status": status});
        let params = PatchParams::apply(MANAGER).force();
        match api.patch_status(&fate.name, &params, &Patch::Apply(&object)).await {
            // Deleted meanwhile: a status must not make it anew, and it cannot.
            Err(Error::Api(answer)) if answer.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Since when it is accepted, or is not: no other figure is a transition.
fn since(before: Option<&Said>, now: &Value) -> String {
    let accepted = |status: &Value| status.pointer("/conditions/0/status").cloned();
    let same = before.filter(|said| accepted(&said.status) == accepted(now));
    same.map_or_else(|| lease::now(false), |said| said.since.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_only_one_of_the_verdict() {
        let of = |accepted: &str, hits: u64| json!({"auditHits": hits, "conditions": [{"status": accepted}]});
        let before = Said { status: of("True", 1), since: "2020-01-01T00:00:00Z".to_owned() };
        assert_eq!(since(Some(&before), &of("True", 2)), before.since);
        assert_ne!(since(Some(&before), &of("False", 1)), before.since);
        assert_ne!(since(None, &of("True", 1)), before.since);
    }
}
