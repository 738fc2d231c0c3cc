//! Which machine this is, as far as it is known by now, for all that tell it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::attribution::node::{Known, Source};
use crate::event::node::Node;

/// What is known now; whoever follows it sees each change.
#[derive(Debug)]
pub struct Whereabouts(watch::Sender<Heard>);

#[derive(Clone, Debug, Default)]
struct Heard {
    known: Known,
    joined: Arc<Node>,
    errors: BTreeMap<&'static str, String>,
}

/// The machine as it is known by now.
#[derive(Clone, Debug)]
pub struct NodeNow(watch::Receiver<Heard>);

impl NodeNow {
    /// As of now.
    #[must_use]
    pub fn get(&self) -> Arc<Node> {
        Arc::clone(&self.0.borrow().joined)
    }

    /// The first that this holds for, waited for; nothing when the agent ends before.
    pub async fn wait_for<T>(&mut self, holds: impl Fn(&Node) -> Option<T>) -> Option<T> {
        let heard = self.0.wait_for(|heard| holds(&heard.joined).is_some()).await;
        heard.ok().and_then(|heard| holds(&heard.joined))
    }
}

/// What status says of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeFigures {
    /// The machine.
    #[serde(flatten)]
    pub node: Node,
    /// Who has told something of it, the most trusted first.
    pub sources: Vec<&'static str>,
    /// Why others have not, by who was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<&'static str, String>,
}

impl Default for Whereabouts {
    fn default() -> Self {
        Self(watch::Sender::new(Heard::default()))
    }
}

impl Whereabouts {
    /// For whoever needs it again and again.
    #[must_use]
    pub fn follow(&self) -> NodeNow {
        NodeNow(self.0.subscribe())
    }

    /// Takes what a source tells, and has it told where the machine is then known as another.
    pub(crate) fn learn(&self, source: Source, node: Node, tell: impl FnOnce(&Node)) {
        self.0.send_if_modified(|heard| {
            heard.known.take(source, node);
            heard.errors.remove(source.word());
            let joined = heard.known.joined();
            if joined == *heard.joined {
                return false;
            }
            heard.joined = Arc::new(joined);
            // Under the lock, so that of two that learn at once none is told last that was not.
            tell(&heard.joined);
            true
        });
    }

    /// Notes why a source tells nothing. What it told before stays.
    pub fn missed(&self, source: Source, why: String) {
        self.0.send_if_modified(|heard| {
            heard.errors.insert(source.word(), why);
            false
        });
    }

    /// What status says of it.
    #[must_use]
    pub fn figures(&self) -> NodeFigures {
        let heard = self.0.borrow();
        NodeFigures {
            node: Node::clone(&heard.joined),
            sources: heard.known.sources().map(Source::word).collect(),
            errors: heard.errors.clone(),
        }
    }
}
