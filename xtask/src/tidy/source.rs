//! Rust source without what only looks like code: comments, strings and characters become blanks.

use std::iter::Peekable;
use std::str::Chars;

/// The part of a file above its test module.
pub(super) fn without_tests(text: &str) -> &str {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "#[cfg(test)]" {
            return text.get(..at).unwrap_or(text);
        }
        at += line.len();
    }
    text
}

/// The identifiers and keywords of blanked code.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The same text with comments and literals blanked; lines stay where they are.
pub(super) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut word = String::new();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('/', Some('/')) => skip(&mut rest, &mut out, |_, next| next == '\n'),
            ('/', Some('*')) => comment(&mut rest, &mut out),
            ('"', _) if matches!(word.as_str(), "r" | "br" | "cr") => raw(&mut rest, &mut out, 0),
            ('"', _) => quoted(&mut rest, &mut out, '"'),
            ('#', Some('"' | '#')) if matches!(word.as_str(), "r" | "br" | "cr") => {
                let hashes = 1 + std::iter::from_fn(|| rest.next_if_eq(&'#')).count();
                if rest.next_if_eq(&'"').is_some() {
                    raw(&mut rest, &mut out, hashes);
                }
            }
            ('\'', _) => character(&mut rest, &mut out),
            _ => out.push(c),
        }
        if c.is_alphanumeric() || c == '_' { word.push(c) } else { word.clear() }
    }
    out
}

/// Drops characters up to the one where `end` holds; that one stays to be read.
fn skip(rest: &mut Peekable<Chars<'_>>, out: &mut String, end: impl Fn(char, char) -> bool) {
    let mut last = '\0';
    while let Some(next) = rest.next_if(|next| !end(last, *next)) {
        keep_line(next, out);
        last = next;
    }
}

fn comment(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let (mut depth, mut last) = (0_usize, '/');
    for next in rest.by_ref() {
        keep_line(next, out);
        match (last, next) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                last = next;
                continue;
            }
        }
        if depth == 0 {
            return;
        }
        last = '\0';
    }
}

fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String, end: char) {
    while let Some(next) = rest.next() {
        keep_line(next, out);
        if next == '\\' {
            rest.next().inspect(|escaped| keep_line(*escaped, out));
        } else if next == end {
            return;
        }
    }
}

fn raw(rest: &mut Peekable<Chars<'_>>, out: &mut String, hashes: usize) {
    while let Some(next) = rest.next() {
        keep_line(next, out);
        if next == '"' && (0..hashes).all(|_| rest.next_if_eq(&'#').is_some()) {
            return;
        }
    }
}

/// A character literal, unless it is a lifetime: `'a'` against `'a`.
fn character(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut ahead = rest.clone();
    let first = ahead.next();
    if first == Some('\\') || ahead.next() == Some('\'') {
        quoted(rest, out, '\'');
    } else {
        out.push(' ');
    }
}

fn keep_line(c: char, out: &mut String) {
    if c == '\n' {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_and_lines_stay() {
        let text = "a(\"x{\\\"\", '{', '\\'', b'\"') // }\n/* { /* { */ */ b::<'static>(r#\"{\"\n\"#, r\"\\\")\n";
        let code = blank(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains(['{', '}', '"']), "{code}");
        assert!(words(&code).eq(["a", "b", "b", "static", "r", "r"]), "{code}");
    }

    #[test]
    fn tests_are_cut_off_at_their_module_only() {
        let text = "fn a() {}\n    #[cfg(test)]\n    x();\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(without_tests(text), "fn a() {}\n    #[cfg(test)]\n    x();\n");
    }
}
