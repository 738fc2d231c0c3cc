//! Which machine this is: what each source tells of it, joined by trust. All of it is text from outside,
//! and is taken only where it is short and printable.

mod dmi;
mod kubernetes;
mod provider_id;

use std::collections::BTreeMap;

pub use dmi::{FILES, of_firmware};
pub use kubernetes::{NodeObject, of_object};

use crate::event::node::Node;

/// Bytes of the longest word: that of a name in Kubernetes.
pub const LONGEST: usize = 253;

/// Who tells; the first is trusted most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The settings.
    Configuration,
    /// The node's object in Kubernetes.
    Kubernetes,
    /// What the firmware says of the machine.
    Firmware,
    /// The cloud's metadata service.
    Metadata,
    /// The kernel's own name.
    Kernel,
}

impl Source {
    /// Its word in status and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Kubernetes => "kubernetes",
            Self::Firmware => "firmware",
            Self::Metadata => "metadata",
            Self::Kernel => "kernel",
        }
    }
}

/// A cloud whose metadata service can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's EC2.
    Aws,
    /// Google's Compute Engine.
    Gcp,
    /// Microsoft's Azure.
    Azure,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Gcp, Self::Azure];

    /// Its word as a provider.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    /// The one that this machine is of, if it is one of them.
    #[must_use]
    pub fn of(node: &Node) -> Option<Self> {
        let provider = node.provider.as_deref()?;
        Self::ALL.into_iter().find(|cloud| cloud.word() == provider)
    }
}

/// What is known, by who tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<Source, Node>);

impl Known {
    /// Takes what a source tells, instead of what it told before.
    pub fn take(&mut self, source: Source, node: Node) {
        self.0.insert(source, node);
    }

    /// Who told something.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.0.iter().filter(|(_, node)| !node.is_unknown()).map(|(source, _)| *source)
    }

    /// All of it: each word by who is trusted most. Who names another provider than one that is trusted more
    /// tells of another machine, such as the one that a node in a container runs on; only its name counts.
    #[must_use]
    pub fn joined(&self) -> Node {
        let mut all = Node::default();
        for told in self.0.values() {
            fill(&mut all.name, told.name.as_ref());
            let is_other =
                all.provider.is_some() && told.provider.is_some() && all.provider != told.provider;
            if is_other {
                continue;
            }
            fill(&mut all.provider, told.provider.as_ref());
            fill(&mut all.instance, told.instance.as_ref());
            fill(&mut all.account, told.account.as_ref());
            fill(&mut all.region, told.region.as_ref());
            fill(&mut all.zone, told.zone.as_ref());
        }
        all
    }
}

fn fill(word: &mut Option<String>, told: Option<&String>) {
    if word.is_none() {
        *word = told.and_then(|told| clean(told));
    }
}

/// A word without the space around it, if it is one.
#[must_use]
pub fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    let is_word = !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_control);
    is_word.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(provider: &str, instance: &str) -> Node {
        Node { provider: Some(provider.into()), instance: Some(instance.into()), ..Node::default() }
    }

    #[test]
    fn the_most_trusted_word_counts_and_others_fill_in() {
        let mut known = Known::default();
        known.take(Source::Kernel, Node { name: Some("ip-10-0-0-5".into()), ..Node::default() });
        known.take(Source::Firmware, of("aws", "i-dmi"));
        let account = Some("123456789012".to_owned());
        known.take(Source::Metadata, Node { account, ..of("aws", "i-metadata") });
        assert_eq!(known.joined().name.as_deref(), Some("ip-10-0-0-5"));
        assert_eq!(known.joined().instance.as_deref(), Some("i-dmi"));
        let name = Some("node-1".to_owned());
        known.take(Source::Kubernetes, Node { name, ..of("aws", "i-object") });
        let joined = known.joined();
        assert_eq!(joined.name.as_deref(), Some("node-1"));
        assert_eq!(joined.instance.as_deref(), Some("i-object"));
        assert_eq!(joined.account.as_deref(), Some("123456789012"));
        let sources: Vec<&str> = known.sources().map(Source::word).collect();
        assert_eq!(sources, ["kubernetes", "firmware", "metadata", "kernel"]);
    }

    #[test]
    fn the_machine_around_a_node_in_a_container_is_another() {
        let mut known = Known::default();
        known.take(Source::Kubernetes, of("kind", "control-plane"));
        let region = Some("eu-central-1".to_owned());
        known.take(Source::Metadata, Node { region, ..of("aws", "i-0abc") });
        known.take(Source::Kernel, Node { name: Some("laptop".into()), ..Node::default() });
        let expected = Node { name: Some("laptop".into()), ..of("kind", "control-plane") };
        assert_eq!(known.joined(), expected);
    }

    #[test]
    fn what_is_no_word_is_not_told() {
        let mut known = Known::default();
        for instance in ["", "  ", "a\nb", "a\0b", &"x".repeat(LONGEST + 1)] {
            known.take(Source::Firmware, of("aws", instance));
            assert_eq!(known.joined().instance, None, "{instance:?}");
        }
        assert_eq!(clean(" i-0abc\n"), Some("i-0abc".into()));
        assert_eq!(Cloud::of(&of("aws", "")), Some(Cloud::Aws));
        assert_eq!(Cloud::of(&of("kind", "")), None);
    }
}
