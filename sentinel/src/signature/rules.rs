//! Names to numbers: tokens to bits, rules to masks, most specific first.

use std::collections::BTreeMap;

use regex_syntax::hir::Hir;
use sentinel_common::limits::{MAX_RULES, MAX_TOKENS};
use sentinel_common::signature::Rule;

use super::catalogue::RuleInfo;
use super::error::SignatureError;
use super::file::{self, File};
use super::role::Role;
use super::{framing, pattern, suggest};

/// All files, resolved against each other.
pub(super) struct Resolved {
    /// One pattern per token, in the order of their bits.
    pub(super) patterns: Vec<Hir>,
    /// A name per token, in the order of their bits.
    pub(super) tokens: Vec<String>,
    pub(super) dialects: Vec<String>,
    pub(super) rules: Vec<Rule>,
    /// What to call each of `rules`.
    pub(super) names: Vec<RuleInfo>,
}

/// Resolves tokens within their file and gathers everything.
///
/// Files stand alone: a token's name means something in its own file only, and the same pattern in
/// the same role takes one bit however many files define it.
pub(super) fn resolve(files: &[File]) -> Result<Resolved, SignatureError> {
    let framing = framing::tokens().map_err(|message| SignatureError::Automaton { message })?;
    let (mut tokens, mut patterns): (Vec<String>, Vec<Hir>) = framing.into_iter().unzip();
    let mut dialects = Vec::new();
    let mut rules: Vec<(Rule, RuleInfo)> = Vec::new();
    for file in files {
        let mut bits = BTreeMap::new();
        for token in &file.tokens {
            let hir = compile(file, token)?;
            let bit = patterns.iter().position(|known| *known == hir).unwrap_or(patterns.len());
            if bit == patterns.len() {
                SignatureError::check("tokens", bit + 1, MAX_TOKENS)?;
                patterns.push(hir);
                tokens.push(token.name.clone());
            }
            if bits.insert(token.name.as_str(), 1u64 << bit).is_some() {
                return Err(wrong_token(file, token, "is defined twice"));
            }
        }
        for rule in &file.rules {
            rules.extend(spread(file, rule, &bits, &mut dialects)?);
        }
        check_use(file)?;
    }
    SignatureError::check("rules", rules.len(), MAX_RULES)?;
    // The reader takes the first rule that holds; a stable sort keeps the order of the files else.
    rules.sort_by_key(|(rule, _)| {
        let asked = rule.message.count_ones() + rule.said.count_ones() + rule.peer.count_ones();
        std::cmp::Reverse(asked)
    });
    let (rules, names) = rules.into_iter().unzip();
    Ok(Resolved { patterns, tokens, dialects, rules, names })
}

/// A token without a rule is most likely a rule that was forgotten, and takes a bit.
fn check_use(file: &File) -> Result<(), SignatureError> {
    let is_used = |token: &file::Token| {
        let lists = |rule: &file::Rule| {
            let fixed = [&rule.message, &rule.said, &rule.peer];
            fixed.into_iter().chain(&rule.any).flatten().any(|name| *name == token.name)
        };
        file.rules.iter().any(lists)
    };
    match file.tokens.iter().find(|token| !is_used(token)) {
        Some(token) => Err(wrong_token(file, token, "is used by no rule")),
        None => Ok(()),
    }
}

fn wrong_token(file: &File, token: &file::Token, message: impl Into<String>) -> SignatureError {
    SignatureError::definition(&file.name, "token", &token.name, message)
}

fn compile(file: &File, token: &file::Token) -> Result<Hir, SignatureError> {
    let wrong = |message: String| wrong_token(file, token, message);
    let mut alternatives = Vec::new();
    for pattern in token.patterns() {
        alternatives.extend(roles(&pattern).map_err(wrong)?);
    }
    if alternatives.is_empty() {
        return Err(wrong("needs a role".to_owned()));
    }
    Ok(Hir::alternation(alternatives))
}

/// One pattern in each of its roles; the error is a sentence.
fn roles(pattern: &file::Pattern) -> Result<Vec<Hir>, String> {
    let file::Pattern { role, equals, regex } = pattern;
    let in_role = |role: &String| {
        let role = Role::parse(role)?;
        let text = match (equals, regex, role.is_key()) {
            (None, None, true) => Hir::empty(),
            (Some(_), _, true) | (_, Some(_), true) => {
                return Err("a key's pattern is its path: no equals or regex".to_owned());
            }
            (Some(texts), None, false) => pattern::texts(texts.as_slice())?,
            (None, Some(expression), false) => pattern::expression(expression)?,
            _ => return Err("needs either equals or regex".to_owned()),
        };
        Ok(role.around(text))
    };
    role.as_slice().iter().map(in_role).collect()
}

/// One rule per alternative.
fn spread(
    file: &File,
    rule: &file::Rule,
    bits: &BTreeMap<&str, u64>,
    dialects: &mut Vec<String>,
) -> Result<Vec<(Rule, RuleInfo)>, SignatureError> {
    let wrong = |message| SignatureError::definition(&file.name, "rule", &rule.name, message);
    let mask = |names: &[String]| {
        names.iter().try_fold(0u64, |mask, token| match bits.get(token.as_str()) {
            Some(bit) => Ok(mask | bit),
            None => Err(SignatureError::UnknownToken {
                file: file.name.clone(),
                rule: rule.name.clone(),
                token: token.clone(),
                hint: suggest::clause(token, bits.keys().copied()),
            }),
        })
    };
    let (base, said, peer) = (mask(&rule.message)?, mask(&rule.said)?, mask(&rule.peer)?);
    let name = rule.dialect.as_deref().unwrap_or(&file.dialect);
    let dialect = dialects.iter().position(|known| known == name).unwrap_or(dialects.len());
    if dialect == dialects.len() {
        dialects.push(name.to_owned());
    }
    let mut messages =
        rule.any.iter().map(|one| Ok(base | mask(one)?)).collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        messages.push(base);
    }
    messages
        .into_iter()
        .map(|message| {
            // What completes a rule is a token of the stream that is read.
            if message == 0 {
                return Err(wrong(
                    "needs a token under message, or one in each alternative of any",
                ));
            }
            if message.count_ones() + said.count_ones() + peer.count_ones() < 2 {
                return Err(wrong("needs two tokens at least: a word alone is no verdict"));
            }
            let info = RuleInfo {
                name: rule.name.clone(),
                dialect: name.to_owned(),
                file: file.name.clone(),
            };
            Ok((Rule { message, said, peer, dialect: dialect as u32, used: 1 }, info))
        })
        .collect()
}
