//! What a change costs: which texts are read again, and which policies compiled.

use super::*;
use crate::attribution::peers::{Kinds, Peer, Peers};
use crate::attribution::pods::{Container, Pod, Pods};
use crate::policy::{Among, Library, Work, compile_among};

/// Policies, every fifth with a rule on the workloads of its own tier.
const MANY: usize = 40;
const NOTHING: Work = Work { read: 0, compiled: 0, resolved: 0 };

fn source(number: usize, port: u16) -> Source {
    let to = if number.is_multiple_of(5) {
        format!("toWorkloads: {{podSelector: {{matchLabels: {{tier: t{number}}}}}}}")
    } else {
        format!("toCIDRs: [10.0.{number}.0/24]")
    };
    let text = format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\n\
        metadata: {{name: p{number}, namespace: shop}}\n\
        spec: {{mode: enforce, workload: {{podSelector: {{matchLabels: {{app: a{number}}}}}}},\n\
        egress: [{{{to}, ports: [{{port: {port}}}]}}]}}\n"
    );
    Source { name: format!("p{number}.yaml"), text }
}

fn many() -> Vec<Source> {
    (0..MANY).map(|number| source(number, 443)).collect()
}

fn labels(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

/// Whoever is behind the services of these tiers.
fn peers(tiers: &[(usize, &str)]) -> Peers {
    let peer = |(tier, address): &(usize, &str)| Peer {
        namespace: "shop".into(),
        labels: labels("tier", &format!("t{tier}")).into(),
        addresses: vec![address.parse().unwrap()],
        ..Peer::default()
    };
    Peers::new(tiers.iter().map(peer).collect())
}

/// A node with a pod of each of these apps.
fn here(apps: &[&str]) -> Kinds {
    let sandbox = |app: &&str| {
        let uid = format!("uid-{app}");
        let pod =
            Pod { namespace: "shop".into(), uid, labels: labels("app", app), ..Pod::default() };
        let pod = std::sync::Arc::new(pod);
        ((*app).to_owned(), Container { name: None, image: None, pod, live: true })
    };
    let listing = std::sync::Arc::new(apps.iter().map(sandbox).collect());
    Kinds::of(&Pods::listed(&[listing], &Pods::default(), 1).0)
}

fn set(library: &Library) -> PolicySet {
    library.set(OffsetDateTime::UNIX_EPOCH).unwrap()
}

#[test]
fn of_many_texts_the_one_that_changed_is_read() {
    let (none, nobody) = (Peers::default(), Kinds::default());
    let among = Among { peers: &none, here: Some(&nobody) };
    let first = Library::default().read(&many(), among);
    assert_eq!(first.work(), Work { read: MANY, compiled: MANY, resolved: 0 });
    assert_eq!(first.read(&many(), among).work(), NOTHING);
    let mut other = many();
    other[7] = source(7, 8443);
    let next = first.read(&other, among);
    assert_eq!(next.work(), Work { read: 1, compiled: 1, resolved: 0 });
    assert_eq!(set(&next), compile_among(&other, OffsetDateTime::UNIX_EPOCH, &none).unwrap());
    let kept = set(&next).policies.into_iter().zip(set(&first).policies);
    let kept = kept.filter(|(now, before)| std::sync::Arc::ptr_eq(now, before)).count();
    assert_eq!(kept, MANY - 1, "all others are the very same");
    other.remove(7);
    let less = next.read(&other, among);
    assert_eq!((less.work(), set(&less).policies.len()), (NOTHING, MANY - 1));
    other[0].text.push_str("nonsense: [");
    let wrong = less.read(&other, among);
    assert_eq!(wrong.work().read, 1);
    assert!(wrong.set(OffsetDateTime::UNIX_EPOCH).is_err_and(|findings| findings.len() == 1));
}

#[test]
fn a_pod_elsewhere_has_the_policies_compiled_that_mean_it_and_are_on_somebody_here() {
    let (before, here) = (peers(&[(5, "10.1.0.5"), (10, "10.1.0.10")]), here(&["a5", "a6"]));
    let among = |peers| Among { peers, here: Some(&here) };
    let first = Library::default().read(&many(), among(&before));
    assert_eq!(first.work().resolved, 1, "a5's, and a10 is not here");
    assert!(first.among(among(&before)).is_none());
    let elsewhere = peers(&[(5, "10.1.0.5"), (10, "10.1.0.11"), (6, "10.1.0.6")]);
    assert!(first.among(among(&elsewhere)).is_none(), "nobody here asks those policies");
    let meant = peers(&[(5, "10.1.0.6"), (10, "10.1.0.11")]);
    let next = first.among(among(&meant)).unwrap();
    assert_eq!(next.work(), Work { read: 0, compiled: 1, resolved: 1 });
    let policy = set(&next).policies.into_iter().find(|policy| policy.name.name == "p5").unwrap();
    let all = compile_among(&many(), OffsetDateTime::UNIX_EPOCH, &meant).unwrap();
    assert!(all.policies.contains(&policy), "it is what it would be if all were compiled");
}

#[test]
fn a_pod_that_comes_here_has_its_policies_resolved() {
    let (peers, nobody) = (peers(&[(5, "10.1.0.5"), (10, "10.1.0.10")]), Kinds::default());
    let first = Library::default().read(&many(), Among { peers: &peers, here: Some(&nobody) });
    assert_eq!((first.work().resolved, set(&first).prefixes()), (0, MANY - MANY / 5));
    let here = here(&["a10"]);
    let next = first.among(Among { peers: &peers, here: Some(&here) }).unwrap();
    assert_eq!(next.work(), Work { read: 0, compiled: 1, resolved: 1 });
    let all = first.among(Among { peers: &peers, here: None }).unwrap();
    assert_eq!(all.work().resolved, 2, "whoever asks of any workload");
    assert_eq!(set(&all), compile_among(&many(), OffsetDateTime::UNIX_EPOCH, &peers).unwrap());
}

#[test]
fn policies_that_are_on_no_pods_are_always_here() {
    let text = "apiVersion: sentinel.dev/v1alpha1\nkind: ClusterEgressPolicy\nmetadata: {name: x}\n\
        spec: {mode: enforce, workload: {cgroup: /a/b}, egress: [{toWorkloads: {podSelector: {}}}]}\n";
    let sources = sources(text);
    let (peers, nobody) = (peers(&[(1, "10.1.0.1")]), Kinds::default());
    let library = Library::default().read(&sources, Among { peers: &peers, here: Some(&nobody) });
    assert_eq!((library.work().resolved, set(&library).prefixes()), (1, 1));
}
