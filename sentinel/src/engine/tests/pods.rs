//! An event of a container that no runtime has told of yet.

use std::collections::BTreeMap;

use super::*;
use crate::attribution::hybrid::V1;
use crate::attribution::pods::{Container, Listing, Pod};

const PATH: &str = "/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn maker_at(id: u64, path: &str) -> Input {
    let Input::Fact(Fact::Maker(id, found)) = maker(id) else { panic!("no maker") };
    Input::Fact(Fact::Maker(id, Attribution { cgroup: Some(path.to_owned()), ..found }))
}

fn pods(listing: BTreeMap<String, Container>) -> Input {
    let listing: Listing = Arc::new(listing);
    let (pods, _) = Pods::listed(&[listing], &Pods::default(), 1);
    Input::Fact(Fact::Pods(Arc::new(pods)))
}

fn with_web() -> Input {
    let pod = Pod { namespace: "shop".into(), name: "web-1".into(), ..Pod::default() };
    let image = Some("web:1".to_owned());
    let pod = Arc::new(pod);
    let app = Container { name: Some("app".into()), image, pod, live: true };
    pods([("b".repeat(64), app)].into())
}

#[test]
fn it_waits_for_its_pod_and_is_told_once() {
    let mut state = named();
    step(&mut state, at(1), pods(BTreeMap::new()));
    step(&mut state, at(10), Input::Event(event(Verdict::Audited, 1)));
    let actions = step(&mut state, at(11), maker_at(1, PATH));
    assert!(flows(&actions).is_empty(), "its pod is not known yet");
    assert_eq!(state.pending(), 1);
    let actions = step(&mut state, at(12), with_web());
    let told = flows(&actions);
    let workload = told[0].workload.as_ref().unwrap();
    assert_eq!(workload.pod.as_deref(), Some("web-1"));
    assert_eq!(workload.namespace.as_deref(), Some("shop"));
    assert_eq!(workload.container_name.as_deref(), Some("app"));
    assert_eq!(workload.image.as_deref(), Some("web:1"));
    assert!(told[0].process.is_some());
    assert_eq!((told.len(), state.pending()), (1, 0));
    // The next one need not wait.
    step(&mut state, at(13), Input::Event(event(Verdict::Audited, 2)));
    assert_eq!(flows(&step(&mut state, at(14), maker_at(2, PATH))).len(), 1);
}

#[test]
fn it_waits_no_longer_than_its_deadline() {
    let mut state = named();
    step(&mut state, at(1), pods(BTreeMap::new()));
    step(&mut state, at(10), Input::Event(event(Verdict::Audited, 1)));
    step(&mut state, at(11), maker_at(1, PATH));
    assert!(flows(&step(&mut state, at(10 + WAIT_POD), Input::Tick)).is_empty());
    let actions = step(&mut state, at(11 + WAIT_POD), Input::Tick);
    let told = flows(&actions);
    assert!(told[0].workload.as_ref().unwrap().pod.is_none());
    assert!(told[0].process.is_some(), "what was found out stays");
    assert_eq!(state.pending(), 0);
}

#[test]
fn without_a_runtime_nobody_waits() {
    let mut state = named();
    step(&mut state, at(10), Input::Event(event(Verdict::Audited, 1)));
    assert_eq!(flows(&step(&mut state, at(11), maker_at(1, PATH))).len(), 1);
    // Nor does what no runtime will tell of.
    step(&mut state, at(12), pods(BTreeMap::new()));
    for (id, path) in [(2, "/system.slice/evil.service"), (3, "/docker/bbbb")] {
        step(&mut state, at(13), Input::Event(event(Verdict::Audited, 10 + id as u16)));
        assert_eq!(flows(&step(&mut state, at(14), maker_at(id, path))).len(), 1, "{path}");
    }
}

#[test]
fn its_socket_is_destroyed_without_waiting_and_the_end_is_told() {
    let mut state = named();
    step(&mut state, at(1), pods(BTreeMap::new()));
    step(&mut state, at(10), Input::Event(event(Verdict::Blocked, 1)));
    let actions = step(&mut state, at(11), maker_at(1, PATH));
    assert_eq!(destructions(&actions), [Some(42)]);
    let done = Fact::Countermeasure(EventId(1), Outcome::Destroyed);
    assert!(flows(&step(&mut state, at(12), Input::Fact(done))).is_empty());
    let actions = step(&mut state, at(13), with_web());
    let told = flows(&actions);
    let end = told[0].countermeasure.as_ref().unwrap();
    assert_eq!(end.result.0, MeasureResult::Destroyed);
    assert!(told[0].workload.as_ref().unwrap().pod.is_some());
}

#[test]
fn what_waits_is_let_go_at_the_end() {
    let mut state = named();
    step(&mut state, at(1), pods(BTreeMap::new()));
    step(&mut state, at(10), Input::Event(event(Verdict::Audited, 1)));
    step(&mut state, at(11), maker_at(1, PATH));
    assert_eq!(flows(&step(&mut state, at(12), Input::Finish)).len(), 1);
    assert_eq!(state.pending(), 0);
}

#[test]
fn what_a_v1_hierarchy_alone_tells_is_told_with_its_name() {
    let mut state = named();
    step(&mut state, at(1), with_web());
    step(&mut state, at(10), Input::Event(event(Verdict::Audited, 1)));
    let Input::Fact(Fact::Maker(id, found)) = maker_at(1, "/") else { panic!("no maker") };
    let v1 = Some(V1 { hierarchy: "name=systemd".into(), path: PATH.into() });
    let actions =
        step(&mut state, at(11), Input::Fact(Fact::Maker(id, Attribution { v1, ..found })));
    let told = flows(&actions);
    let workload = told[0].workload.as_ref().unwrap();
    assert_eq!((workload.cgroup.as_deref(), workload.pod.as_deref()), (Some("/"), Some("web-1")));
    assert_eq!(workload.container_name.as_deref(), Some("app"));
    assert_eq!(workload.v1_hierarchy.as_deref(), Some("name=systemd"));
}
