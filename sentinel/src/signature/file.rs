//! The shape of a signature file.

use serde::Deserialize;

use super::error::SignatureError;
use super::suggest;

/// A signature file, understood but not resolved.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) dialect: String,
    pub(super) tokens: Vec<Token>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    dialect: String,
    /// For the reader: where the dialect is described.
    #[serde(default, rename = "sources")]
    _sources: Vec<String>,
    #[serde(default, rename = "token")]
    tokens: Vec<Token>,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

/// A pattern for a string in a role, or one of several such patterns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) name: String,
    role: OneOrMany,
    equals: Option<OneOrMany>,
    regex: Option<String>,
    /// What stands for the same token.
    #[serde(default)]
    or: Vec<Pattern>,
}

impl Token {
    /// The patterns, each of which stands for the token.
    pub(super) fn patterns(&self) -> Vec<Pattern> {
        let Self { role, equals, regex, .. } = self;
        let own = Pattern { role: role.clone(), equals: equals.clone(), regex: regex.clone() };
        std::iter::once(own).chain(self.or.iter().cloned()).collect()
    }
}

/// What a string says, in any of these roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pattern {
    pub(super) role: OneOrMany,
    pub(super) equals: Option<OneOrMany>,
    pub(super) regex: Option<String>,
}

/// One string, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Tokens that together make a verdict.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) dialect: Option<String>,
    #[serde(default)]
    pub(super) message: Vec<String>,
    #[serde(default)]
    pub(super) any: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) said: Vec<String>,
    #[serde(default)]
    pub(super) peer: Vec<String>,
}

/// Reads one file.
pub(super) fn parse(name: &str, text: &str) -> Result<File, SignatureError> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = explain(error.message());
        SignatureError::Syntax { file: name.to_owned(), line, column, message }
    })?;
    Ok(File {
        name: name.to_owned(),
        dialect: document.dialect,
        tokens: document.tokens,
        rules: document.rules,
    })
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// serde's words in one line, and what an unknown key may have been meant to be.
fn explain(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    let Some(rest) = message.strip_prefix("unknown field `") else { return message };
    let Some((field, known)) = rest.split_once('`') else { return message };
    let hint = suggest::clause(field, known.split('`').skip(1).step_by(2));
    format!("unknown key \"{field}\"{hint}")
}
