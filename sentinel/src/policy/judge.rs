//! What would become of a connection, asked on the host: for connections that no kernel program saw
//! being opened, and for people who ask.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sentinel_common::address;
use sentinel_common::flow::Direction;
use sentinel_common::policy::{Decision, Request, source};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use super::bind::{Bound, Chooser};
use super::set::PolicySet;
use crate::attribution::pods::Directory;
use crate::feed::FeedSet;

/// A decision, and who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The decision.
    pub decision: Decision,
    /// The policy's place in its set.
    pub policy: Option<usize>,
    /// Its rule, from 1; 0 is its default.
    pub rule: u16,
}

/// The answer on one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `Allowed`, or `Audited` where a new connection there would be told of or refused.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Policy and rule, as events carry them; 0 is none.
    pub rule: u32,
    /// The feed that names the address.
    pub feed: Option<String>,
}

/// Who can be asked. Nothing is dropped on its word.
pub trait Judge: Send + Sync {
    /// What would become of a connection of this protocol to this address, from the cgroup with this
    /// path.
    fn judge(&self, cgroup: Option<&str>, remote: SocketAddr, protocol: u8) -> Judgement;

    /// What an open connection would be refused by today, if it were new: `Blocked`, or `None`.
    fn refusal(
        &self,
        _cgroup: Option<&str>,
        _open: &Request,
        _way: Direction,
    ) -> Option<Judgement> {
        None
    }

    /// The feed that gives this name, lower-case and dotted, to a mining pool.
    fn pool_name(&self, _name: &str) -> Option<String> {
        None
    }
}

/// The policies, and the feeds after them.
#[derive(Debug)]
pub struct ByPolicy {
    set: Arc<PolicySet>,
    /// What was chosen for paths that were asked about.
    chooser: Mutex<Chooser>,
    numbers: Vec<u16>,
    /// The most that is done about anything.
    cap: Mode,
    feeds: Arc<FeedSet>,
    pods: Directory,
}

impl ByPolicy {
    /// `numbers` are those of the set's policies; nothing is above `cap`.
    #[must_use]
    pub fn new(set: Arc<PolicySet>, numbers: Vec<u16>, cap: Mode, feeds: Arc<FeedSet>) -> Self {
        let mut chooser = Chooser::default();
        chooser.follow(&set);
        Self { set, chooser: Mutex::new(chooser), numbers, cap, feeds, pods: Directory::default() }
    }

    /// Asks there which pods there are.
    #[must_use]
    pub fn with_pods(self, pods: Directory) -> Self {
        Self { pods, ..self }
    }

    /// What the policies on a path say, by no more than `cap`.
    fn ask(&self, path: Option<&str>, cap: Mode, way: Direction, request: &Request) -> Judgement {
        let judged = self.bound(path).judge(&self.set, cap, way, request, None);
        let Decision { verdict, reason, .. } = judged.decision;
        let number = judged.policy.and_then(|place| self.numbers.get(place)).copied();
        let rule = number.map_or(0, |number| source(number, judged.rule));
        Judgement { verdict, reason, rule, feed: None }
    }

    /// The policies on a path, by what its folders are called.
    fn bound(&self, path: Option<&str>) -> Bound {
        let mut chooser = self.chooser.lock().unwrap_or_else(PoisonError::into_inner);
        chooser.know(&self.pods.now());
        chooser.choose(&self.set, path.unwrap_or("/")).clone()
    }
}

impl Judge for ByPolicy {
    fn judge(&self, cgroup: Option<&str>, remote: SocketAddr, protocol: u8) -> Judgement {
        let port = Some(remote.port());
        let request = Request { remote: address::of(remote.ip()), protocol, port, icmp_type: 0 };
        // The connection is open already: at most it is told of.
        let said = self.ask(cgroup, Mode::Audit, Direction::Egress, &request);
        let hit = self.feeds.address(remote.ip()).filter(|_| said.reason != Reason::Loopback);
        let Some(hit) = hit else { return said };
        let feed = Some(hit.feed.name.clone());
        let denied = said.verdict != Verdict::Allowed;
        let reason = if denied { said.reason } else { Reason::PoolAddress };
        Judgement { verdict: Verdict::Audited, reason, rule: 0, feed }
    }

    fn refusal(&self, cgroup: Option<&str>, open: &Request, way: Direction) -> Option<Judgement> {
        let said = self.ask(cgroup, self.cap, way, open);
        if said.verdict != Verdict::Blocked {
            return None;
        }
        // An address may have been allowed by a name, which only the kernel's table knows.
        let by_name = || {
            let bound = self.bound(cgroup);
            let mut policies =
                bound.places.iter().filter_map(|place| self.set.policies.get(*place));
            policies.any(|policy| !policy.names.is_empty())
        };
        let is_sure = said.reason == Reason::Denied || way == Direction::Ingress || !by_name();
        is_sure.then_some(said)
    }

    fn pool_name(&self, name: &str) -> Option<String> {
        self.feeds.domain(name).map(|hit| hit.feed.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Source, compile};

    const POLICY: &str = "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {name: x}\n\
        spec: {mode: enforce, egress: [{toCIDRs: [10.0.0.0/8], ports: [{port: 443}]}]}\n";

    #[test]
    fn an_open_connection_is_told_of_and_never_blocked() {
        let source = Source { name: "p.yaml".to_owned(), text: POLICY.to_owned() };
        let set = Arc::new(compile(&[source], time::OffsetDateTime::UNIX_EPOCH).unwrap());
        let judge = ByPolicy::new(Arc::clone(&set), vec![7], Mode::Enforce, Arc::default());
        let ask = |text: &str| judge.judge(Some("/a/b"), text.parse().unwrap(), 6);
        let good = ask("10.1.2.3:443");
        assert_eq!((good.verdict, good.rule), (Verdict::Allowed, 7 << 16 | 1));
        assert_eq!(ask("10.1.2.3:444").verdict, Verdict::Audited);
        assert_eq!(ask("[2001:db8::1]:443").reason, Reason::NotAllowlisted);
        assert_eq!(ask("127.0.0.1:9").reason, Reason::Loopback);
        let request = Request {
            remote: address::of("10.1.2.3".parse().unwrap()),
            protocol: 6,
            port: Some(444),
            icmp_type: 0,
        };
        let refusal = judge.refusal(None, &request, Direction::Egress).unwrap();
        assert_eq!((refusal.verdict, refusal.rule), (Verdict::Blocked, 7 << 16));
        assert!(judge.refusal(None, &request, Direction::Ingress).is_none());
        let text = b"192.0.2.1\n".to_vec().into();
        let source = crate::feed::Source { name: "f.txt".into(), text };
        let pools = Arc::new(crate::feed::compile(&[source]).unwrap());
        let none = ByPolicy::new(Arc::default(), Vec::new(), Mode::Audit, pools);
        let ask = |text: &str| none.judge(None, text.parse().unwrap(), 6);
        assert_eq!(ask("192.0.2.2:3333").verdict, Verdict::Allowed);
        let pool = ask("192.0.2.1:3333");
        assert_eq!((pool.verdict, pool.reason), (Verdict::Audited, Reason::PoolAddress));
        assert!(pool.feed.is_some());
    }
}
