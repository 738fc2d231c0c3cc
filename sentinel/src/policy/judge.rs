//! What would become of a connection to an address, asked on the host: for connections that no
//! kernel program saw being opened.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sentinel_common::policy::{Request, decide};
use sentinel_common::verdict::{Mode, Reason, Verdict};

use super::Allowlist;
use crate::feed::FeedSet;

/// The answer on one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `Allowed`, or `Audited` where a new connection there would be told of or refused.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The allowlist's rule, from 1; 0 is none.
    pub rule: u16,
    /// The feed that names the address.
    pub feed: Option<String>,
}

/// Who can be asked. Nothing is dropped on its word.
pub trait Judge: Send + Sync {
    /// What would become of a connection of this protocol to this address.
    fn judge(&self, remote: SocketAddr, protocol: u8) -> Judgement;

    /// The feed that gives this name, lower-case and dotted, to a mining pool.
    fn pool_name(&self, _name: &str) -> Option<String> {
        None
    }
}

/// The allowlist, and the feeds after it.
#[derive(Clone, Debug)]
pub struct ByAllowlist {
    allowlist: Allowlist,
    mode: Mode,
    feeds: Arc<FeedSet>,
}

impl ByAllowlist {
    /// `mode` is what becomes of an address that is not named; under `Off` all are allowed.
    #[must_use]
    pub const fn new(allowlist: Allowlist, mode: Mode, feeds: Arc<FeedSet>) -> Self {
        Self { allowlist, mode, feeds }
    }
}

impl Judge for ByAllowlist {
    fn judge(&self, remote: SocketAddr, protocol: u8) -> Judgement {
        let address = match remote.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let request =
            Request { remote: address, protocol, port: Some(remote.port()), icmp_type: 0 };
        // The connection is open already: at most it is told of.
        let mode = self.mode.min(Mode::Audit);
        let decision = decide(&request, mode, self.allowlist.lookup(&address));
        let hit = self.feeds.address(remote.ip()).filter(|_| decision.reason != Reason::Loopback);
        let Some(hit) = hit else {
            let (verdict, reason) = (decision.verdict, decision.reason);
            return Judgement { verdict, reason, rule: decision.rule, feed: None };
        };
        let feed = Some(hit.feed.name.clone());
        let denied = decision.verdict != Verdict::Allowed;
        let reason = if denied { decision.reason } else { Reason::PoolAddress };
        Judgement { verdict: Verdict::Audited, reason, rule: 0, feed }
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
        let policy = compile(&[source]).unwrap();
        let judge = ByAllowlist::new(policy.allowlist.clone(), policy.egress, Arc::default());
        let ask = |text: &str| judge.judge(text.parse().unwrap(), 6);
        assert_eq!((ask("10.1.2.3:443").verdict, ask("10.1.2.3:443").rule), (Verdict::Allowed, 1));
        assert_eq!(ask("10.1.2.3:444").verdict, Verdict::Audited);
        assert_eq!(ask("[2001:db8::1]:443").reason, Reason::NotAllowlisted);
        assert_eq!(ask("127.0.0.1:9").reason, Reason::Loopback);
        let text = b"192.0.2.1\n".to_vec().into();
        let source = crate::feed::Source { name: "f.txt".into(), text };
        let pools = Arc::new(crate::feed::compile(&[source]).unwrap());
        let none = ByAllowlist::new(policy.allowlist, Mode::Off, pools);
        assert_eq!(none.judge("192.0.2.2:3333".parse().unwrap(), 6).verdict, Verdict::Allowed);
        let pool = none.judge("192.0.2.1:3333".parse().unwrap(), 6);
        assert_eq!((pool.verdict, pool.reason), (Verdict::Audited, Reason::PoolAddress));
        assert!(pool.feed.is_some());
    }
}
