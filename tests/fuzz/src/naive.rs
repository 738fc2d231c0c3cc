//! A signature file read in the plainest way: parsed messages, each token looked for by walking
//! the value along its path. Knows the file's format and nothing of the compiler.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "token")]
    tokens: Vec<Token>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Token {
    name: String,
    role: OneOrMany,
    equals: Option<OneOrMany>,
    regex: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "dialect")]
    _dialect: Option<String>,
    #[serde(default)]
    message: Vec<String>,
    #[serde(default)]
    any: Vec<Vec<String>>,
    #[serde(default)]
    said: Vec<String>,
    #[serde(default)]
    peer: Vec<String>,
}

/// A place that a token asks for, and what must stand there.
struct Wanted {
    token: String,
    kind: Kind,
    /// Keys from the top of the message down; `None` is any key.
    path: Vec<Option<String>>,
    /// An element of an array within the array.
    nested: bool,
    texts: Option<Vec<String>>,
    expression: Option<Regex>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Key,
    Value,
    Element,
}

/// A file that can be matched.
pub(crate) struct Naive {
    wanted: Vec<Wanted>,
    rules: Vec<Rule>,
}

impl Naive {
    /// Reads a file that the compiler has accepted; `None` where it uses what this reader does not
    /// know, so that nothing can be compared.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let file: File = toml::from_str(text).ok()?;
        let mut wanted = Vec::new();
        for token in &file.tokens {
            for role in token.role.all() {
                wanted.push(Wanted::new(token, role)?);
            }
        }
        Some(Self { wanted, rules: file.rules })
    }

    /// The first of these messages that completes a rule, when nothing else is said.
    pub(crate) fn first_match(&self, messages: &[Value]) -> Option<usize> {
        let mut said = BTreeSet::new();
        messages.iter().position(|message| {
            let here = self.wanted.iter().filter(|wanted| wanted.is_in(message));
            let here: BTreeSet<&str> = here.map(|wanted| wanted.token.as_str()).collect();
            said.extend(here.iter().copied());
            let all = |names: &[String], set: &BTreeSet<&str>| {
                names.iter().all(|name| set.contains(name.as_str()))
            };
            self.rules.iter().any(|rule| {
                let any = rule.any.is_empty() || rule.any.iter().any(|one| all(one, &here));
                rule.peer.is_empty() && all(&rule.message, &here) && all(&rule.said, &said) && any
            })
        })
    }
}

impl Wanted {
    fn new(token: &Token, role: &str) -> Option<Self> {
        let (kind, path) = role.split_once(':').unwrap_or(("value", role));
        let kind = match kind {
            "key" => Kind::Key,
            "value" => Kind::Value,
            "element" => Kind::Element,
            _ => return None,
        };
        let (path, nested) = match path.strip_suffix("[]") {
            Some(path) => (path.strip_suffix('.').unwrap_or(path), true),
            None => (path, false),
        };
        let path: Vec<Option<String>> =
            path.split('.').map(|key| (key != "*").then(|| key.to_owned())).collect();
        // What lies under a third key, or under any, the compiler's roles tell only roughly.
        if path.len() > 2 || path.iter().any(Option::is_none) || (nested && path.len() > 1) {
            return None;
        }
        let expression = match &token.regex {
            Some(text) => {
                let bytes = syntax::Config::new().unicode(false).utf8(false);
                Some(Regex::builder().syntax(bytes).build(&format!("^(?s:{text})$")).ok()?)
            }
            None => None,
        };
        let texts = token.equals.as_ref().map(|texts| texts.all().to_vec());
        Some(Self { token: token.name.clone(), kind, path, nested, texts, expression })
    }

    fn is_in(&self, message: &Value) -> bool {
        let mut at = vec![message];
        for key in self.path.iter().flatten() {
            at = at.into_iter().filter_map(|value| value.as_object()?.get(key)).collect();
        }
        at.into_iter().any(|value| match self.kind {
            Kind::Key => true,
            Kind::Value => value.as_str().is_some_and(|text| self.fits(text)),
            Kind::Element => {
                let mut elements = Vec::new();
                let direct = self.path.len() == 1 && !self.nested;
                elements_of(value, self.path.len() + 1, direct, self.nested, &mut elements);
                elements.into_iter().any(|text| self.fits(text))
            }
        })
    }

    fn fits(&self, text: &str) -> bool {
        match (&self.texts, &self.expression) {
            (Some(texts), _) => texts.iter().any(|known| known == text),
            (None, Some(expression)) => expression.is_match(text.as_bytes()),
            (None, None) => false,
        }
    }
}

/// Strings in the array at this depth: its own (`direct`), those of the arrays in it (`nested`), or
/// all that no key of the same level or above parts from it.
fn elements_of<'a>(
    value: &'a Value,
    depth: usize,
    direct: bool,
    nested: bool,
    found: &mut Vec<&'a str>,
) {
    match value {
        Value::Array(elements) => {
            if !nested {
                found.extend(elements.iter().filter_map(Value::as_str));
            }
            if !direct {
                for element in elements {
                    elements_of(element, depth + 1, false, false, found);
                }
            }
        }
        Value::Object(members) if !direct && depth > 2 => {
            for member in members.values() {
                elements_of(member, depth + 1, false, false, found);
            }
        }
        _ => {}
    }
}
