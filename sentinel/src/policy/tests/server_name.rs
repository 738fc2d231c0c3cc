//! Rules that demand the name in the handshake too.

use super::*;
use crate::policy::Named;

const NAME: &str = "api.example.com";

fn rules(rules: &str) -> String {
    policy("name: shop", &format!("mode: enforce, egress: [{rules}]"))
}

/// Verdict, and whether it has a condition, of who was led there by the name.
fn led(text: &str, protocol: u8, port: u16) -> (Verdict, bool) {
    let set = compile(&sources(text)).unwrap();
    let request =
        Request { remote: address("192.0.2.1"), protocol, port: Some(port), icmp_type: 0 };
    let named = Some(Named { asked: Some(NAME), learned: &[] });
    let judged = Bound::node(&set).judge(&set, Mode::Enforce, Direction::Egress, &request, named);
    (judged.decision.verdict, judged.decision.demands)
}

#[test]
fn the_condition_is_on_tcp_and_on_these_ports_and_void_beside_a_freer_rule() {
    let demanding = format!("{{toFQDNs: [{NAME}], requireServerName: true}}");
    assert_eq!(led(&rules(&demanding), TCP, 443), (Verdict::Allowed, true));
    assert_eq!(led(&rules(&demanding), UDP, 443).0, Verdict::Blocked);
    let port = "{toFQDNs: [\"*.example.com\"], requireServerName: true, ports: [{port: 443}]}";
    assert_eq!(led(&rules(port), TCP, 443), (Verdict::Allowed, true));
    assert_eq!(led(&rules(port), TCP, 80).0, Verdict::Blocked);
    for freer in [
        format!("{{toFQDNs: [{NAME}], ports: [{{port: 443}}]}}"),
        "{toFQDNs: [\"*.example.com\"]}".to_owned(),
        "{toCIDRs: [192.0.2.0/24]}".to_owned(),
    ] {
        for both in [format!("{demanding}, {freer}"), format!("{freer}, {demanding}")] {
            assert_eq!(led(&rules(&both), TCP, 443), (Verdict::Allowed, false), "{both}");
        }
    }
    // A wider rule with a condition does not make the narrower one without it void.
    let beside = format!("{demanding}, {{toFQDNs: [{NAME}], ports: [{{port: 22}}]}}");
    assert_eq!(led(&rules(&beside), TCP, 22), (Verdict::Allowed, false));
    assert_eq!(led(&rules(&beside), TCP, 443), (Verdict::Allowed, true));
}

#[test]
fn what_has_no_handshake_that_can_be_read_is_refused() {
    for (rule, expected) in [
        ("{toCIDRs: [10.0.0.0/8], requireServerName: true}", "with toFQDNs alone"),
        (
            "{toFQDNs: [a.example], toCIDRs: [10.0.0.0/8], requireServerName: true}",
            "with toFQDNs alone",
        ),
        (
            "{toFQDNs: [a.example], requireServerName: true, ports: [{port: 443, protocol: UDP}]}",
            "is for TCP",
        ),
        (
            "{toFQDNs: [a.example], requireServerName: true, ports: [{port: 443, protocol: ANY}]}",
            "is for TCP",
        ),
    ] {
        let told: Vec<String> =
            check(&sources(&rules(rule))).iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "{rule}: {told:?}");
    }
    let off = "{toFQDNs: [a.example], requireServerName: false, ports: [{protocol: UDP}]}";
    assert!(check(&sources(&rules(off))).is_empty());
}
