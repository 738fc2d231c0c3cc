//! Which machine this is, as one series: whoever asks Prometheus joins it to the others by `instance`.

use prometheus::{IntGaugeVec, Opts, Registry};

use super::registry::register;
use crate::event::node::Node;

const HELP: &str = "1, with what is known of the machine as labels; what is not known is empty.";
/// Prometheus itself calls the address it asks `instance`.
const LABELS: [&str; 6] = ["node", "provider", "instance_id", "account", "region", "zone"];

/// The series; clones share it.
#[derive(Clone, Debug)]
pub struct NodeInfo(IntGaugeVec);

impl NodeInfo {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let info = IntGaugeVec::new(Opts::new("sentinel_node_info", HELP), &LABELS)?;
        Ok(Self(register(registry, info)?))
    }

    /// The machine as it is known now; there is never more than one series.
    pub fn set(&self, node: &Node) {
        let Node { name, provider, instance, account, region, zone } = node;
        let words = [name, provider, instance, account, region, zone];
        self.0.reset();
        let words = words.map(|word| word.as_deref().unwrap_or_default());
        self.0.with_label_values(&words).set(1);
    }
}
