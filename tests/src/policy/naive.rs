//! What policies mean, read word by word from the documentation and not from the code.

use sentinel_common::flow::Direction;
use sentinel_common::verdict::Verdict;

use super::random::{Asked, LISTS, Rule, Written};

/// What should come of a packet: what happens, and who is to be named for it: the policy, and its
/// list and place there unless it is the policy's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What happens.
    pub verdict: Verdict,
    /// Who says so.
    pub by: Option<(String, Option<(&'static str, usize)>)>,
}

/// Reads the policies for a packet of a workload at `path`, a service in a slice.
#[must_use]
pub fn expected(policies: &[Written], path: &str, asked: &Asked) -> Expected {
    let on_it: Vec<&Written> = policies.iter().filter(|policy| is_about(policy, path)).collect();
    let (allow, deny) = match asked.direction {
        Direction::Egress => (0, 1),
        Direction::Ingress => (2, 3),
    };
    let first = |enforce: bool, list: usize| {
        on_it.iter().filter(|policy| policy.enforce == enforce).find_map(|policy| {
            let rules = policy.lists.get(list)?.as_ref()?;
            let index = rules.iter().position(|rule| rule.names(asked))?;
            Some((policy.name.clone(), Some((*LISTS.get(list)?, index))))
        })
    };
    let isolating = |enforce: bool| {
        let mut isolating = on_it.iter().filter(|policy| {
            policy.enforce == enforce && policy.lists.get(allow).is_some_and(Option::is_some)
        });
        isolating.next().map(|policy| (policy.name.clone(), None))
    };
    let answer = |verdict, by| Expected { verdict, by };
    if let Some(by) = first(true, deny) {
        return answer(Verdict::Blocked, Some(by));
    }
    let enforced = first(true, allow);
    if let (Some(by), None) = (isolating(true), &enforced) {
        return answer(Verdict::Blocked, Some(by));
    }
    if let Some(by) = first(false, deny) {
        return answer(Verdict::Audited, Some(by));
    }
    let allowed = enforced.or_else(|| first(false, allow));
    if let (Some(by), None) = (isolating(false), &allowed) {
        return answer(Verdict::Audited, Some(by));
    }
    answer(Verdict::Allowed, allowed)
}

/// What a pattern selects is selected with all that is in it.
fn is_about(policy: &Written, path: &str) -> bool {
    match policy.cgroup {
        None | Some("/work.slice/**" | "/work.slice") => true,
        Some("/work.slice/*.service") => path.starts_with("/work.slice/"),
        Some("/*.slice/one.service") => path.ends_with("/one.service"),
        Some(_) => false,
    }
}

impl Rule {
    fn names(&self, asked: &Asked) -> bool {
        let is_meant = self.nets.iter().any(|net| net.holds(asked.remote));
        let is_excepted = self.except.iter().any(|net| net.holds(asked.remote));
        let fits = self.ports.as_ref().is_none_or(|ports| {
            ports.iter().any(|ports| {
                let (_, protocol) = ports.protocol;
                let is_protocol = protocol == 0 || protocol == asked.protocol;
                let is_port = ports.range.is_none_or(|(first, last)| {
                    asked.port.is_some_and(|port| (first..=last).contains(&port))
                });
                is_protocol && is_port
            })
        });
        is_meant && !is_excepted && fits
    }
}
