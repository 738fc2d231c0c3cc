//! What Kubernetes tells, brought to all that ask.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::objects::PolicyObjects;
use crate::api::{KubernetesFigures, Shared};
use crate::attribution::cluster::{self, Change, Cluster};
use crate::attribution::node::{Source, of_object};
use crate::attribution::peers::Peer;
use crate::attribution::pods::Listing;
use crate::engine::{Fact, Input};
use crate::policy::{Object, ObjectKind, Policy, PolicySet};
use crate::watch::kubernetes::{Asked, KubernetesError, Report, Resource, Settings, Told};

/// Addresses of services change all the time in a large cluster: their table is made anew this seldom.
const SERVICES: Duration = Duration::from_millis(500);
/// How old figures of policies may be that are refused only beside others.
const FIGURES: Duration = Duration::from_secs(5);

/// What is known of the cluster, and how well.
pub(super) struct ClusterView {
    shared: Arc<Shared>,
    inputs: mpsc::Sender<Input>,
    /// `None` where Kubernetes is not asked.
    node: Option<String>,
    /// Whether it is asked for services.
    services: bool,
    cluster: Cluster,
    objects: Arc<PolicyObjects>,
    answering: BTreeSet<Resource>,
    errors: BTreeMap<&'static str, String>,
    /// When the table of services is to be made anew, if at all.
    due: Option<Instant>,
    addresses: usize,
    left_out: usize,
    other_pods: bool,
    /// Services may select others than when it was asked for their ends last.
    other_services: bool,
    /// The services whose ends rules on workloads ask for, and the policies that they were found for.
    asked: watch::Sender<Asked>,
    asking: Arc<PolicySet>,
}

impl ClusterView {
    pub(super) fn new(
        shared: &Arc<Shared>,
        inputs: &mpsc::Sender<Input>,
        settings: Option<&Settings>,
        objects: &Arc<PolicyObjects>,
    ) -> Self {
        let view = Self {
            shared: Arc::clone(shared),
            inputs: inputs.clone(),
            node: settings.map(|settings| settings.node.clone()),
            services: settings.is_some_and(|settings| settings.services),
            cluster: Cluster::default(),
            objects: Arc::clone(objects),
            answering: BTreeSet::new(),
            errors: BTreeMap::new(),
            due: None,
            addresses: 0,
            left_out: 0,
            other_pods: false,
            other_services: true,
            asked: watch::channel(Asked::default()).0,
            asking: Arc::default(),
        };
        view.tell();
        view
    }

    /// Which services rules on workloads mean.
    pub(super) fn asked(&self) -> watch::Receiver<Asked> {
        self.asked.subscribe()
    }

    /// The runtimes' lists with what Kubernetes knows.
    pub(super) fn join(&self, listings: &[Listing]) -> Vec<Listing> {
        self.cluster.join(listings)
    }

    /// Takes a report, and says so where that is news.
    pub(super) fn note(&mut self, report: Report) {
        let Report { resource, told } = report;
        match told {
            Ok(told) => {
                self.heard(resource);
                if let Some(told) = told {
                    self.take(told);
                }
            }
            Err(why) => self.missed(resource, &why),
        }
    }

    /// Whether pods may be others since this was asked last.
    pub(super) const fn has_other_pods(&mut self) -> bool {
        std::mem::replace(&mut self.other_pods, false)
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Cluster(told) => {
                // Their own addresses and ends do not say whom they select.
                self.other_services |= !matches!(told, cluster::Told::Slices(_));
                if matches!(told, cluster::Told::Services(_) | cluster::Told::Slices(_)) {
                    self.due.get_or_insert(Instant::now() + SERVICES);
                } else {
                    self.other_pods = true;
                }
                let left_out = self.cluster.take(told);
                self.lose(left_out);
            }
            Told::Policies(kind, change) => self.take_policies(kind, change),
            Told::Node(object) => self.shared.learn_node(Source::Kubernetes, of_object(&object)),
        }
    }

    fn take_policies(&mut self, kind: ObjectKind, change: Change<Object>) {
        let left_out = self.objects.change(|objects| {
            let before = objects.left_out();
            match change {
                Change::All(all) => objects.all(kind, all),
                Change::Is(key, object) => objects.is(key, object),
                Change::Gone(key) => objects.gone(kind, &key),
            }
            objects.left_out() - before
        });
        self.lose(usize::try_from(left_out).unwrap_or(usize::MAX));
    }

    fn heard(&mut self, resource: Resource) {
        let is_news = resource.is_watched() && self.answering.insert(resource);
        if self.errors.remove(resource.name()).is_some() {
            tracing::info!("Kubernetes tells of {} again", resource.name());
        } else if is_news {
            tracing::debug!("Kubernetes tells of {}", resource.name());
        }
    }

    fn missed(&mut self, resource: Resource, why: &KubernetesError) {
        self.shared.metrics().kubernetes().failed(resource);
        self.answering.remove(&resource);
        let why = why.to_string();
        if self.errors.insert(resource.name(), why.clone()).as_ref() != Some(&why) {
            let name = resource.name();
            tracing::warn!("what Kubernetes told of {name} last counts on: {why}");
        }
    }

    fn lose(&self, left_out: usize) {
        if left_out > 0 {
            self.shared.metrics().lost_many("kubernetes", left_out as u64);
            tracing::warn!("{left_out} objects of Kubernetes find no room");
        }
    }

    /// Ends when the table of services is to be made anew, or figures may be others.
    pub(super) fn is_due(&self) -> impl Future<Output = ()> + use<> {
        let (due, asks) = (self.due, self.node.is_some());
        async move {
            match due {
                Some(due) => sleep_until(due).await,
                None if asks => sleep(FIGURES).await,
                None => pending().await,
            }
        }
    }

    /// Says what is known, and makes the table of services anew where it is time to; whether it did.
    pub(super) async fn publish(&mut self) -> bool {
        let published = self.publish_services().await;
        self.ask();
        self.tell();
        published
    }

    /// Asks for the ends of services that the rules in force mean, where either may be others.
    fn ask(&mut self) {
        let (policies, _) = self.shared.audits().policies();
        if !std::mem::take(&mut self.other_services)
            && (Arc::ptr_eq(&policies, &self.asking) || policies.means_the_same(&self.asking))
        {
            return;
        }
        let rules: Vec<&Policy> = policies.on_workloads().collect();
        let means =
            |rule: &&Policy, peer: &Peer| rule.workloads.is(rule.name.namespace.as_deref(), peer);
        let asked = match rules.is_empty() {
            false => self.cluster.services_of(|peer| rules.iter().any(|rule| means(rule, peer))),
            true => BTreeSet::new(),
        };
        self.asking = policies;
        self.asked.send_if_modified(|before| {
            let differs = **before != asked;
            if differs {
                *before = Arc::new(asked);
            }
            differs
        });
    }

    /// The pods before and behind services.
    pub(super) fn peers(&mut self) -> impl Iterator<Item = Arc<Peer>> {
        self.cluster.peers()
    }

    /// Whether all pods and services are known that will be: Kubernetes tells of all, and where it is not
    /// asked the `runtimes` have to.
    pub(super) fn is_complete(&self, runtimes: bool) -> bool {
        match &self.node {
            None => runtimes,
            Some(_) => self.cluster.is_complete(self.services),
        }
    }

    async fn publish_services(&mut self) -> bool {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return false;
        }
        self.due = None;
        let (services, left_out) = self.cluster.services();
        self.addresses = services.len();
        // Those that found none before find none now: only more of them are news.
        self.lose(left_out.saturating_sub(self.left_out));
        self.left_out = left_out;
        let fact = Input::Fact(Fact::Services(Arc::new(services)));
        if self.inputs.send(fact).await.is_err() {
            tracing::debug!("the agent ended before its services were told");
        }
        true
    }

    /// What status and figures say of it.
    fn tell(&self) {
        let Some(node) = &self.node else { return };
        let (pods, namespaces) = self.cluster.counts();
        let state = match (self.errors.is_empty(), self.answering.is_empty()) {
            (false, _) => "degraded",
            (true, true) => "asked",
            (true, false) => "answers",
        };
        let (policies, refused) = self.objects.figures();
        let figures = self.shared.metrics().kubernetes();
        figures.answering(self.answering.len());
        let known = [("pod", pods), ("namespace", namespaces), ("service_address", self.addresses)];
        figures.known("policy", policies);
        figures.known("refused_policy", refused.len());
        for (kind, count) in known {
            figures.known(kind, count);
        }
        let about = KubernetesFigures {
            node: node.clone(),
            state,
            pods,
            namespaces,
            service_addresses: self.addresses,
            policies,
            refused_policies: refused,
            errors: self.errors.clone(),
        };
        self.shared.tell(|it| it.kubernetes = Some(about));
    }
}
