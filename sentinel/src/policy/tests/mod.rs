//! What a policy's text comes to, and what is said about slips.

use std::net::IpAddr;

use sentinel_common::address::Address;
use sentinel_common::flow::Direction;
use sentinel_common::limits::MAX_PORT_RANGES;
use sentinel_common::policy::{Request, TCP, UDP};
use sentinel_common::verdict::{Mode, Verdict};
use time::OffsetDateTime;

use super::{Bound, PolicySet, Source, Subject, check, load};

mod library;
mod property;
mod server_name;
mod workloads;

fn sources(text: &str) -> Vec<Source> {
    vec![Source { name: "p.yaml".to_owned(), text: text.to_owned() }]
}

fn address(text: &str) -> Address {
    mapped(text.parse().unwrap())
}

fn mapped(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn compile(sources: &[Source]) -> Result<PolicySet, Vec<super::Diagnostic>> {
    super::compile(sources, OffsetDateTime::UNIX_EPOCH)
}

/// Verdict, policy and rule for what goes out of the node.
fn ask(set: &PolicySet, remote: &str, protocol: u8, port: u16) -> (Verdict, String) {
    let request = Request { remote: address(remote), protocol, port: Some(port), icmp_type: 0 };
    ask_on(set, &Bound::node(set), Direction::Egress, &request)
}

fn ask_on(
    set: &PolicySet,
    bound: &Bound,
    direction: Direction,
    request: &Request,
) -> (Verdict, String) {
    let judged = bound.judge(set, Mode::Enforce, direction, request, None);
    let policy = judged.policy.map(|place| &set.policies[place]);
    let rule = policy.and_then(|policy| policy.rule(judged.rule));
    let rule = rule.map_or("-".to_owned(), |rule| format!("{}[{}]", rule.list, rule.index));
    let policy = policy.map_or("-".to_owned(), |policy| policy.name.to_string());
    (judged.decision.verdict, format!("{policy} {rule}"))
}

const GOOD: &str = "# what the build hosts may reach
apiVersion: sentinel.dev/v1alpha1
kind: EgressPolicy
metadata:
  name: base
  labels: {team: build}
spec:
  mode: enforce
  stratum: block
  egress:
    - toCIDRs: [10.0.0.0/8]
      except: [10.1.0.0/16]
      ports: [{port: 443}, {port: 8000, endPort: 8100, protocol: UDP}]
    - toCIDRs: [\"::/0\"]
---
apiVersion: sentinel.dev/v1alpha1
kind: ClusterEgressPolicy
metadata: {name: dns}
spec:
  mode: enforce
  egress:
    - toCIDRs: [10.1.2.3/32, 192.0.2.0/24]
      ports: [{port: 53, protocol: ANY}]
";

#[test]
fn a_good_policy_means_what_it_says() {
    let set = compile(&sources(GOOD)).unwrap();
    assert_eq!((set.mode(Direction::Egress), set.stratum()), (Mode::Enforce, Mode::Enforce));
    assert_eq!(set.mode(Direction::Ingress), Mode::Off);
    let allowed = |rule: &str| (Verdict::Allowed, rule.to_owned());
    let blocked = (Verdict::Blocked, "base -".to_owned());
    assert_eq!(ask(&set, "10.2.0.1", TCP, 443), allowed("base egress[0]"));
    assert_eq!(ask(&set, "10.2.0.1", UDP, 443), blocked);
    assert_eq!(ask(&set, "10.2.0.1", UDP, 8100), allowed("base egress[0]"));
    assert_eq!(ask(&set, "10.1.0.1", TCP, 443), blocked);
    assert_eq!(ask(&set, "10.1.2.3", UDP, 53), allowed("dns egress[0]"));
    assert_eq!(ask(&set, "10.1.2.3", TCP, 443), blocked);
    assert_eq!(ask(&set, "2001:db8::1", 132, 9), allowed("base egress[1]"));
    assert_eq!(ask(&set, "8.8.8.8", UDP, 53), blocked, "::/0 is IPv6 only");
    let rule = set.policies[1].rule(1).unwrap();
    assert_eq!(rule.to_string(), "egress[0] (p.yaml:22)");
    assert!(set.policies[1].rule(0).is_none() && set.policies[1].rule(2).is_none());
}

#[test]
fn without_a_list_only_mining_is_looked_for() {
    let text = GOOD.split("  mode:").next().unwrap().to_owned() + "  stratum: alert\n";
    let set = compile(&sources(&text)).unwrap();
    assert_eq!((set.mode(Direction::Egress), set.stratum()), (Mode::Off, Mode::Audit));
    assert_eq!(ask(&set, "192.0.2.1", TCP, 1), (Verdict::Allowed, "- -".to_owned()));
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{{name}}}\nspec: {{{spec}}}\n---\n"
    )
}

#[test]
fn policies_on_one_workload_add_up_and_audit_changes_nothing() {
    let ssh = "ports: [{port: 22}]";
    let text = [
        policy("name: base", "mode: enforce, egress: [{toCIDRs: [10.0.0.0/8]}]"),
        policy("name: more", "mode: enforce, egress: [{toCIDRs: [192.0.2.0/24]}]"),
        policy(
            "name: no-ssh",
            &format!("mode: enforce, egressDeny: [{{toCIDRs: [10.0.0.0/8], {ssh}}}]"),
        ),
        policy(
            "name: trial",
            "mode: audit, egress: [{toCIDRs: [203.0.113.0/24]}], egressDeny: [{toCIDRs: [10.9.0.0/16]}]",
        ),
        policy(
            "name: web",
            "workload: {systemdUnit: \"web@*.service\"}, mode: audit, ingress: [{fromCIDRs: [10.0.0.0/8], ports: [{port: 80}]}]",
        ),
    ];
    let set = compile(&sources(&text.concat())).unwrap();
    let says = |remote: &str, port| ask(&set, remote, TCP, port);
    let (allowed, audited, blocked) = (Verdict::Allowed, Verdict::Audited, Verdict::Blocked);
    assert_eq!(says("10.0.0.1", 443), (allowed, "base egress[0]".into()));
    assert_eq!(says("192.0.2.1", 443), (allowed, "more egress[0]".into()));
    assert_eq!(says("10.0.0.1", 22), (blocked, "no-ssh egressDeny[0]".into()));
    assert_eq!(
        says("203.0.113.1", 1),
        (blocked, "base -".into()),
        "an audited policy opens nothing"
    );
    assert_eq!(says("10.9.0.1", 443), (audited, "trial egressDeny[0]".into()));
    let unit = |path| Bound::node(&set).below(&set, Subject { path, pod: None });
    let caller =
        Request { remote: address("192.0.2.9"), protocol: TCP, port: Some(80), icmp_type: 0 };
    let web = unit("/system.slice/web@1.service");
    let inner = web.below(&set, Subject { path: "/system.slice/web@1.service/inner", pod: None });
    for bound in [&web, &inner] {
        assert_eq!(ask_on(&set, bound, Direction::Ingress, &caller), (audited, "web -".into()));
    }
    let other = unit("/system.slice/db.service");
    assert_eq!(ask_on(&set, &other, Direction::Ingress, &caller), (allowed, "- -".into()));
}

#[test]
fn encrypted_questions_are_denied_where_they_are_known() {
    let text = policy(
        "name: a",
        "mode: enforce, encryptedDNS: deny, egress: [{toCIDRs: [\"0.0.0.0/0\", \"::/0\"]}]",
    ) + &policy("name: b", "mode: enforce, egress: [{toCIDRs: [\"1.1.1.1/32\"]}]");
    let set = compile(&sources(&text)).unwrap();
    let denied = |index: u8| (Verdict::Blocked, format!("a encryptedDNS[{index}]"));
    for protocol in [TCP, UDP] {
        for anybody in ["198.51.100.7", "2001:db8::7"] {
            assert_eq!(ask(&set, anybody, protocol, 853), denied(0));
            assert_eq!(ask(&set, anybody, protocol, 443).0, Verdict::Allowed);
        }
        for known in ["1.1.1.1", "45.90.28.77", "2620:fe::fe"] {
            assert_eq!(ask(&set, known, protocol, 443), denied(1), "{known}");
            assert_eq!(ask(&set, known, protocol, 853), denied(0), "{known}");
            assert_eq!(ask(&set, known, protocol, 53).0, Verdict::Allowed, "{known}");
        }
    }
    assert_eq!(ask(&set, "1.1.1.1", 132, 443).0, Verdict::Allowed);
    let rule = set.policies[0].rule(3).unwrap();
    assert_eq!(rule.to_string(), "encryptedDNS[1] (p.yaml:4)");
    let alone = policy("name: a", "mode: audit, encryptedDNS: deny");
    let set = compile(&sources(&alone)).unwrap();
    assert_eq!(set.mode(Direction::Egress), Mode::Audit);
    assert_eq!(ask(&set, "9.9.9.9", TCP, 443), (Verdict::Audited, "a encryptedDNS[1]".to_owned()));
    let told = check(&sources(&policy("name: a", "encryptedDNS: deny")));
    assert!(told.first().unwrap().to_string().contains("encryptedDNS needs a mode beside it"));
    let open = compile(&sources(&policy("name: a", "encryptedDNS: allow"))).unwrap();
    assert_eq!(open.prefixes(), 0);
}

#[test]
fn what_is_on_the_root_is_on_all_in_it() {
    let text = policy("name: root", "workload: {cgroup: /}, mode: enforce, egress: []");
    let set = compile(&sources(&text)).unwrap();
    assert!(Bound::node(&set).places.is_empty());
    for path in ["/", "/a", "/a/b.service"] {
        assert_eq!(Bound::of_path(&set, path).places, [0], "{path}");
    }
}

#[test]
fn an_empty_list_allows_nothing_and_an_absent_one_says_nothing() {
    let set = compile(&sources(&policy("name: shut", "mode: enforce, egress: []"))).unwrap();
    assert_eq!(ask(&set, "192.0.2.1", TCP, 1), (Verdict::Blocked, "shut -".into()));
    assert_eq!(ask(&set, "127.0.0.1", TCP, 1).0, Verdict::Allowed);
    let set = compile(&sources(&policy(
        "name: deny",
        "mode: enforce, egressDeny: [{toCIDRs: [192.0.2.0/24]}]",
    )))
    .unwrap();
    assert_eq!(ask(&set, "192.0.2.1", TCP, 1), (Verdict::Blocked, "deny egressDeny[0]".into()));
    assert_eq!(ask(&set, "192.0.3.1", TCP, 1), (Verdict::Allowed, "- -".into()));
}

#[test]
fn a_policy_ends_when_it_says() {
    let text = policy("name: x", "mode: enforce, egress: [], expires: 1970-01-02T00:00:00Z");
    let day = |days| {
        super::compile(&sources(&text), OffsetDateTime::UNIX_EPOCH + time::Duration::days(days))
            .unwrap()
    };
    assert_eq!(
        (day(0).policies.len(), day(0).next_expiry),
        (1, Some(OffsetDateTime::UNIX_EPOCH + time::Duration::days(1)))
    );
    assert_eq!((day(1).policies.len(), day(1).expired.len()), (0, 1));
}

#[test]
fn numbers_stay_with_their_policies() {
    let set = |names: &[&str]| {
        let text: String =
            names.iter().map(|name| policy(&format!("name: {name}"), "stratum: alert")).collect();
        compile(&sources(&text)).unwrap()
    };
    let mut numbers = super::Numbers::default();
    assert_eq!(numbers.assign(&set(&["b", "d"])), [1, 2]);
    assert_eq!(numbers.assign(&set(&["a", "b", "c", "d"])), [3, 1, 4, 2]);
    assert_eq!(numbers.assign(&set(&["c"])), [4]);
    assert_eq!(
        numbers.assign(&set(&["b", "c"])),
        [5, 4],
        "a number that was free is not given at once"
    );
}

#[test]
fn slips_are_told_with_their_place() {
    for (from, to, expected) in [
        (
            "mode: enforce",
            "mode: enfroce",
            "p.yaml:8:9: unknown value \"enfroce\" (did you mean \"enforce\"?)",
        ),
        ("toCIDRs", "toCIDR", "p.yaml:11:7: unknown key \"toCIDR\" (did you mean \"toCIDRs\"?)"),
        ("  mode:", "  workload: {a: b}\n  mode:", "p.yaml:8:14: unknown key \"a\""),
        ("  mode:", "  workload: {}\n  mode:", "workload selects nothing"),
        (
            "  mode:",
            "  workload: {cgroup: a/b}\n  mode:",
            "\"a/b\" does not begin at the cgroup2 root; write /a/b",
        ),
        ("  mode:", "  workload: {systemdUnit: \"[\"}\n  mode:", "is no pattern"),
        ("  mode:", "  expires: soon\n  mode:", "\"soon\" is no time; write 2026-12-24T00:00:00Z"),
        (
            "toCIDRs: [10.0.0.0/8]\n      except: [10.1.0.0/16]",
            "toFQDNs: [\"*.com\"]",
            "everything below a top-level domain",
        ),
        (
            "toCIDRs: [10.0.0.0/8]\n      except: [10.1.0.0/16]\n      ports",
            "ports",
            "egress[0] names nobody",
        ),
        ("protocol: UDP", "protocol: ICMP", "ICMP has no ports"),
        ("10.1.0.0/16", "11.1.0.0/16", "p.yaml:12:16: except 11.1.0.0/16 lies in none"),
        ("10.1.0.0/16", "10.1.0.1/16", "has bits set behind its length; write 10.1.0.0/16"),
        ("10.1.0.0/16", "10.1.0.1", "is an address, not a CIDR; write 10.1.0.1/32"),
        ("10.1.0.0/16", "10.1.0.0/33", "is no CIDR"),
        ("endPort: 8100", "endPort: 80", "p.yaml:13:50: endPort 80 lies before port 8000"),
        ("{port: 443}", "{endPort: 443}", "endPort needs a port to begin from"),
        ("port: 443", "port: 99999", "p.yaml:13:22: this is no port"),
        ("port: 443", "port: 0", "port 0 is no port"),
        ("port: 443", "prot: 99", "unknown key \"prot\" (did you mean \"port\"?)"),
        ("UDP", "UPD", "unknown value \"UPD\" (did you mean \"UDP\"?)"),
        (
            "kind: EgressPolicy",
            "kind: EgresPolicy",
            "p.yaml:3:7: kind \"EgresPolicy\" is not known",
        ),
        ("v1alpha1", "v1", "p.yaml:2:13: apiVersion \"sentinel.dev/v1\" is not known"),
        ("name: base", "name: [base", "p.yaml:5:9: "),
        ("  mode: enforce\n", "", "egress needs a mode beside it"),
        ("name: base", "name: dns", "a policy named \"dns\" stands in p.yaml already"),
        (
            "metadata:\n  name: base\n  labels: {team: build}\n",
            "",
            "the key \"metadata\" is missing",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "nothing to replace: {from}");
        let findings = check(&sources(&text));
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "{told:#?}\nlacks {expected}");
    }
}

#[test]
fn too_many_ranges_name_the_prefix() {
    let ports: Vec<String> =
        (0..=MAX_PORT_RANGES).map(|index| format!("{{port: {}}}", 1000 + index * 2)).collect();
    let text = GOOD.replacen("{port: 443}", &ports.join(", "), 1);
    let told = check(&sources(&text)).first().unwrap().to_string();
    assert!(told.contains("10.0.0.0/8 and the prefixes around it come to"), "{told}");
}

#[test]
fn files_and_directories_are_read() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("b.yml"), GOOD).unwrap();
    std::fs::write(room.path().join("a.yaml"), GOOD).unwrap();
    std::fs::write(room.path().join("c.txt"), "no").unwrap();
    let read = load(&[room.path().to_owned()]).unwrap();
    assert_eq!(read.len(), 2);
    assert!(read[0].name.ends_with("a.yaml") && read[0].text == GOOD);
    let empty = tempfile::tempdir().unwrap();
    assert!(load(&[empty.path().to_owned()]).unwrap_err().to_string().contains("holds no .yaml"));
    assert!(load(&[room.path().join("d.yaml")]).unwrap_err().to_string().contains("d.yaml"));
}
