//! What a string says: exact texts or a regular expression, held to bytes that strings can have.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};
use sentinel_common::lexer::{REQUEST, SILENT};

/// The symbols that stand for a string's bytes: below the first that opens or closes one.
pub(super) fn content() -> ClassBytes {
    ClassBytes::new([ClassBytesRange::new(SILENT + 1, REQUEST - 1)])
}

/// Any of these texts, exactly.
pub(super) fn texts(texts: &[String]) -> Result<Hir, String> {
    let literal = |text: &String| {
        if text.is_empty() {
            return Err("an empty string is no pattern".to_owned());
        }
        hold_to_content(Hir::literal(text.as_bytes()))
    };
    Ok(Hir::alternation(texts.iter().map(literal).collect::<Result<_, _>>()?))
}

/// A regular expression for the whole string, over bytes, without look-around.
pub(super) fn expression(text: &str) -> Result<Hir, String> {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .build()
        .parse(text)
        .map_err(|error| format!("the expression is not understood: {}", last_line(&error)))?;
    if parsed.properties().minimum_len() == Some(0) {
        return Err("the expression must not match the empty string".to_owned());
    }
    hold_to_content(parsed)
}

/// Keeps `.` and negated classes from running over a string's end into the next one.
fn hold_to_content(hir: Hir) -> Result<Hir, String> {
    Ok(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(_) => {
            return Err("an expression is for the whole string: no ^, $ or \\b in it".to_owned());
        }
        HirKind::Literal(literal) => {
            if literal.0.iter().any(|byte| !(SILENT + 1..REQUEST).contains(byte)) {
                return Err("the bytes 00 and f6 to ff stand in no readable string".to_owned());
            }
            Hir::literal(literal.0)
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.intersect(&content());
            Hir::class(Class::Bytes(class))
        }
        HirKind::Class(Class::Unicode(_)) => {
            return Err("character classes are over bytes: no Unicode classes".to_owned());
        }
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            let sub = Box::new(hold_to_content(*sub)?);
            Hir::repetition(Repetition { min, max, greedy, sub })
        }
        HirKind::Capture(capture) => hold_to_content(*capture.sub)?,
        HirKind::Concat(parts) => {
            Hir::concat(parts.into_iter().map(hold_to_content).collect::<Result<_, _>>()?)
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(hold_to_content).collect::<Result<_, _>>()?)
        }
    })
}

/// The parser draws a picture over several lines; its last one says what is wrong.
fn last_line(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or("").trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::expression;

    #[test]
    fn refuses_what_cannot_be_held_to_one_string() {
        for wrong in ["^a", "a$", r"\ba", "a*", "(", r"\xff", r"(?u)\pL"] {
            assert!(expression(wrong).is_err(), "{wrong}");
        }
        for right in ["a.*", "[^a]+b", "(?i)xmrig.*"] {
            assert!(expression(right).is_ok(), "{right}");
        }
    }
}
