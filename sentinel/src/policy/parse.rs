//! YAML to the model, and what goes wrong on the way in words that help.

use std::sync::Arc;

use serde_saphyr::{Error, Location, Spanned};

use super::diagnostic::Diagnostic;
use super::load::Source;
use super::model::Document;
use crate::signature::suggest;

/// The format's name and version.
pub(super) const API_VERSION: &str = "sentinel.dev/v1alpha1";
/// For workloads of one namespace, or for anything on the node.
pub(super) const NAMESPACED: &str = "EgressPolicy";
/// For anything on the node, whatever its namespace.
pub(super) const CLUSTER: &str = "ClusterEgressPolicy";
const KINDS: [&str; 2] = [NAMESPACED, CLUSTER];

/// A document and the file it is from.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) file: Arc<str>,
    pub(super) document: Document,
}

impl Parsed {
    /// A finding about this place of the document.
    pub(super) fn finding<T>(
        &self,
        place: &Spanned<T>,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        self.finding_at(place.referenced, message, help)
    }

    /// The same, of a place that is no value's.
    pub(super) fn finding_at(
        &self,
        place: Location,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        at(&self.file, Some(place), message, help)
    }
}

/// Reads all documents of a file.
pub(super) fn parse(source: &Source) -> Result<Vec<Parsed>, Box<Diagnostic>> {
    let documents: Vec<Document> = serde_saphyr::from_multiple(&source.text)
        .map_err(|error| Box::new(explain(&source.name, &error)))?;
    let file: Arc<str> = source.name.as_str().into();
    documents
        .into_iter()
        .map(|document| {
            let parsed = Parsed { file: Arc::clone(&file), document };
            check_header(&parsed).map_or(Ok(()), |finding| Err(Box::new(finding)))?;
            Ok(parsed)
        })
        .collect()
}

fn check_header(parsed: &Parsed) -> Option<Diagnostic> {
    let Document { api_version, kind, .. } = &parsed.document;
    if api_version.value != API_VERSION {
        let message = format!("apiVersion \"{}\" is not known", api_version.value);
        return Some(parsed.finding(api_version, message, Some(format!("write {API_VERSION}"))));
    }
    if !KINDS.contains(&kind.value.as_str()) {
        let hint = suggest::clause(&kind.value, KINDS);
        let message = format!("kind \"{}\" is not known{hint}", kind.value);
        return Some(parsed.finding(kind, message, Some(format!("write {}", KINDS.join(" or ")))));
    }
    None
}

/// The parser's words, with suggestions for names that are not known.
fn explain(file: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let (message, help) = match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        Error::SerdeMissingField { field, .. } => {
            (format!("the key \"{field}\" is missing"), Some(format!("add {field}")))
        }
        Error::InvalidScalar { ty: "u16", .. } => {
            ("this is no port".to_owned(), Some("ports are numbers from 1 to 65535".to_owned()))
        }
        // Others begin with one line of prose; the place is told in front of the message already.
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or("not understood");
            (first.split(" at line ").next().unwrap_or(first).to_owned(), None)
        }
    };
    at(file, error.location(), message, help)
}

fn unknown(what: &str, word: &str, known: &[&str]) -> (String, Option<String>) {
    let hint = suggest::clause(word, known.iter().copied());
    let help = format!("it is one of {}", known.join(", "));
    (format!("unknown {what} \"{word}\"{hint}"), Some(help))
}

/// A finding in this file.
pub(super) fn at(
    file: &str,
    place: Option<Location>,
    message: String,
    help: Option<String>,
) -> Diagnostic {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let (line, column) =
        place.map_or((0, 0), |place| (number(place.line()), number(place.column())));
    Diagnostic { file: file.to_owned(), line, column, message, help }
}
