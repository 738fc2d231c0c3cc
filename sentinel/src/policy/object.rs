//! Policies that are objects of a Kubernetes API: each is read by itself, so that one that is wrong takes no
//! other with it, and what is wrong is told by its field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;

use super::diagnostic::Diagnostic;
use super::library::compile;
use super::load::Source;

/// Objects that are known at a time.
pub const CAPACITY: usize = 8192;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// `EgressPolicy`, of a namespace.
    Namespaced,
    /// `ClusterEgressPolicy`.
    Cluster,
}

impl ObjectKind {
    /// As the API calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaced => super::parse::NAMESPACED,
            Self::Cluster => super::parse::CLUSTER,
        }
    }
}

/// A policy as the API tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Where it is.
    pub namespace: Option<String>,
    /// What it is called there.
    pub name: String,
    /// The number of its specification.
    pub generation: i64,
    /// What it asks for.
    pub spec: Value,
}

impl Object {
    /// What it is called in messages.
    #[must_use]
    pub fn title(&self) -> String {
        title(self.kind, self.namespace.as_deref(), &self.name)
    }

    /// Its text as a file would have it, and the field that stands on each line.
    fn written(&self) -> (Source, Vec<String>) {
        let mut text = Written::default();
        text.line("", &format!("apiVersion: {}", super::parse::API_VERSION));
        text.line("", &format!("kind: {}", self.kind.name()));
        text.line("metadata.name", "metadata:");
        text.line("metadata.name", &format!("  name: {}", Value::from(self.name.as_str())));
        if let Some(namespace) = &self.namespace {
            let namespace = Value::from(namespace.as_str());
            text.line("metadata.namespace", &format!("  namespace: {namespace}"));
        }
        text.value("spec", "spec: ", 0, &self.spec);
        (Source { name: self.title(), text: text.text }, text.fields)
    }
}

fn title(kind: ObjectKind, namespace: Option<&str>, name: &str) -> String {
    let kind = kind.name();
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Text that remembers which field stands where. A value that is not empty has lines of its own.
#[derive(Default)]
struct Written {
    text: String,
    fields: Vec<String>,
}

impl Written {
    fn line(&mut self, field: &str, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.fields.push(field.to_owned());
    }

    fn value(&mut self, field: &str, before: &str, depth: usize, value: &Value) {
        let indent = " ".repeat(depth + 2);
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                self.line(field, before.trim_end());
                for (key, value) in entries {
                    let before = format!("{indent}{}: ", Value::from(key.as_str()));
                    self.value(&format!("{field}.{key}"), &before, depth + 2, value);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                self.line(field, before.trim_end());
                for (index, value) in items.iter().enumerate() {
                    let before = format!("{indent}- ");
                    self.value(&format!("{field}[{index}]"), &before, depth + 2, value);
                }
            }
            // JSON's words for these are YAML's.
            other => self.line(field, &format!("{before}{other}")),
        }
    }
}

/// An object and what became of it. What it asks for is kept as its text alone: there are thousands.
#[derive(Clone, Debug)]
struct Held {
    kind: ObjectKind,
    namespace: Option<String>,
    name: String,
    generation: i64,
    /// The newest.
    text: Arc<Source>,
    /// The last that was right, which is in force.
    good: Option<Arc<Source>>,
    /// What is wrong with the newest.
    error: Option<String>,
}

impl Held {
    fn title(&self) -> String {
        title(self.kind, self.namespace.as_deref(), &self.name)
    }

    /// What is wrong with it; `refused` are findings against all policies together.
    fn wrong(&self, refused: &[Diagnostic]) -> Option<String> {
        // Nearly always there are none: a thousand titles are not written for that.
        if self.error.is_some() || refused.is_empty() {
            return self.error.clone();
        }
        let title = self.title();
        let clash = refused.iter().find(|finding| finding.file == title);
        clash.map(|finding| explain_one(finding, &[]))
    }
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What it is.
    pub kind: ObjectKind,
    /// Where it is.
    pub namespace: Option<String>,
    /// What it is called there.
    pub name: String,
    /// The number of the newest specification.
    pub generation: i64,
    /// What is wrong with it, with its field.
    pub error: Option<String>,
}

impl Fate {
    /// What it is called in messages.
    #[must_use]
    pub fn title(&self) -> String {
        title(self.kind, self.namespace.as_deref(), &self.name)
    }
}

/// All policies that are objects.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    held: BTreeMap<(ObjectKind, String), Held>,
    /// Kinds whose objects were told of, all of them.
    listed: BTreeSet<ObjectKind>,
    /// Objects that found no room.
    left_out: u64,
    /// How often what can be in force has changed.
    changes: u64,
}

impl Objects {
    /// These are all objects of a kind.
    pub fn all(&mut self, kind: ObjectKind, objects: Vec<(String, Object)>) {
        self.listed.insert(kind);
        let there: BTreeSet<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
        let before = self.held.len();
        self.held.retain(|(of, key), _| *of != kind || there.contains(key.as_str()));
        self.changes += u64::from(self.held.len() != before);
        for (key, object) in objects {
            self.is(key, object);
        }
    }

    /// This object is there. One that is wrong leaves in force what it was before.
    pub fn is(&mut self, key: String, object: Object) {
        let place = (object.kind, key);
        let (source, fields) = object.written();
        if let Some(held) = self.held.get_mut(&place).filter(|held| *held.text == source) {
            held.generation = object.generation;
            return;
        }
        let before = self.held.get(&place);
        if before.is_none() && self.held.len() >= CAPACITY {
            self.left_out += 1;
            return;
        }
        let checked = compile(std::slice::from_ref(&source), OffsetDateTime::UNIX_EPOCH);
        let error = checked.err().map(|findings| explain(&findings, &fields));
        let text = Arc::new(source);
        let good = match error {
            None => Some(Arc::clone(&text)),
            Some(_) => before.and_then(|held| held.good.clone()),
        };
        self.changes += u64::from(error.is_none());
        let Object { kind, namespace, name, generation, .. } = object;
        self.held.insert(place, Held { kind, namespace, name, generation, text, good, error });
    }

    /// This one is gone.
    pub fn gone(&mut self, kind: ObjectKind, key: &str) {
        let gone = self.held.remove(&(kind, key.to_owned()));
        self.changes += u64::from(gone.is_some());
    }

    /// The texts of those that are right, or were before they were wrong.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let good = self.held.values().filter_map(|held| held.good.as_deref());
        good.cloned().collect()
    }

    /// What became of each; `refused` are findings against all policies together.
    #[must_use]
    pub fn fates(&self, refused: &[Diagnostic]) -> Vec<Fate> {
        let fate = |held: &Held| {
            let Held { kind, namespace, name, generation, .. } = held;
            let (namespace, name) = (namespace.clone(), name.clone());
            let error = held.wrong(refused);
            Fate { kind: *kind, namespace, name, generation: *generation, error }
        };
        self.held.values().map(fate).collect()
    }

    /// What is wrong with those that are not in force as they are, by what they are called in messages.
    #[must_use]
    pub fn refused(&self, refused: &[Diagnostic]) -> BTreeMap<String, String> {
        let wrong = |held: &Held| Some((held.wrong(refused)?, held.title()));
        self.held.values().filter_map(wrong).map(|(error, title)| (title, error)).collect()
    }

    /// How often what can be in force has changed so far.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether all objects of both kinds were told of.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.listed.len() == 2
    }

    /// Objects that found no room so far.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

fn explain(findings: &[Diagnostic], fields: &[String]) -> String {
    let told = findings.iter().take(8).map(|finding| explain_one(finding, fields));
    told.collect::<Vec<_>>().join("; ")
}

fn explain_one(finding: &Diagnostic, fields: &[String]) -> String {
    let line = usize::try_from(finding.line).unwrap_or_default();
    let field = line.checked_sub(1).and_then(|line| fields.get(line)).map_or("", String::as_str);
    let mend = finding.help.as_ref().map(|help| format!(", {help}")).unwrap_or_default();
    let before = if field.is_empty() { String::new() } else { format!("{field}: ") };
    format!("{before}{}{mend}", finding.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: Value) -> (String, Object) {
        let namespace = Some("shop".to_owned());
        let kind = ObjectKind::Namespaced;
        let object = Object { kind, namespace, name: name.to_owned(), generation: 1, spec };
        (format!("shop/{name}"), object)
    }

    fn right(prefix: &str) -> Value {
        json!({"mode": "enforce", "egress": [{"toCIDRs": [prefix], "ports": [{"port": 443}]}]})
    }

    #[test]
    fn an_object_is_a_policy_like_a_file() {
        let mut objects = Objects::default();
        objects.all(ObjectKind::Namespaced, vec![object("web", right("10.0.0.0/8"))]);
        let set = compile(&objects.sources(), OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(set.policies[0].name.to_string(), "shop/web");
        assert_eq!(set.prefixes(), 1);
        assert_eq!(objects.fates(&[])[0].error, None);
    }

    #[test]
    fn a_wrong_one_is_told_by_its_field_and_leaves_what_was_in_force() {
        let mut objects = Objects::default();
        let (key, first) = object("web", right("10.0.0.0/8"));
        objects.is(key.clone(), first);
        let before = objects.sources();
        let wrong = json!({"mode": "enforce", "egress": [{"toCIDRs": ["10.0.0.0/8", "nonsense"]}]});
        let (_, wrong) = object("web", wrong);
        objects.is(key.clone(), Object { generation: 2, ..wrong });
        assert_eq!(objects.sources(), before);
        let fate = objects.fates(&[]).remove(0);
        assert_eq!(fate.generation, 2);
        let error = fate.error.unwrap();
        assert!(error.starts_with("spec.egress[0].toCIDRs[1]: \"nonsense\" is no CIDR"), "{error}");
        objects.gone(ObjectKind::Namespaced, &key);
        assert!(objects.is_empty() && objects.sources().is_empty());
    }

    #[test]
    fn a_wrong_one_takes_no_other_with_it() {
        let mut objects = Objects::default();
        let bad = object("bad", json!({"mod": "enforce"}));
        objects.all(ObjectKind::Namespaced, vec![object("web", right("10.0.0.0/8")), bad]);
        assert_eq!(objects.sources().len(), 1);
        let error = objects.fates(&[])[0].error.clone().unwrap();
        assert!(error.contains("unknown key \"mod\" (did you mean \"mode\"?)"), "{error}");
    }

    #[test]
    fn odd_texts_stay_texts() {
        let unit = "a: b # \"c\"\n- [d]";
        let spec = json!({"workload": {"systemdUnit": unit}, "stratum": "off", "egress": []});
        let (_, object) = object("null", spec);
        let (source, fields) = object.written();
        let read = super::super::parse::parse(&source).unwrap();
        let workload = read[0].document.spec.workload.as_ref().unwrap();
        assert_eq!(workload.value.systemd_unit.as_ref().unwrap().value, unit);
        assert_eq!(read[0].document.metadata.name.value, "null");
        assert_eq!(fields.len(), source.text.lines().count());
    }
}
