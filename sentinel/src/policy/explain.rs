//! Why: what the policies on a workload make of one request, each on its own and all together.

use sentinel_common::flow::Direction;
use sentinel_common::policy::Request;
use sentinel_common::verdict::Mode;
use serde::Serialize;

use super::bind::Bound;
use super::set::{Named, Policy, PolicySet};

/// The answer, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `allowed`, `audited` or `blocked`.
    pub verdict: &'static str,
    /// Why, in the words of the journal.
    pub reason: &'static str,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Its rule, or `no rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that stands, `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Only while the TLS handshake names a server that the rule means.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub requires_server_name: bool,
    /// What each policy on the workload says.
    pub policies: Vec<Opinion>,
    /// Policies on the workload that the kernel has no room for; they count for nothing.
    pub left_out: usize,
}

/// What one policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// Its name.
    pub policy: String,
    /// `audit`, `enforce`, or `off` where it is about nothing but mining.
    pub mode: &'static str,
    /// `allows`, `denies`, `allows nothing like it` or `nothing`.
    pub says: &'static str,
    /// The rule, where one speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that stands, or the policy itself.
    pub place: String,
}

impl Bound {
    /// What becomes of a request, as [`Bound::judge`] has it, and what each policy says of it.
    #[must_use]
    pub fn explain(
        &self,
        set: &PolicySet,
        cap: Mode,
        direction: Direction,
        request: &Request,
        named: Option<Named<'_>>,
    ) -> Explanation {
        let judged = self.judge(set, cap, direction, request, named);
        let policy = judged.policy.and_then(|place| set.policies.get(place));
        let (rule, place) = policy.map(|policy| source(policy, judged.rule)).unzip();
        let (places, left_out) = self.kept(set);
        let policies = places.iter().filter_map(|place| set.policies.get(*place));
        Explanation {
            verdict: judged.decision.verdict.label(),
            reason: judged.decision.reason.label(),
            policy: policy.map(|policy| policy.name.to_string()),
            rule: rule.map(|rule| rule.unwrap_or_else(|| "no rule".to_owned())),
            place,
            requires_server_name: judged.decision.demands,
            policies: policies
                .map(|policy| opinion(policy, cap, direction, request, named))
                .collect(),
            left_out,
        }
    }
}

fn opinion(
    policy: &Policy,
    cap: Mode,
    direction: Direction,
    request: &Request,
    named: Option<Named<'_>>,
) -> Opinion {
    let found = policy.find(request, direction, named);
    let (says, number) = match (found.denying(), found.allowing()) {
        (0, 0) if *policy.isolates.of(direction) => ("allows nothing like it", 0),
        (0, 0) => ("nothing", 0),
        (0, number) => ("allows", number),
        (number, _) => ("denies", number),
    };
    let (rule, place) = source(policy, number);
    let mode = policy.mode.min(cap).label();
    Opinion { policy: policy.name.to_string(), mode, says, rule, place }
}

/// A rule and its place; the policy's own where no rule has this number.
fn source(policy: &Policy, number: u16) -> (Option<String>, String) {
    match policy.rule(number) {
        Some(rule) => {
            (Some(format!("{}[{}]", rule.list, rule.index)), format!("{}:{}", rule.file, rule.line))
        }
        None => (None, format!("{}:{}", policy.file, policy.line)),
    }
}

#[cfg(test)]
mod tests {
    use sentinel_common::policy::TCP;
    use time::OffsetDateTime;

    use super::super::{Source, compile};
    use super::*;
    use sentinel_common::address;

    const TWO: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: a}\n\
        spec:\n  mode: audit\n  egress:\n    - toCIDRs: [192.0.2.0/24]\n---\n\
        apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: b}\n\
        spec:\n  workload: {systemdUnit: shop.service}\n  mode: enforce\n  egressDeny:\n    - toCIDRs: [192.0.2.9/32]\n";

    fn ask(remote: &str, path: &str, cap: Mode) -> Explanation {
        let sources = [Source { name: "p.yaml".to_owned(), text: TWO.to_owned() }];
        let set = compile(&sources, OffsetDateTime::UNIX_EPOCH).unwrap();
        let remote = address::of(remote.parse().unwrap());
        let request = Request { remote, protocol: TCP, port: Some(443), icmp_type: 0 };
        Bound::of_path(&set, path).explain(&set, cap, Direction::Egress, &request, None)
    }

    #[test]
    fn the_rule_and_its_line_are_told_and_what_every_other_policy_says() {
        let said = ask("192.0.2.9", "/system.slice/shop.service/x", Mode::Enforce);
        assert_eq!((said.verdict, said.reason), ("blocked", "denied"));
        assert_eq!(said.rule.as_deref(), Some("egressDeny[0]"));
        assert_eq!(said.place.as_deref(), Some("p.yaml:16"));
        let says: Vec<_> =
            said.policies.iter().map(|one| (one.policy.as_str(), one.says)).collect();
        assert_eq!(says, [("a", "allows"), ("b", "denies")]);
        // Elsewhere the second is not about it, and nothing is enforced under a cap.
        let said = ask("192.0.2.9", "/system.slice/other.service", Mode::Enforce);
        assert_eq!((said.verdict, said.policies.len()), ("allowed", 1));
        let said = ask("192.0.2.9", "/system.slice/shop.service", Mode::Audit);
        assert_eq!((said.verdict, said.policies[1].mode), ("audited", "audit"));
    }

    #[test]
    fn where_no_rule_speaks_the_policys_own_line_is_told() {
        let said = ask("198.51.100.1", "/", Mode::Enforce);
        assert_eq!((said.verdict, said.reason), ("audited", "not_allowlisted"));
        assert_eq!(said.rule.as_deref(), Some("no rule"));
        assert_eq!(said.place.as_deref(), Some("p.yaml:3"));
        assert_eq!(said.policies[0].says, "allows nothing like it");
    }
}
