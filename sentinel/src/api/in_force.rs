//! The policies in force, each in a line.

use sentinel_common::verdict::Mode;
use serde::Serialize;

use crate::policy::{Policy, PolicySet};

/// A policy as `status` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// Its name, with its namespace.
    pub policy: String,
    /// Whom it is about, in words.
    pub workload: String,
    /// `audit` or `enforce`; `off` where it is about mining alone.
    pub mode: &'static str,
    /// What a mining-pool message leads to, if it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratum: Option<&'static str>,
    /// What a cgroup in its reach that nobody knows yet may do: `open`, or `closed` where it reaches
    /// nothing.
    pub unknown_workloads: &'static str,
    /// When it ends by itself, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Where it stands.
    pub place: String,
}

/// The policies of a set; nothing is above `cap`.
#[must_use]
pub fn in_force(set: &PolicySet, cap: Mode) -> Vec<InForce> {
    let one = |policy: &Policy| {
        let mode = policy.mode.min(cap);
        InForce {
            policy: policy.name.to_string(),
            workload: policy.selector.to_string(),
            mode: mode.label(),
            stratum: policy.stratum.map(|mode| mode.min(cap).label()),
            // Under audit nothing is refused, to unknown ones neither.
            unknown_workloads: if policy.closed && mode == Mode::Enforce {
                "closed"
            } else {
                "open"
            },
            expires: policy
                .expires
                .and_then(|end| end.format(&time::format_description::well_known::Rfc3339).ok()),
            place: format!("{}:{}", policy.file, policy.line),
        }
    };
    set.policies.iter().map(|policy| one(policy)).collect()
}
