//! What policies under audit would have blocked is counted, whatever the journal leaves out.

use sentinel_common::policy::source;

use super::*;
use crate::audit::{Hit, Noted};

fn audited(kind: Kind, port: u16) -> Box<KernelEvent> {
    Box::new(KernelEvent {
        kind,
        rule: Some(source(1, 0)),
        reason: Reason::NotAllowlisted,
        ..*event(Verdict::Audited, port)
    })
}

fn notes(actions: &[Action]) -> Vec<Noted> {
    let noted = actions.iter().filter_map(|action| match action {
        Action::Audit(noted) => Some(Noted::clone(noted)),
        _ => None,
    });
    noted.collect()
}

fn hits(actions: &[Action]) -> Vec<Hit> {
    let hits = notes(actions).into_iter().filter_map(|noted| match noted {
        Noted::Hit(hit) => Some(hit),
        Noted::Workload { .. } => None,
    });
    hits.collect()
}

#[test]
fn every_audited_event_is_counted_though_few_are_written() {
    let mut state = named();
    let (mut counted, mut written) = (0, 0);
    for _ in 0..50 {
        let actions = step(&mut state, at(SECOND), Input::Event(audited(Kind::Egress, 443)));
        counted += hits(&actions).len();
        written += actions.iter().filter(|it| matches!(it, Action::Resolve { .. })).count();
    }
    assert_eq!(counted, 50);
    assert!(written < 50, "the limiter wrote all");
}

#[test]
fn a_hit_names_policy_rule_and_the_port_that_rules_name() {
    let mut state = named();
    let actions = step(&mut state, at(SECOND), Input::Event(audited(Kind::Egress, 443)));
    let hit = &hits(&actions)[0];
    assert_eq!((hit.policy.as_str(), hit.cgroup, hit.generation), ("shop", 77, 3));
    assert_eq!((hit.end.port, hit.end.ingress), (443, false));
    assert_eq!(hit.names, ["pool.example"]);
    let workload = Noted::Workload { cgroup: 77, path: "/system.slice/evil.service".to_owned() };
    assert_eq!(notes(&step(&mut state, at(SECOND), maker(1))), [workload]);
    // Of a caller it is the port here.
    let actions = step(&mut state, at(SECOND), Input::Event(audited(Kind::Ingress, 50_000)));
    assert_eq!((hits(&actions)[0].end.port, hits(&actions)[0].end.ingress), (4000, true));
}

#[test]
fn what_no_policy_under_audit_says_is_no_hit() {
    let mut state = named();
    let listed = KernelEvent { reason: Reason::PoolAddress, ..*audited(Kind::Egress, 1) };
    let blocked = KernelEvent { verdict: Verdict::Blocked, ..*audited(Kind::Egress, 2) };
    for event in [Box::new(listed), Box::new(blocked), audited(Kind::Stratum, 3)] {
        let actions = step(&mut state, at(SECOND), Input::Event(event));
        assert!(notes(&actions).is_empty(), "{actions:?}");
    }
}
