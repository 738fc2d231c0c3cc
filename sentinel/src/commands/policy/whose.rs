//! Workloads as people name them.

use std::collections::BTreeMap;

use super::Refusal;
use crate::policy::{Bound, Pod, PolicySet, Subject};
use crate::watch::cgroupfs::Tree;

/// Whose connection it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A cgroup, by its path from the cgroup2 root.
    Cgroup(String),
    /// A systemd unit.
    Unit(String),
    /// A pod.
    Pod(Pod),
}

impl Whose {
    /// Reads `/path`, `unit:name` or `pod:namespace/name`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(unit) = text.strip_prefix("unit:").filter(|unit| !unit.is_empty()) {
            return Ok(Self::Unit(unit.to_owned()));
        }
        let pod = text.strip_prefix("pod:").and_then(|pod| pod.split_once('/'));
        if let Some((namespace, name)) =
            pod.filter(|(space, name)| !space.is_empty() && !name.is_empty())
        {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            return Ok(Self::Pod(Pod { namespace, name, ..Pod::default() }));
        }
        if text.starts_with('/') {
            let path = Tree::mounted().and_then(|tree| tree.relative(text.as_ref()));
            let path = path.unwrap_or_else(|| text.to_owned());
            let path = path.trim_end_matches('/');
            return Ok(Self::Cgroup(if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            }));
        }
        Err(Refusal::usage(format!(
            "\"{text}\" names no workload: write /cgroup/path, unit:name.service or pod:namespace/name"
        )))
    }

    /// Its path, as far as this host knows: several units may share a name. The second is what a user
    /// should know.
    pub(super) fn path(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Cgroup(path) => (Some(path.clone()), None),
            Self::Pod(_) => {
                let note = "of a pod only its namespace and labels are known: policies by cgroup or unit are left out";
                (None, Some(note.to_owned()))
            }
            Self::Unit(unit) => {
                let found = Tree::mounted().map(|tree| tree.named(unit)).unwrap_or_default();
                match found.as_slice() {
                    [] => {
                        let path = format!("/system.slice/{unit}");
                        let note = format!("{unit} does not run here: {path} is taken for it");
                        (Some(path), Some(note))
                    }
                    [path] => (Some(path.clone()), None),
                    [path, others @ ..] => {
                        let note = format!("{unit} runs as {path} and {} others", others.len());
                        (Some(path.clone()), Some(note))
                    }
                }
            }
        }
    }

    /// The policies on it.
    pub(super) fn bound(&self, set: &PolicySet, path: Option<&str>) -> Bound {
        match self {
            Self::Pod(pod) => Bound::node(set).below(set, Subject { path: "", pod: Some(pod) }),
            Self::Cgroup(_) | Self::Unit(_) => Bound::of_path(set, path.unwrap_or("/")),
        }
    }
}

/// Labels as `key=value`.
pub(super) fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let pair = |text: &String| {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Refusal::usage(format!("\"{text}\" is no label: write key=value")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_named_in_three_ways() {
        assert_eq!(Whose::parse("unit:a.service").unwrap(), Whose::Unit("a.service".to_owned()));
        assert_eq!(Whose::parse("/a/b/").unwrap(), Whose::Cgroup("/a/b".to_owned()));
        assert_eq!(Whose::parse("/").unwrap(), Whose::Cgroup("/".to_owned()));
        let Whose::Pod(pod) = Whose::parse("pod:shop/web-1").unwrap() else { panic!("no pod") };
        assert_eq!((pod.namespace.as_str(), pod.name.as_str()), ("shop", "web-1"));
        for text in ["", "a.service", "unit:", "pod:web-1", "pod:/x"] {
            assert!(Whose::parse(text).unwrap_err().message.contains("unit:name"), "{text}");
        }
        assert!(labels(&["app".to_owned()]).is_err());
        assert_eq!(labels(&["a=b=c".to_owned()]).unwrap()["a"], "b=c");
    }
}
