//! Puts a journal line together from an event and what was found out about it.

use std::net::SocketAddr;

use sentinel_common::event::Kind;
use sentinel_common::policy::{ICMPV6, TCP, UDP};
use sentinel_common::verdict::Reason;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::explain::other_cgroup;
use super::names::Names;
use super::pending::{Entry, Stage};
use super::{Clock, State};
use crate::action::Outcome;
use crate::attribution::hybrid::V1;
use crate::attribution::owner::Owner as Found;
use crate::attribution::pods::Pods;
use crate::attribution::processes::Ancestor;
use crate::attribution::{self, Attribution};
use crate::event::line::{
    Countermeasure, FeedEntry, Flow, Line, Measure, MeasureResult, Missing, Owner, Parent, Process,
    ProcessCgroup, Stratum, Workload,
};
use crate::event::word::Word;
use crate::event::{self, KernelEvent};

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Unix time in nanoseconds as RFC 3339 with microseconds, in UTC. A time outside the years that
/// can be written, which only a broken clock gives, is the epoch.
pub fn rfc3339(unix_nanoseconds: i128) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(unix_nanoseconds);
    let time = time.ok().filter(|time| (0..=9999).contains(&time.year()));
    let text = time.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(RFC3339);
    text.unwrap_or_default()
}

pub(super) fn flow(state: &State, clock: Clock, entry: &Entry) -> Line {
    let State { names, pods, services, .. } = state;
    let event = &entry.event;
    let by_policy = event.is_of_a_policy();
    let source = event.rule.filter(|_| by_policy && event.generation >= names.since);
    let policy = source.and_then(|source| names.policy(source));
    Line::Flow(Box::new(Flow {
        time: rfc3339(i128::from(event.time) + clock.monotonic_to_unix),
        kind: Word(event.kind),
        verdict: Word(event.verdict),
        reason: Word(event.reason),
        src: text(event.local),
        dst: text(event.remote),
        proto: protocol(event.protocol),
        direction: Word(event.direction),
        hook: Word(event.hook),
        bytes: event.bytes,
        process: process(clock, event, &entry.found),
        workload: workload_by(pods, event.cgroup, &entry.found),
        workload_is_callers: event.is_callers,
        passed: event.passed,
        process_cgroup: other_cgroup(event)
            .map(|id| ProcessCgroup { id, path: entry.found.process_cgroup.clone() }),
        policy: policy.map(|(policy, _)| policy.to_owned()),
        rule: policy.map(|(_, rule)| rule.to_owned()),
        service: event.remote.and_then(|end| services.at(end)).map(str::to_owned),
        name: event.name.clone(),
        names: event.names.clone(),
        feed: feed(names, event),
        stratum: stratum(names, event),
        countermeasure: countermeasure(entry),
        generation: event.generation,
        cookie: event.cookie,
    }))
}

pub(super) fn text(end: Option<SocketAddr>) -> Option<String> {
    end.map(|end| end.to_string())
}

/// `tcp`, `udp`, or the IP protocol's number.
#[must_use]
pub fn protocol(number: u8) -> String {
    match number {
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        1 => "icmp".to_owned(),
        ICMPV6 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => other.to_string(),
    }
}

fn process(clock: Clock, event: &KernelEvent, found: &Attribution) -> Option<Process> {
    match (&found.process, &event.owner) {
        (Ok(process), _) => Some(described(clock, process)),
        (Err(why), Some(owner)) => Some(told(clock, owner, *why)),
        (Err(_), None) => None,
    }
}

/// A process as lines show it.
pub(crate) fn described(clock: Clock, process: &attribution::Process) -> Process {
    Process {
        pid: process.pid,
        ppid: Some(process.ppid),
        exe: process.exe.clone(),
        deleted: process.deleted,
        comm: process.comm.clone(),
        cmdline: process.cmdline.clone(),
        uid: process.uid,
        start_time: Some(rfc3339(i128::from(process.start_time) + clock.boot_to_unix)),
        exe_device: process.file.map(|((major, minor), _)| format!("{major}:{minor}")),
        exe_inode: process.file.map(|(_, inode)| inode),
        parents: process.parents.iter().map(parent).collect(),
        missing: None,
    }
}

fn parent(of: &Ancestor) -> Parent {
    Parent { pid: of.pid, exe: of.image.as_ref().and_then(|image| image.exe.clone()) }
}

/// What the kernel told is all there is.
fn told(clock: Clock, owner: &event::Owner, why: Missing) -> Process {
    let started = i128::from(owner.start_time) + clock.boot_to_unix;
    Process {
        pid: owner.pid,
        ppid: None,
        exe: None,
        deleted: false,
        comm: owner.comm.clone(),
        cmdline: Vec::new(),
        uid: owner.uid,
        start_time: (owner.start_time != 0).then(|| rfc3339(started)),
        exe_device: None,
        exe_inode: None,
        parents: Vec::new(),
        missing: Some(Word(why)),
    }
}

/// What a cgroup's id and path tell, and who is known to be there; nothing where neither is known.
pub(crate) fn workload_of(pods: &Pods, id: u64, path: Option<&str>) -> Option<Workload> {
    identified(pods, id, path, None)
}

/// The same of an event's maker, whom a v1 hierarchy may have to name.
fn workload_by(pods: &Pods, id: u64, found: &Attribution) -> Option<Workload> {
    identified(pods, id, found.cgroup.as_deref(), found.v1.as_ref())
}

fn identified(pods: &Pods, id: u64, path: Option<&str>, v1: Option<&V1>) -> Option<Workload> {
    if id == 0 && path.is_none() {
        return None;
    }
    let names = v1.map(|v1| v1.path.as_str()).or(path);
    let shape = names.map(attribution::workload::of_path).unwrap_or_default();
    let known = pods.of(&shape);
    let pod = known.as_ref().map(|known| known.pod);
    let container = known.as_ref().and_then(|known| known.container);
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Workload {
        cgroup: path.map(str::to_owned),
        cgroup_id: id,
        container_name: container.and_then(|container| container.name.clone()),
        image: container.and_then(|container| container.image.clone()),
        pod: pod.and_then(|pod| told(&pod.name)),
        namespace: pod.and_then(|pod| told(&pod.namespace)),
        pod_uid: shape.pod_uid.or_else(|| pod.and_then(|pod| told(&pod.uid))),
        owner: pod
            .and_then(|pod| pod.owner.clone())
            .map(|Found { kind, name }| Owner { kind, name }),
        unit: shape.unit,
        container: shape.container,
        runtime: shape.runtime.map(Word),
        v1_hierarchy: v1.map(|v1| v1.hierarchy.clone()),
    })
}

/// Found again in the feeds in force: what an older generation named may be gone by now.
fn feed(names: &Names, event: &KernelEvent) -> Option<FeedEntry> {
    let hit = match event.reason {
        Reason::PoolName => names.domain(event.name.as_deref()?)?,
        Reason::PoolAddress => names.address(event.remote?.ip())?,
        _ => return None,
    };
    let (name, source) = (hit.feed.name.clone(), hit.feed.source.clone());
    Some(FeedEntry { name, source, entry: hit.entry })
}

fn stratum(names: &Names, event: &KernelEvent) -> Option<Stratum> {
    if event.kind != Kind::Stratum {
        return None;
    }
    let rule = event.rule.and_then(|rule| names.signature(event.signatures, rule));
    let said = event.said.clone();
    Some(Stratum {
        dialect: rule.map(|rule| rule.dialect.clone()),
        rule: rule.map(|rule| rule.name.clone()),
        tokens: names.tokens(event.signatures, event.tokens | event.peer_tokens),
        method: said.method,
        login: said.login,
        worker: said.worker,
        agent: said.agent,
        pool: text(event.remote),
    })
}

fn countermeasure(entry: &Entry) -> Option<Countermeasure> {
    match &entry.outcome {
        Some(outcome) => Some(destroyed(Some(outcome))),
        None if entry.stage == Stage::Resolve => None,
        None => Some(destroyed(None)),
    }
}

/// The end of a socket, as far as it is known.
pub(super) fn destroyed(outcome: Option<&Outcome>) -> Countermeasure {
    Countermeasure {
        action: Word(Measure::SockDestroy),
        result: Word(outcome.map_or(MeasureResult::Pending, Outcome::result)),
        error: outcome.and_then(Outcome::error),
    }
}
