//! Connections that are open and that the policies under audit would not let be opened again: no event
//! tells of them, since an open connection is not judged again.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use sentinel_common::flow::Direction;
use sentinel_common::policy::Request;
use sentinel_common::verdict::{Mode, Verdict};

use super::Cut;
use crate::attribution::pods::Pods;
use crate::engine::protocol;
use crate::event::word::Words as _;
use crate::policy::{Chooser, Named, Pattern, PolicySet};
use crate::watch::clock;
use crate::watch::inventory::{self, Protocols};
use crate::watch::scope::Scope;
use sentinel_common::address;

/// The first so many are told.
const MOST: usize = 1024;

/// What is known of addresses.
pub struct Known<'a> {
    /// The names by which a cgroup had asked for one.
    pub names: &'a dyn Fn(u64, IpAddr) -> Vec<String>,
    /// The patterns that the kernel has learned to lead to one.
    pub learned: &'a dyn Fn(IpAddr) -> Vec<Pattern>,
}

/// Connections that this host opened, within a cgroup2 folder: the policy that would cut each, and what.
#[must_use]
pub fn open(
    (set, cap): (&PolicySet, Mode),
    folder: &Path,
    pods: &Arc<Pods>,
    known: &Known<'_>,
) -> Vec<(String, Cut)> {
    let mut scope = Scope::new(folder);
    let mut chooser = Chooser::default();
    chooser.know(pods);
    let now = clock::now().rfc3339();
    let mut cuts = Vec::new();
    for open in inventory::connections(Protocols::All).open {
        let Some(remote) = open.socket.remote.filter(|_| open.outbound) else { continue };
        let Some(workload) = scope.maker(&open, None).and_then(|maker| maker.cgroup) else {
            continue;
        };
        let request = Request {
            remote: address::of(remote.ip()),
            protocol: open.socket.protocol,
            port: Some(remote.port()),
            icmp_type: 0,
        };
        let bound = chooser.choose(set, &workload);
        let judge = |named| bound.judge(set, cap, Direction::Egress, &request, named);
        let mut judged = judge(None);
        if judged.decision.verdict == Verdict::Audited {
            let learned = (known.learned)(remote.ip());
            judged = judge(Some(Named { asked: None, learned: &learned }));
        }
        let policy = judged.policy.and_then(|place| set.policies.get(place));
        let Some(policy) = policy.filter(|_| judged.decision.verdict == Verdict::Audited) else {
            continue;
        };
        if cuts.len() >= MOST {
            break;
        }
        let cut = Cut {
            workload,
            direction: Direction::Egress.word().to_owned(),
            address: remote.ip().to_canonical(),
            port: remote.port(),
            protocol: protocol(open.socket.protocol),
            rule: policy.rule(judged.rule).map_or_else(|| policy.no_rule(), ToString::to_string),
            hits: 0,
            first: now.clone(),
            last: now.clone(),
            names: (known.names)(open.cgroup, remote.ip()).into_iter().collect(),
            unnamed: 0,
        };
        cuts.push((policy.name.to_string(), cut));
    }
    cuts
}
