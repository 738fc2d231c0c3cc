//! The text of learned policies: written by hand, since its comments are half of what it says.

use std::fmt::Write as _;

use sentinel_common::policy::{ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};

use super::merge::{Evidence, Range, Rule, Side, rules};
use super::{Profile, Workload, names};

/// Other names of a destination that its remark tells.
const SHOWN: usize = 3;

/// What the policies were learned from, told at their head in whole sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// One a line.
    pub sentences: Vec<String>,
}

/// One policy under audit for each workload, in the order of their names. `merge` is how many neighbours
/// become a prefix.
#[must_use]
pub fn policies(profile: &Profile, origin: &Origin, merge: usize) -> String {
    let mut text = String::new();
    for sentence in &origin.sentences {
        line(&mut text, &format!("# {sentence}"));
    }
    let names = names(profile.workloads().map(|(workload, _)| workload));
    for (name, (workload, seen)) in names.iter().zip(profile.workloads()) {
        line(&mut text, "---");
        policy(&mut text, name, workload, &rules(seen, merge));
    }
    text
}

// Writing to a string does not fail.
fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

fn policy(text: &mut String, name: &str, workload: &Workload, rules: &[Rule]) {
    line(text, "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata:");
    line(text, &format!("  name: {name}\nspec:\n  workload:"));
    match workload {
        Workload::Unit(unit) => line(text, &format!("    systemdUnit: {}", quoted(&pattern(unit)))),
        Workload::Cgroup(path) => {
            if crate::attribution::workload::of_path(path).container.is_some() {
                line(
                    text,
                    "    # A container has another path when it is made anew: a podSelector would stay.",
                );
            }
            line(text, &format!("    cgroup: {}", quoted(&pattern(path))));
        }
    }
    line(
        text,
        "  mode: audit   # then, when `sentinel policy diff` says that nothing would be cut: enforce",
    );
    line(text, "  egress:");
    for rule in rules {
        let by_kind = |names: bool| {
            rule.sides.iter().filter(move |it| matches!(it.side, Side::Name(_)) == names)
        };
        for (names, key) in [(false, "toCIDRs"), (true, "toFQDNs")] {
            if by_kind(names).next().is_none() {
                continue;
            }
            line(text, &format!("    - {key}:"));
            for evidence in by_kind(names) {
                line(text, &format!("        - {}", side(evidence)));
            }
            line(text, "      ports:");
            for range in &rule.ranges {
                line(text, &format!("        - {}", ports(*range)));
            }
            if names && rule.private {
                line(text, "      allowPrivateAddresses: true   # that is where they led");
            }
        }
    }
}

fn side(evidence: &Evidence) -> String {
    let Evidence { side, at, count, first, last, called, others } = evidence;
    let text = match side {
        Side::Prefix(prefix) => prefix.to_string(),
        Side::Name(name) => quoted(name),
    };
    // A colon opens a mapping only with a space behind it, but people quote IPv6.
    let text = if text.contains(':') { quoted(&text) } else { text };
    let mut remark = match count {
        // Open, and not counted: it was there before.
        0 | 1 => "seen once".to_owned(),
        count => format!("seen {count} times"),
    };
    if at.len() > 1 {
        let _ = write!(remark, " at {} addresses", at.len());
    }
    let _ = write!(remark, ", {first} to {last}");
    if !called.is_empty() {
        let called: Vec<String> = called.iter().take(3).map(|name| plain(name)).collect();
        let _ = write!(remark, "; TLS name {}", called.join(", "));
    }
    if !others.is_empty() {
        let said = match evidence.side {
            Side::Name(_) => "shares an address with",
            Side::Prefix(_) => "not every time, but also looked up as",
        };
        let more = others.len().saturating_sub(SHOWN);
        let others: Vec<String> = others.iter().take(SHOWN).map(|name| plain(name)).collect();
        let _ = write!(remark, "; {said} {}", others.join(", "));
        if more > 0 {
            let _ = write!(remark, " and {more} more");
        }
    }
    format!("{text}   # {remark}")
}

/// What a client wrote may not end a comment.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(120).collect()
}

fn ports(range: Range) -> String {
    let Range { protocol, first, last } = range;
    let protocol = match protocol {
        TCP => "TCP",
        UDP => "UDP",
        SCTP => "SCTP",
        UDP_LITE => "UDPLITE",
        ICMP | ICMPV6 => "ICMP",
        _ => "ANY",
    };
    match (first, last) {
        (0, _) => format!("{{ protocol: {protocol} }}"),
        (first, last) if first == last => format!("{{ port: {first}, protocol: {protocol} }}"),
        (first, last) => format!("{{ port: {first}, endPort: {last}, protocol: {protocol} }}"),
    }
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A pattern that means this text and no other.
fn pattern(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '*' | '?' | '[' | ']' | '{' | '}' => format!("[{letter}]"),
        letter => letter.to_string(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::Destination;
    use super::*;
    use crate::policy::{Source, compile};

    #[test]
    fn what_is_written_is_a_policy_that_says_the_same_every_time() {
        let mut profile = Profile::default();
        let to = |address: &str, protocol, port| Destination {
            address: address.parse().unwrap(),
            protocol,
            port,
        };
        let shop = "/system.slice/shop\\x2dfront.service";
        for (to, names) in [
            (to("192.0.2.7", TCP, 443), &[][..]),
            (to("2001:db8::7", UDP, 53), &[]),
            (to("198.51.100.1", TCP, 443), &["www.example.com", "cdn.example.net"]),
            (to("10.0.0.1", TCP, 5432), &["db.internal"]),
            (to("198.51.100.9", ICMP, 0), &[]),
            (to("198.51.100.9", 47, 0), &[]),
        ] {
            profile.take(shop, to, 1, ("T1", "T2"));
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            profile.explain(shop, to, 1, &names);
        }
        profile.call(shop, to("192.0.2.7", TCP, 443), "api.example.com\nx: y");
        for port in 1..200 {
            profile.take("/lab/a[b]*", to("192.0.2.8", TCP, port), 1, ("T1", "T2"));
            profile.take("/lab/a[b]*", to("192.0.2.8", UDP, port), 1, ("T1", "T2"));
        }
        let origin = Origin { sentences: vec!["Learned.".to_owned()] };
        let text = policies(&profile, &origin, 8);
        assert_eq!(text, policies(&profile.clone(), &origin, 8));
        assert!(
            text.contains(
                "    - 192.0.2.7/32   # seen once, T1 to T2; TLS name api.example.comx:y\n"
            ),
            "{text}"
        );
        let shared = "        - \"cdn.example.net\"   # seen once, T1 to T2; shares an address with www.example.com\n";
        assert!(text.contains(shared), "{text}");
        let private = "        - { port: 5432, protocol: TCP }\n      allowPrivateAddresses: true";
        assert!(text.contains(private), "{text}");
        let source = Source { name: "l.yaml".to_owned(), text: text.clone() };
        let set = compile(&[source], OffsetDateTime::UNIX_EPOCH).unwrap_or_else(|findings| {
            panic!("{findings:?}\n{text}");
        });
        let names: Vec<_> = set.policies.iter().map(|policy| policy.name.to_string()).collect();
        assert_eq!(names, ["learned-lab-a-b", "learned-shop-x2dfront"]);
        use crate::policy::Bound;
        for (path, count) in [(shop, 1), ("/lab/a[b]*", 1), ("/lab/ab", 0), ("/lab/a[b]*/c", 1)] {
            assert_eq!(Bound::of_path(&set, path).places.len(), count, "{path}\n{text}");
        }
        assert_eq!((set.policies[1].names.len(), set.policies[1].private.len()), (3, 1));
    }
}
