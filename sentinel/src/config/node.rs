//! What the settings say of the machine itself.

use serde::{Deserialize, Deserializer};

use crate::attribution::node::{LONGEST, clean};
use crate::event::node::Node;

/// What this machine is, where that is known better here than it is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct NodeFile {
    /// What it is called in events.
    #[serde(deserialize_with = "word")]
    pub name: Option<String>,
    /// The cloud that it is of. On `aws`, `gcp` and `azure` the metadata service knows the rest.
    #[serde(deserialize_with = "word")]
    pub provider: Option<String>,
    /// The instance's id there.
    #[serde(deserialize_with = "word")]
    pub instance: Option<String>,
    /// Whose it is there: account, project or subscription.
    #[serde(deserialize_with = "word")]
    pub account: Option<String>,
    /// The region.
    #[serde(deserialize_with = "word")]
    pub region: Option<String>,
    /// The zone within the region.
    #[serde(deserialize_with = "word")]
    pub zone: Option<String>,
    /// `auto` or `off`: whether the cloud's metadata service (169.254.169.254) is asked at the start, on a
    /// machine that its firmware, Kubernetes or `provider` says is of AWS, Google Cloud or Azure.
    pub metadata_service: Option<MetadataService>,
}

/// Whether a cloud's metadata service is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MetadataService {
    /// On a machine of that cloud
    #[default]
    Auto,
    /// Never
    Off,
}

impl NodeFile {
    /// What is said of the machine.
    #[must_use]
    pub fn said(&self) -> Node {
        let Self { name, provider, instance, account, region, zone, .. } = self.clone();
        Node { name, provider, instance, account, region, zone }
    }
}

fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    clean(&text).map(Some).ok_or_else(|| {
        let message = format!("write one line of 1 to {LONGEST} characters, or leave the key out");
        serde::de::Error::custom(message)
    })
}
