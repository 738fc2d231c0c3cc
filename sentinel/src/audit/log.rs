//! The count itself: bounded, whatever the policies and the traffic are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sentinel_common::flow::Direction;
use sentinel_common::verdict::Mode;

use super::{Cut, End, Hit, Noted, OfPolicy, OfRule, Report};
use crate::engine::{protocol, rfc3339};
use crate::event::word::Words as _;
use crate::policy::{Policy, PolicySet};

/// Destinations of workloads that are kept, all together; one takes about 200 bytes.
pub const CUTS: usize = 4096;
/// Rules of policies that are counted each for itself.
pub const RULES: usize = 4096;
/// Names of one destination.
const NAMES: usize = 16;
/// Cgroups whose paths are kept.
const PATHS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Log {
    since: i128,
    generation: u32,
    set: Arc<PolicySet>,
    cap: Option<Mode>,
    /// By policy and rule.
    rules: BTreeMap<(String, String), Count>,
    cuts: HashMap<Key, Seen>,
    unlisted: BTreeMap<String, u64>,
    paths: BTreeMap<u64, String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    policy: String,
    cgroup: u64,
    address: std::net::IpAddr,
    port: u16,
    protocol: u8,
    ingress: bool,
}

#[derive(Debug)]
struct Seen {
    rule: String,
    count: Count,
    names: BTreeSet<String>,
    unnamed: u64,
}

impl Seen {
    fn of(rule: String) -> Self {
        Self { rule, count: Count::default(), names: BTreeSet::new(), unnamed: 0 }
    }

    fn add(&mut self, time: i128, names: Vec<String>) {
        self.count.add(time);
        // With more names than have room it is no destination of these alone.
        let fits = self.names.union(&names.iter().cloned().collect()).count() <= NAMES;
        if fits && !names.is_empty() {
            self.names.extend(names);
        } else {
            self.unnamed += 1;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    hits: u64,
    first: i128,
    last: i128,
}

impl Count {
    fn add(&mut self, time: i128) {
        if self.hits == 0 {
            self.first = time;
        }
        self.hits += 1;
        self.last = self.last.max(time);
    }
}

impl Log {
    pub(super) fn applied(
        &mut self,
        set: &Arc<PolicySet>,
        cap: Mode,
        generation: u32,
        now: i128,
    ) -> bool {
        if self.cap == Some(cap) && *self.set == **set {
            return false;
        }
        let paths = std::mem::take(&mut self.paths);
        let (set, cap) = (Arc::clone(set), Some(cap));
        *self = Self { since: now, generation, set, cap, paths, ..Self::default() };
        true
    }

    pub(super) fn note(&mut self, noted: Noted) {
        match noted {
            Noted::Hit(hit) => self.hit(hit),
            Noted::Workload { cgroup, path } => {
                if self.paths.len() < PATHS || self.paths.contains_key(&cgroup) {
                    self.paths.insert(cgroup, path);
                }
            }
        }
    }

    /// Of policies that were others then, nothing is counted.
    fn hit(&mut self, hit: Hit) {
        let Hit { time, generation, policy, rule, cgroup, end, names } = hit;
        if generation < self.generation {
            return;
        }
        let of_rule = (policy.clone(), rule.clone());
        if self.rules.len() < RULES || self.rules.contains_key(&of_rule) {
            self.rules.entry(of_rule).or_default().add(time);
        }
        let End { address, port, protocol, ingress } = end;
        let key = Key { policy, cgroup, address, port, protocol, ingress };
        if self.cuts.len() < CUTS || self.cuts.contains_key(&key) {
            self.cuts.entry(key).or_insert_with(|| Seen::of(rule)).add(time, names);
        } else {
            *self.unlisted.entry(key.policy).or_default() += 1;
        }
    }

    pub(super) fn policies(&self) -> (Arc<PolicySet>, Mode) {
        (Arc::clone(&self.set), self.cap.unwrap_or(Mode::Audit))
    }

    pub(super) fn report(&self) -> Report {
        let cap = self.cap.unwrap_or(Mode::Audit);
        let audited = self.set.policies.iter().filter(|it| it.mode.min(cap) == Mode::Audit);
        let policies = audited.map(|policy| self.of(policy)).collect();
        Report { since: rfc3339(self.since), policies }
    }

    fn of(&self, policy: &Policy) -> OfPolicy {
        let name = policy.name.to_string();
        let rules = self.rules.iter().filter(|((of, _), _)| *of == name);
        let rules: Vec<OfRule> = rules
            .map(|((_, rule), count)| OfRule {
                rule: rule.clone(),
                hits: count.hits,
                last: rfc3339(count.last),
            })
            .collect();
        let mut cuts: Vec<(&Key, &Seen)> =
            self.cuts.iter().filter(|(key, _)| key.policy == name).collect();
        cuts.sort_by_key(|(key, seen)| (std::cmp::Reverse(seen.count.hits), *key));
        let unlisted = self.unlisted.get(&name).copied().unwrap_or_default();
        OfPolicy {
            hits: cuts.iter().map(|(_, seen)| seen.count.hits).sum::<u64>() + unlisted,
            place: format!("{}:{}", policy.file, policy.line),
            rules,
            cuts: cuts.into_iter().map(|(key, seen)| self.cut(key, seen)).collect(),
            unlisted,
            policy: name,
        }
    }

    fn cut(&self, key: &Key, seen: &Seen) -> Cut {
        let known = self.paths.get(&key.cgroup).cloned();
        let direction = if key.ingress { Direction::Ingress } else { Direction::Egress };
        Cut {
            workload: known.unwrap_or_else(|| format!("cgroup {}", key.cgroup)),
            direction: direction.word().to_owned(),
            address: key.address,
            port: key.port,
            protocol: protocol(key.protocol),
            rule: seen.rule.clone(),
            hits: seen.count.hits,
            first: rfc3339(seen.count.first),
            last: rfc3339(seen.count.last),
            names: seen.names.clone(),
            unnamed: seen.unnamed,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::policy::{Source, compile};

    fn set(mode: &str) -> Arc<PolicySet> {
        let text = format!(
            "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: a}}\n\
             spec: {{mode: {mode}, egress: []}}\n"
        );
        let source = Source { name: "p.yaml".to_owned(), text };
        Arc::new(compile(&[source], OffsetDateTime::UNIX_EPOCH).unwrap())
    }

    fn hit(port: u16, generation: u32) -> Noted {
        let address = "192.0.2.1".parse().unwrap();
        Noted::Hit(Hit {
            time: i128::from(port),
            generation,
            policy: "a".to_owned(),
            rule: "no rule (p.yaml:3)".to_owned(),
            cgroup: 7,
            end: End { address, port, protocol: 6, ingress: false },
            names: if port == 1 { vec!["a.example".to_owned()] } else { Vec::new() },
        })
    }

    #[test]
    fn hits_are_counted_by_rule_and_destination_until_the_policies_change() {
        let mut log = Log::default();
        assert!(log.applied(&set("audit"), Mode::Enforce, 3, 0));
        for (port, generation) in [(1, 3), (1, 4), (2, 3), (9, 2)] {
            log.note(hit(port, generation));
        }
        log.note(Noted::Workload { cgroup: 7, path: "/x".to_owned() });
        let report = log.report();
        assert!(!report.is_clean());
        let of = &report.policies[0];
        assert_eq!((of.hits, of.place.as_str(), of.rules[0].hits), (3, "p.yaml:3", 3));
        let cuts: Vec<_> =
            of.cuts.iter().map(|cut| (cut.workload.as_str(), cut.port, cut.hits)).collect();
        assert_eq!(cuts, [("/x", 1, 2), ("/x", 2, 1)]);
        let names: Vec<_> = of.cuts.iter().map(|cut| (cut.names.len(), cut.unnamed)).collect();
        assert_eq!(names, [(1, 0), (0, 1)]);
        // The same again, as after a HUP: the count goes on.
        assert!(!log.applied(&set("audit"), Mode::Enforce, 5, 9));
        assert_eq!(log.report().policies[0].hits, 3);
        assert!(log.applied(&set("audit"), Mode::Audit, 6, 9));
        assert!(log.report().is_clean());
        // What is enforced is not under audit, unless the agent only audits.
        log.applied(&set("enforce"), Mode::Enforce, 7, 9);
        assert!(log.report().policies.is_empty());
        log.applied(&set("enforce"), Mode::Audit, 8, 9);
        assert_eq!(log.report().policies.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_has_no_room_is_counted() {
        let mut log = Log::default();
        log.applied(&set("audit"), Mode::Audit, 1, 0);
        for port in 0..5000 {
            log.note(hit(port, 1));
        }
        let report = log.report();
        let of = &report.policies[0];
        assert_eq!((of.cuts.len(), of.hits), (CUTS, 5000));
        assert_eq!(of.unlisted, 5000 - CUTS as u64);
    }
}
