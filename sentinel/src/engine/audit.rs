//! What policies under audit would have blocked, from their events.

use sentinel_common::event::Kind;
use sentinel_common::verdict::Verdict;

use super::Clock;
use super::names::Names;
use super::pending::Entry;
use crate::action::Action;
use crate::audit::{End, Hit, Noted};
use crate::event::KernelEvent;

/// Whether a policy under audit would have blocked it.
fn is_audited(event: &KernelEvent) -> bool {
    event.verdict == Verdict::Audited && event.is_of_a_policy()
}

/// Notes the event, if it is one.
pub(super) fn hit(names: &Names, clock: Clock, event: &KernelEvent, actions: &mut Vec<Action>) {
    let source = event.rule.filter(|_| is_audited(event));
    let Some((policy, rule)) = source.and_then(|source| names.policy(source)) else { return };
    let Some(remote) = event.remote else { return };
    let ingress = event.kind == Kind::Ingress;
    let here = event.local.map_or(0, |local| local.port());
    let end = End {
        address: remote.ip().to_canonical(),
        port: if ingress { here } else { remote.port() },
        protocol: event.protocol,
        ingress,
    };
    let hit = Hit {
        time: i128::from(event.time) + clock.monotonic_to_unix,
        generation: event.generation,
        policy: policy.to_owned(),
        rule: rule.to_owned(),
        cgroup: event.cgroup,
        end,
        names: event.names.clone(),
    };
    actions.push(Action::Audit(Box::new(Noted::Hit(hit))));
}

/// Notes what an audited event's cgroup is called.
pub(super) fn workload(entry: &Entry, actions: &mut Vec<Action>) {
    let path = entry.found.cgroup.clone().filter(|_| is_audited(&entry.event));
    if let Some(path) = path {
        let cgroup = entry.event.cgroup;
        actions.push(Action::Audit(Box::new(Noted::Workload { cgroup, path })));
    }
}
