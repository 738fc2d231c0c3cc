//! The ends behind services: of all in a small cluster; in a large one, where every change of every pod would
//! go to every node, of those services alone that somebody asks about.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use tokio::sync::watch;

/// Slices that a cluster may have for all of them to be followed; each has up to a hundred ends.
const FEW: u64 = 500;
/// Services that are asked for by name; of more, all are.
const NAMED: usize = 150;
/// Whose ends a slice has.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";

/// Services that are asked about, by name alone: another namespace's of that name comes with them.
pub type Asked = Arc<BTreeSet<String>>;

/// Which of them are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All.
    Whole,
    /// None.
    Nothing,
    /// Those with such labels.
    Some(String),
}

impl Scope {
    pub(super) fn labels(&self) -> Option<&str> {
        match self {
            Self::Some(labels) => Some(labels),
            Self::Whole | Self::Nothing => None,
        }
    }

    fn of(asked: &BTreeSet<String>) -> Self {
        match asked.len() {
            0 => Self::Nothing,
            1..=NAMED => {
                let names: Vec<&str> = asked.iter().map(String::as_str).collect();
                Self::Some(format!("{SERVICE} in ({})", names.join(",")))
            }
            _ => Self::Whole,
        }
    }
}

/// Who says which services are asked about.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    asked: watch::Receiver<Asked>,
}

impl Ends {
    pub(super) const fn new(asked: watch::Receiver<Asked>) -> Self {
        Self { asked }
    }

    /// Which are to be followed now. One of them is asked for, to hear how many there are.
    pub(super) async fn scope(&mut self, api: &Api<DynamicObject>) -> Result<Scope, kube::Error> {
        let first = api.list(&ListParams::default().limit(1)).await?;
        let others = first.metadata.remaining_item_count.unwrap_or_default();
        let asked = Arc::clone(&self.asked.borrow_and_update());
        let scope = match u64::try_from(others).unwrap_or_default() < FEW {
            true => Scope::Whole,
            false => Scope::of(&asked),
        };
        tracing::debug!("{} endpointslices, followed: {scope:?}", others + 1);
        Ok(scope)
    }

    /// Ends when others are asked about than these.
    pub(super) async fn changed(&mut self, scope: &Scope) {
        loop {
            if self.asked.changed().await.is_err() {
                return std::future::pending().await;
            }
            let now = Scope::of(&self.asked.borrow_and_update());
            // All of a small cluster's are followed, whoever asks.
            if now != *scope && *scope != Scope::Whole {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_asked_for_by_name_while_they_are_few() {
        let names =
            |count: usize| -> BTreeSet<String> { (0..count).map(|n| format!("s{n}")).collect() };
        assert_eq!(Scope::of(&names(0)), Scope::Nothing);
        let labels = "kubernetes.io/service-name in (s0,s1)".to_owned();
        assert_eq!(Scope::of(&names(2)), Scope::Some(labels));
        assert_eq!(Scope::of(&names(NAMED + 1)), Scope::Whole);
    }
}
