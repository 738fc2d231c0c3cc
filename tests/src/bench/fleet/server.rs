//! An API server of the fleet's size, on loopback: lists, watches and Leases as an agent asks for them.
//! Like a real one it answers `resourceVersion=0` from its cache, whole, whatever `limit` says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::objects::{KINDS, Kind};
use super::query::Query;
use super::size::Size;
use crate::sync::lock;

/// Events of a kind that a watch can begin with.
const KEPT: usize = 4096;
/// Bytes of one of the fleet's node reports: five policies.
const REPORT: &str = r#"{"EgressPolicy team-1/policy-1":{"g":1,"w":4,"h":7},"EgressPolicy team-2/policy-2":{"g":1,"w":3,"h":0},"EgressPolicy team-3/policy-3":{"g":1,"w":2,"h":0},"EgressPolicy team-4/policy-4":{"g":1,"w":2,"h":0},"EgressPolicy team-5/policy-5":{"g":1,"w":2,"h":0}}"#;

/// What was asked, and what that came to.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) lists: AtomicU64,
    pub(super) list_bytes: AtomicU64,
    pub(super) watches: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) event_bytes: AtomicU64,
    pub(super) lease_reads: AtomicU64,
    pub(super) lease_lists: AtomicU64,
    pub(super) lease_bytes: AtomicU64,
    pub(super) lease_writes: AtomicU64,
    pub(super) status_writes: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

struct Event {
    version: u64,
    service: Option<String>,
    line: Bytes,
}

/// How often each object has changed, and the last events.
struct Log {
    changes: Vec<u32>,
    events: VecDeque<Arc<Event>>,
    changed: watch::Sender<u64>,
}

/// The fleet as its API server has it.
pub(super) struct Fleet {
    pub(super) size: Size,
    pub(super) counters: Counters,
    version: AtomicU64,
    logs: BTreeMap<Kind, Mutex<Log>>,
    /// Whether another node writes for all; else the one that is run does.
    led: bool,
    leader: Mutex<Option<Value>>,
}

impl Fleet {
    pub(super) fn new(size: Size, led: bool) -> Self {
        let log = |kind: Kind| {
            let changes = match kind {
                // All run; each life has states before that.
                Kind::Pods => vec![3; kind.count(&size) as usize],
                _ => vec![0; kind.count(&size) as usize],
            };
            Mutex::new(Log { changes, events: VecDeque::new(), changed: watch::channel(0).0 })
        };
        let logs = KINDS.iter().map(|(kind, ..)| (*kind, log(*kind))).collect();
        let (counters, leader) = (Counters::default(), Mutex::default());
        Self { size, counters, version: AtomicU64::new(1000), logs, led, leader }
    }

    fn log(&self, kind: Kind) -> Option<&Mutex<Log>> {
        self.logs.get(&kind)
    }

    /// One more change of an object; whoever watches is told.
    pub(super) fn change(&self, kind: Kind, number: u32) {
        let Some(log) = self.log(kind) else { return };
        let mut log = lock(log);
        let Some(changes) = log.changes.get_mut(number as usize) else { return };
        *changes += 1;
        let changes = *changes;
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        // A pod that is replaced is another object: the one before is gone.
        if kind == Kind::Pods && changes % 4 == 0 {
            let gone = kind.object(&self.size, number, changes - 1, version);
            push(&mut log, version, None, "DELETED", kind, gone);
        }
        let word = if kind == Kind::Pods && changes % 4 == 0 { "ADDED" } else { "MODIFIED" };
        let object = kind.object(&self.size, number, changes, version);
        push(&mut log, version, kind.service_of(&self.size, number), word, kind, object);
        log.changed.send_replace(version);
    }

    fn list(&self, kind: Kind, query: &Query) -> Bytes {
        let Some(log) = self.log(kind) else { return Bytes::new() };
        let log = lock(log);
        let all: Vec<u32> = (0..kind.count(&self.size))
            .filter(|number| query.selects(kind.service_of(&self.size, *number).as_deref()))
            .collect();
        let from = query.number("continue").unwrap_or(0) as usize;
        let limit = match query.get("resourceVersion") {
            Some("0") => usize::MAX,
            _ => query
                .number("limit")
                .filter(|limit| *limit > 0)
                .map_or(usize::MAX, |it| it as usize),
        };
        let page = all.iter().skip(from).take(limit);
        let version = self.version.load(Ordering::Relaxed);
        let items: Vec<Value> = page
            .map(|number| {
                let changes = log.changes.get(*number as usize).copied().unwrap_or_default();
                kind.object(&self.size, *number, changes, version)
            })
            .collect();
        let rest = all.len().saturating_sub(from + items.len());
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let (true, Some(metadata)) = (rest > 0, metadata.as_object_mut()) {
            metadata.insert("continue".into(), json!((from + items.len()).to_string()));
            if !query.has_selector() {
                metadata.insert("remainingItemCount".into(), json!(rest));
            }
        }
        let list = json!({"kind": "List", "apiVersion": version_of(kind), "metadata": metadata, "items": items});
        let body = Bytes::from(list.to_string());
        Counters::add(&self.counters.lists, 1);
        Counters::add(&self.counters.list_bytes, body.len());
        body
    }

    /// The first event after this version; `None` where there is none yet.
    fn next(&self, kind: Kind, seen: u64, query: &Query) -> Vec<Arc<Event>> {
        let Some(log) = self.log(kind) else { return Vec::new() };
        let log = lock(log);
        let new = log.events.iter().rev().take_while(|event| event.version > seen);
        let mut new: Vec<Arc<Event>> =
            new.filter(|event| query.selects(event.service.as_deref())).cloned().collect();
        new.reverse();
        new
    }
}

fn version_of(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, ..)| *known == kind).map_or("v1", |(_, _, version)| version)
}

fn push(
    log: &mut Log,
    version: u64,
    service: Option<String>,
    word: &str,
    kind: Kind,
    object: Value,
) {
    let mut object = object;
    if let Some(object) = object.as_object_mut() {
        object.insert("apiVersion".into(), json!(version_of(kind)));
        object.insert("kind".into(), json!("Object"));
    }
    let line = format!("{}\n", json!({"type": word, "object": object}));
    log.events.push_back(Arc::new(Event { version, service, line: line.into() }));
    if log.events.len() > KEPT {
        log.events.pop_front();
    }
}

/// Answers one request.
pub(super) async fn answer(fleet: Arc<Fleet>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = Query::read(request.uri().query().unwrap_or_default());
    if path.contains("/leases") {
        return lease(&fleet, &path, request).await;
    }
    if path.ends_with("/status") {
        Counters::add(&fleet.counters.status_writes, 1);
        return said(StatusCode::OK, &json!({"metadata": {"name": "x"}}));
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some((kind, _, version)) = KINDS.iter().find(|(_, name, _)| *name == last) else {
        return failed(StatusCode::NOT_FOUND);
    };
    if !path.contains(version) {
        return failed(StatusCode::NOT_FOUND);
    }
    if query.get("watch") == Some("true") {
        Counters::add(&fleet.counters.watches, 1);
        return Response::new(Body::from_stream(events(fleet, *kind, query)));
    }
    let (fleet, kind) = (Arc::clone(&fleet), *kind);
    let body = tokio::task::spawn_blocking(move || fleet.list(kind, &query)).await;
    Response::new(Body::from(body.unwrap_or_default()))
}

type Line = Result<Bytes, std::convert::Infallible>;

/// A watch: what has happened since the version that was seen, and what happens, until its time is over.
fn events(fleet: Arc<Fleet>, kind: Kind, query: Query) -> impl futures_util::Stream<Item = Line> {
    let seconds = query.number("timeoutSeconds").unwrap_or(300);
    let until = Instant::now() + Duration::from_secs(seconds);
    let seen = query.number("resourceVersion").unwrap_or_default();
    let changed = fleet.log(kind).map(|log| lock(log).changed.subscribe());
    let state = (fleet, query, seen, changed, VecDeque::new());
    futures_util::stream::unfold(state, move |state| async move {
        let (fleet, query, mut seen, mut changed, mut waiting) = state;
        loop {
            if let Some(event) = waiting.pop_front() {
                let event: Arc<Event> = event;
                seen = seen.max(event.version);
                Counters::add(&fleet.counters.events, 1);
                Counters::add(&fleet.counters.event_bytes, event.line.len());
                let line = Ok(event.line.clone());
                return Some((line, (fleet, query, seen, changed, waiting)));
            }
            waiting.extend(fleet.next(kind, seen, &query));
            if waiting.is_empty() {
                timeout_at(until, changed.as_mut()?.changed()).await.ok()?.ok()?;
            }
        }
    })
}

async fn lease(fleet: &Fleet, path: &str, request: Request<Body>) -> Response<Body> {
    let counters = &fleet.counters;
    let is_leader = path.ends_with("/sentinel-policy-status");
    match *request.method() {
        Method::GET if path.ends_with("/leases") => {
            Counters::add(&counters.lease_lists, 1);
            let query = Query::read(request.uri().query().unwrap_or_default());
            let body = leases(fleet, &query);
            Counters::add(&counters.lease_bytes, body.len());
            Response::new(Body::from(body))
        }
        Method::GET => {
            Counters::add(&counters.lease_reads, 1);
            let held = match fleet.led {
                true => Some(leader(fleet.size.nodes)),
                false => lock(&fleet.leader).clone(),
            };
            held.map_or_else(|| failed(StatusCode::NOT_FOUND), |held| said(StatusCode::OK, &held))
        }
        _ => {
            Counters::add(&counters.lease_writes, 1);
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
            let written: Value = serde_json::from_slice(&body).unwrap_or_default();
            if is_leader || path.ends_with("/leases") {
                *lock(&fleet.leader) = Some(written.clone());
            }
            said(StatusCode::OK, &written)
        }
    }
}

fn now() -> String {
    let now = time::OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    let (hour, minute, second, micro) = time.as_hms_micro();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}

fn one_lease(name: &str, holder: &str, report: Option<&str>) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name,
        "namespace": "kube-system", "resourceVersion": "7", "uid": name,
        "labels": {"sentinel.dev/report": "policies"}, "annotations": report.map(|text|
            json!({"sentinel.dev/policies": text})),
        "managedFields": [{"manager": "sentinel", "operation": "Apply", "apiVersion": "coordination.k8s.io/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:annotations": {"f:sentinel.dev/policies": {}},
                "f:labels": {"f:sentinel.dev/report": {}}}, "f:spec": {"f:holderIdentity": {},
                "f:leaseDurationSeconds": {}, "f:renewTime": {}}}}]},
        "spec": {"holderIdentity": holder, "renewTime": now(), "leaseDurationSeconds": 45}})
}

/// The Lease of another node that writes for all, and has heard all.
fn leader(nodes: u32) -> Value {
    let mut lease = one_lease("sentinel-policy-status", "node-1", None);
    if let Some(annotations) = lease.pointer_mut("/metadata/annotations") {
        *annotations = json!({"sentinel.dev/nodes": nodes.to_string()});
    }
    lease
}

fn leases(fleet: &Fleet, query: &Query) -> String {
    let nodes = u64::from(fleet.size.nodes);
    let from = query.number("continue").unwrap_or_default();
    let limit = match query.get("resourceVersion") {
        Some("0") => nodes,
        _ => query.number("limit").unwrap_or(nodes),
    };
    let to = (from + limit).min(nodes);
    let lease = |number: u64| {
        let node = format!("node-{number}");
        one_lease(&format!("sentinel-node-{node}"), &node, Some(REPORT))
    };
    let items: Vec<Value> = (from..to).map(lease).collect();
    let mut metadata = json!({"resourceVersion": "9"});
    if let (true, Some(metadata)) = (to < nodes, metadata.as_object_mut()) {
        metadata.insert("continue".into(), json!(to.to_string()));
    }
    json!({"kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata, "items": items})
        .to_string()
}

fn said(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
}

fn failed(status: StatusCode) -> Response<Body> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found",
        "reason": "NotFound", "code": status.as_u16()});
    said(status, &body)
}
