//! Rules on workloads: whom they mean, by whose labels, and on which ports.

use super::*;
use crate::attribution::peers::{FrontPort, Peer, Peers};
use crate::policy::{Target, compile_among, export};

fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn peer(namespace: &str, tier: &str, address: &str) -> Peer {
    Peer {
        namespace: namespace.into(),
        namespace_labels: labels(&[("team", namespace)]).into(),
        labels: labels(&[("tier", tier), ("app", "any")]).into(),
        addresses: vec![address.parse().unwrap()],
        front: None,
    }
}

/// A database here and another in the next namespace, a cache, and the service before the first.
fn peers() -> Peers {
    let port = |port, target| FrontPort { protocol: TCP, port, target };
    let front = Some(vec![port(15_432, 5432), port(80, 9187)]);
    Peers::new(vec![
        peer("shop", "db", "10.0.0.5"),
        peer("other", "db", "10.0.0.6"),
        peer("shop", "cache", "fd00::7"),
        Peer { front, ..peer("shop", "db", "10.96.0.9") },
    ])
}

fn verdict(name: &str, rule: &str, remote: &str, port: u16) -> Verdict {
    let text = policy(name, &format!("mode: enforce, egress: [{rule}]"));
    let set = compile_among(&sources(&text), OffsetDateTime::UNIX_EPOCH, &peers()).unwrap();
    assert!(set.asks_for_peers());
    let policy = set.policies.first().unwrap();
    let request =
        Request { remote: address(remote), protocol: TCP, port: Some(port), icmp_type: 0 };
    let bound = Bound { places: vec![0] };
    assert_eq!(policy.rules.len(), rule.matches("ports").count(), "each rule is one still");
    bound.judge(&set, Mode::Enforce, Direction::Egress, &request, None).decision.verdict
}

const OWN: &str = "name: web, namespace: shop";
const DB: &str = "{toWorkloads: {podSelector: {matchLabels: {tier: db}}}, ports: [{port: 5432}]}";

#[test]
fn pods_of_the_policys_own_namespace_are_meant() {
    let is_open = |name, rule, remote, port| verdict(name, rule, remote, port) == Verdict::Allowed;
    assert!(is_open(OWN, DB, "10.0.0.5", 5432));
    assert!(!is_open(OWN, DB, "10.0.0.5", 5433), "another port");
    assert!(!is_open(OWN, DB, "10.0.0.6", 5432), "another namespace");
    assert!(!is_open(OWN, DB, "fd00::7", 5432), "another tier");
    assert!(is_open("name: everywhere", DB, "10.0.0.6", 5432), "a policy of no namespace");
    let around = "{toWorkloads: {podSelector: {matchLabels: {tier: db}}, \
        namespaceSelector: {matchLabels: {team: other}}}, ports: [{port: 5432}]}";
    assert!(is_open(OWN, around, "10.0.0.6", 5432));
    assert!(!is_open(OWN, around, "10.0.0.5", 5432));
    let all = "{toWorkloads: {podSelector: {}}, ports: [{protocol: ANY}]}";
    assert!(is_open(OWN, all, "fd00::7", 1) && !is_open(OWN, all, "10.0.0.6", 1));
}

#[test]
fn the_service_before_them_is_open_where_its_port_leads_to_an_open_one() {
    assert_eq!(verdict(OWN, DB, "10.96.0.9", 15_432), Verdict::Allowed);
    assert_eq!(verdict(OWN, DB, "10.96.0.9", 5432), Verdict::Blocked, "that leads to nobody");
    assert_eq!(verdict(OWN, DB, "10.96.0.9", 80), Verdict::Blocked, "that leads to 9187");
    let range = "{toWorkloads: {podSelector: {}}, ports: [{port: 9000, endPort: 9999}]}";
    assert_eq!(verdict(OWN, range, "10.96.0.9", 80), Verdict::Allowed);
    assert_eq!(verdict(OWN, range, "10.0.0.5", 80), Verdict::Blocked);
}

#[test]
fn where_no_pod_is_known_nothing_is_open_and_a_selection_of_nobody_is_refused() {
    let text = policy(OWN, &format!("mode: enforce, egress: [{DB}]"));
    let set = compile(&sources(&text)).unwrap();
    assert_eq!((set.prefixes(), set.policies.first().unwrap().isolates.egress), (0, true));
    let text = policy(OWN, "mode: enforce, egress: [{toWorkloads: {}}]");
    let findings = compile(&sources(&text)).unwrap_err();
    assert!(findings.iter().any(|it| it.message == "toWorkloads selects nobody"), "{findings:?}");
}

#[test]
fn other_objects_say_it_too() {
    let text = policy(OWN, &format!("mode: enforce, egress: [{DB}]"));
    let network = export(&sources(&text), Target::NetworkPolicy).unwrap().text;
    assert!(
        network.contains("- podSelector:\n        matchLabels:\n          tier: db"),
        "{network}"
    );
    assert!(!network.contains("ipBlock"), "{network}");
    let cilium = export(&sources(&text), Target::Cilium).unwrap().text;
    assert!(cilium.contains("toEndpoints"), "{cilium}");
    assert!(
        cilium.contains("io.kubernetes.pod.namespace") && cilium.contains("tier: db"),
        "{cilium}"
    );
}
