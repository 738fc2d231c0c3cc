//! The compiled allowlist against what the policy's text says.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use sentinel_common::flow::Direction;
use sentinel_common::policy::{Request, TCP, UDP};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use super::{compile, mapped, sources};
use crate::policy::Bound;

/// A rule as its author thinks of it.
#[derive(Clone, Debug)]
struct Rule {
    to: Vec<IpNet>,
    except: Vec<IpNet>,
    ports: Option<Vec<(u16, u16, &'static str)>>,
}

impl Rule {
    /// What the text says, evaluated word by word.
    fn allows(&self, remote: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        let named = self.to.iter().any(|net| net.contains(&remote));
        let excepted = self.except.iter().any(|net| net.contains(&remote));
        let port_fits = |&(first, last, name): &(u16, u16, &str)| {
            let protocol_fits = match name {
                "TCP" => protocol == TCP,
                "UDP" => protocol == UDP,
                _ => true,
            };
            let number_fits = match port {
                Some(port) => first == 0 || (first..=last).contains(&port),
                None => first == 0,
            };
            protocol_fits && number_fits
        };
        named && !excepted && self.ports.as_ref().is_none_or(|ports| ports.iter().any(port_fits))
    }

    fn write(&self) -> String {
        let list = |nets: &[IpNet]| {
            nets.iter().map(|net| format!("\"{net}\"")).collect::<Vec<_>>().join(", ")
        };
        let mut text = format!(
            "    - toCIDRs: [{}]\n      except: [{}]\n",
            list(&self.to),
            list(&self.except)
        );
        if let Some(ports) = &self.ports {
            let ports = ports.iter().map(|(first, last, protocol)| match first {
                0 => format!("{{protocol: {protocol}}}"),
                _ => format!("{{port: {first}, endPort: {last}, protocol: {protocol}}}"),
            });
            text += &format!("      ports: [{}]\n", ports.collect::<Vec<_>>().join(", "));
        }
        text
    }
}

/// Addresses of a small world, so that prefixes and flows meet.
fn host() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..4, 0u8..4).prop_map(|(a, b)| IpAddr::from([10, a << 6, b << 6, 1])),
        Just(IpAddr::from([192, 0, 2, 1])),
        (0u16..4, 0u16..4).prop_map(|(a, b)| Ipv6Addr::new(
            0x2001,
            0xdb8,
            a << 14,
            b << 14,
            0,
            0,
            0,
            1
        )
        .into()),
    ]
}

fn net() -> impl Strategy<Value = IpNet> {
    let len = prop::sample::select(vec![0u8, 1, 8, 9, 10, 16, 17, 18, 24, 32]);
    (host(), len).prop_map(|(address, len)| {
        // The IPv6 half of the world branches four times as far down.
        let len = if address.is_ipv6() && len > 0 { (len + 24).min(128) } else { len };
        IpNet::new(address, len).unwrap().trunc()
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let port = (0u16..6, 0u16..3, prop::sample::select(vec!["TCP", "UDP", "ANY"]))
        .prop_map(|(first, more, protocol)| (first, first + more, protocol));
    let ports = prop::option::of(prop::collection::vec(port, 0..3));
    let nets = prop::collection::vec(net(), 1..4);
    (nets, prop::collection::vec(net(), 0..3), ports).prop_map(|(to, mut except, ports)| {
        except.retain(|hole| to.iter().any(|net| net.contains(hole)));
        Rule { to, except, ports }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_longest_prefix_says_what_the_text_says(
        rules in prop::collection::vec(rule(), 0..6),
        flows in prop::collection::vec((host(), prop::sample::select(vec![TCP, UDP, 132]), prop::option::of(0u16..8)), 8),
    ) {
        let mut text = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: p}\nspec:\n  mode: enforce\n  egress:\n".to_owned();
        text += &if rules.is_empty() { "    []\n".to_owned() } else { rules.iter().map(Rule::write).collect::<String>() };
        let set = compile(&sources(&text)).map_err(|findings| TestCaseError::fail(format!("{findings:?}\n{text}")))?;
        for (remote, protocol, port) in flows {
            let first = rules.iter().position(|rule| rule.allows(remote, protocol, port));
            let request = Request { remote: mapped(remote), protocol, port, icmp_type: 0 };
            let judged = Bound::node(&set).judge(&set, Mode::Enforce, Direction::Egress, &request, None);
            let decision = judged.decision;
            let expected = first.map_or(0, |index| index as u16 + 1);
            prop_assert_eq!(judged.rule, expected, "{:?}\n{}", request, text);
            prop_assert_eq!(decision.reason == Reason::Allowlisted, first.is_some());
            prop_assert_eq!(decision.verdict == Verdict::Allowed, first.is_some());
        }
    }
}
