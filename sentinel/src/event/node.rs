//! Which machine a line of the journal is of.

use schemars::JsonSchema;
use serde::Serialize;

use super::line::Line;

/// A line of the journal. `kind` tells which, and `node` of which machine, as far as that is known by then.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Record<'a> {
    /// What happened.
    #[serde(flatten)]
    pub line: &'a Line,
    /// The machine that it happened on.
    #[serde(skip_serializing_if = "Node::is_unknown")]
    pub node: &'a Node,
}

/// A machine. What is not known, or not yet, is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Node {
    /// What it is called: by Kubernetes where it is asked, else by its kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The cloud that it is of: `aws`, `gcp`, `azure`, or another's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The instance's id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Whose it is there: account, project or subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The zone within the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Node {
    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
