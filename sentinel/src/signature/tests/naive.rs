//! Signature files read in the plainest way: whole messages, parsed by serde_json, each token
//! looked for by walking the value. Shares the file format and nothing else with the compiler.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde_json::Value;

use super::super::EMBEDDED;
use super::super::file::{self, File, Pattern, Rule, Token};

/// Depth below which the lexer counts containers only.
const KIND_DEPTH: usize = 30;

/// The files' tokens and rules.
pub(super) struct Naive {
    files: Vec<(File, Vec<Alternatives>)>,
}

/// The patterns that stand for one token, with their expressions.
type Alternatives = Vec<(Pattern, Option<Regex>)>;

/// Tokens by file and name.
type Said = BTreeSet<(usize, String)>;

impl Naive {
    pub(super) fn new() -> Self {
        let files = EMBEDDED.iter().map(|(name, text)| file::parse(name, text).unwrap());
        let with_expressions = files.map(|file| {
            let compile = |token: &Token| {
                let bytes = syntax::Config::new().unicode(false).utf8(false);
                let build = |text: &str| Regex::builder().syntax(bytes).build(text).unwrap();
                let with_expression = |pattern: Pattern| {
                    let whole = |text: &String| build(&format!("^(?s:{text})$"));
                    let expression = pattern.regex.as_ref().map(whole);
                    (pattern, expression)
                };
                token.patterns().into_iter().map(with_expression).collect()
            };
            let expressions = file.tokens.iter().map(compile).collect();
            (file, expressions)
        });
        Self { files: with_expressions.collect() }
    }

    /// The first of these messages that completes a rule, when nothing else is said.
    pub(super) fn first_match(&self, messages: &[Value]) -> Option<usize> {
        let mut said = Said::new();
        messages.iter().position(|message| {
            let tokens = self.tokens(message);
            said.extend(tokens.iter().cloned());
            self.matches(&tokens, &said)
        })
    }

    fn tokens(&self, message: &Value) -> Said {
        let mut found = Said::new();
        for (index, (file, alternatives)) in self.files.iter().enumerate() {
            for (token, alternatives) in file.tokens.iter().zip(alternatives) {
                let one = |(pattern, expression): &(Pattern, Option<Regex>)| {
                    let roles = pattern.role.as_slice();
                    roles.iter().any(|role| holds(message, role, pattern, expression))
                };
                if alternatives.iter().any(one) {
                    found.insert((index, token.name.clone()));
                }
            }
        }
        found
    }

    fn matches(&self, message: &Said, said: &Said) -> bool {
        self.files.iter().enumerate().any(|(index, (file, _))| {
            let all = |names: &[String], set: &Said| {
                names.iter().all(|name| set.contains(&(index, name.clone())))
            };
            let holds = |rule: &Rule| {
                let any = rule.any.is_empty() || rule.any.iter().any(|one| all(one, message));
                rule.peer.is_empty() && all(&rule.message, message) && all(&rule.said, said) && any
            };
            file.rules.iter().any(holds)
        })
    }
}

fn holds(message: &Value, role: &str, pattern: &Pattern, expression: &Option<Regex>) -> bool {
    if matches!(role, "head" | "request") {
        return false;
    }
    let (kind, path) = role.split_once(':').unwrap_or(("value", role));
    let (path, nested) = match path.strip_suffix(".[]") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let path: Vec<&str> = path.split('.').collect();
    let mut places = Vec::new();
    at_path(message, &path, 1, &mut places);
    let fits = |text: &str| match (&pattern.equals, expression) {
        (Some(texts), _) => texts.as_slice().iter().any(|known| known == text),
        (None, Some(expression)) => expression.is_match(text.as_bytes()),
        (None, None) => false,
    };
    places.into_iter().any(|(value, depth)| match kind {
        "key" => true,
        "value" => value.as_str().is_some_and(fits),
        _ => {
            let mut elements = Vec::new();
            let direct = path.len() == 1 && !nested;
            collect(value, depth + 1, direct, nested && path.len() == 1, &mut elements);
            elements.into_iter().any(fits)
        }
    })
}

/// Values under the path, with the depth of the object that holds them. Keys of level 3 are those
/// at depth 3 and anywhere below.
fn at_path<'a>(value: &'a Value, path: &[&str], depth: usize, found: &mut Vec<(&'a Value, usize)>) {
    let Some((first, rest)) = path.split_first() else { return };
    if depth > KIND_DEPTH {
        return;
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == first {
                    if rest.is_empty() {
                        found.push((member, depth));
                    } else {
                        at_path(member, rest, depth + 1, found);
                    }
                }
                if depth >= 3 {
                    at_path(member, path, depth + 1, found);
                }
            }
        }
        // Arrays add to the depth: an object in one is never at its parent's level plus one.
        Value::Array(elements) if depth >= 3 => {
            elements.iter().for_each(|element| at_path(element, path, depth + 1, found));
        }
        _ => {}
    }
}

/// String elements of the array at `depth`: its own (`direct`), those of arrays below, or all.
fn collect<'a>(
    value: &'a Value,
    depth: usize,
    direct: bool,
    below: bool,
    found: &mut Vec<&'a str>,
) {
    if depth > KIND_DEPTH {
        return;
    }
    match value {
        Value::Array(elements) => {
            if !below {
                found.extend(elements.iter().filter_map(Value::as_str));
            }
            if !direct {
                elements
                    .iter()
                    .for_each(|element| collect(element, depth + 1, false, false, found));
            }
        }
        // Below an object at depth 2 there are keys of level 2, which end the context.
        Value::Object(members) if !direct && depth > 2 => {
            members.values().for_each(|member| collect(member, depth + 1, false, false, found));
        }
        _ => {}
    }
}
