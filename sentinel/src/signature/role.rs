//! Where a string stands in a message, as a pattern over the lexer's symbols.
//!
//! A role is a kind and a path of keys from the top of the message: `value:params.login` is the
//! string that is the value of `login` in the object under `params`. A path is told from its keys
//! alone, since numbers and brackets feed nothing: a key of level 1 opens a context that holds
//! until the next key of level 1, and so on below.
//!
//! Three roles stand outside messages: `head` is a line of an HTTP head, `request` what its first line
//! says behind the method (of an answer, behind the version), `word` how a stream that begins with a
//! capital goes on behind it, as far as the pattern reaches; all in lower case and without white space.
//! A message forgets the tokens before it, so a rule names these under `said`.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, Repetition};
use sentinel_common::lexer::{BEGIN, ELEMENT, END, HEAD, KEY, REQUEST, VALUE};

use super::pattern::content;

/// Keys a path may have: the lexer does not tell levels below the third apart.
const MAX_PATH: usize = 3;
/// In a path's last place: one array further down.
const NESTED: &str = "[]";
/// In a path: any key.
const ANY: &str = "*";

/// What part a string plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Key,
    Value,
    Element,
    /// A line of an HTTP head.
    Head,
    /// Its first line, behind the method or the version.
    Request,
    /// The first word, behind its first letter.
    Word,
}

/// A string's role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Role {
    kind: Kind,
    path: Vec<String>,
    nested: bool,
}

impl Role {
    /// Reads a role as it is written in a file; the error is a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "method" {
            return Self::parse("value:method");
        }
        if let Some(kind) = line(text) {
            return Ok(Self { kind, path: Vec::new(), nested: false });
        }
        let Some((kind, path)) = text.split_once(':') else {
            return Err(format!(
                "\"{text}\" is no role: write key:, value: or element: and a path, or head, request or word"
            ));
        };
        let kind = match kind {
            "key" => Kind::Key,
            "value" => Kind::Value,
            "element" => Kind::Element,
            other => return Err(format!("\"{other}\" is no role: it is key, value or element")),
        };
        let (path, nested) = match path.strip_suffix(NESTED) {
            Some(rest) => (rest.strip_suffix('.').unwrap_or(rest), true),
            None => (path, false),
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || path.len() > MAX_PATH {
            return Err(format!("the path of \"{text}\" needs one to {MAX_PATH} keys"));
        }
        if nested && kind != Kind::Element {
            return Err(format!("\"{text}\": only an element can stand in a nested array"));
        }
        Ok(Self { kind, path, nested })
    }

    /// Whether the role is a key's, which needs no pattern besides its path.
    pub(super) fn is_key(&self) -> bool {
        self.kind == Kind::Key
    }

    /// The pattern for a whole string in this role, its closing symbol included.
    pub(super) fn around(&self, text: Hir) -> Hir {
        let mut parts = Vec::new();
        for (depth, key) in self.path.iter().enumerate() {
            if depth > 0 {
                parts.push(within(depth));
            }
            parts.push(symbol(KEY + depth as u8));
            parts.push(if key == ANY { any_text() } else { Hir::literal(key.as_bytes()) });
            parts.push(symbol(END));
        }
        match self.kind {
            Kind::Head | Kind::Request => {
                let open = if self.kind == Kind::Head { HEAD } else { REQUEST };
                return Hir::concat(vec![symbol(open), text, symbol(HEAD)]);
            }
            Kind::Word => return Hir::concat(vec![symbol(BEGIN), text]),
            Kind::Key => return Hir::concat(parts),
            Kind::Value => parts.push(symbol(VALUE)),
            Kind::Element => {
                let below = self.path.len() > 1 || self.nested;
                // An element of an array at depth 2 is told from one below; an array there is
                // the value of a key of level 1.
                parts.push(within(self.path.len() + usize::from(self.nested)));
                parts.push(symbol(if below { ELEMENT + 1 } else { ELEMENT }));
            }
        }
        parts.push(text);
        parts.push(symbol(END));
        Hir::concat(parts)
    }
}

/// The roles without a path.
fn line(text: &str) -> Option<Kind> {
    match text {
        "head" => Some(Kind::Head),
        "request" => Some(Kind::Request),
        "word" => Some(Kind::Word),
        _ => None,
    }
}

fn symbol(symbol: u8) -> Hir {
    Hir::literal([symbol])
}

fn any_text() -> Hir {
    repeat(Hir::class(Class::Bytes(content())))
}

/// Everything that does not leave the object or array under a key of level `depth`.
fn within(depth: usize) -> Hir {
    // A head's lines stand outside messages. Without them here, every context would carry every
    // pattern for a head along.
    let mut leaving = vec![ClassBytesRange::new(BEGIN, BEGIN), ClassBytesRange::new(REQUEST, HEAD)];
    let deepest = KEY + depth.min(MAX_PATH) as u8 - 1;
    leaving.push(ClassBytesRange::new(KEY, deepest));
    let mut staying = ClassBytes::new(leaving);
    staying.negate();
    repeat(Hir::class(Class::Bytes(staying)))
}

fn repeat(sub: Hir) -> Hir {
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(sub) })
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn reads_roles() {
        assert_eq!(Role::parse("method"), Role::parse("value:method"));
        assert!(Role::parse("key:params.login").unwrap().is_key());
        assert!(Role::parse("element:result.[]").is_ok());
        for line in ["head", "request", "word"] {
            assert!(Role::parse(line).is_ok(), "{line}");
        }
        for wrong in ["params", "word:params", "key:", "key:a..b", "key:a.b.c.d", "key:a.[]"] {
            assert!(Role::parse(wrong).is_err(), "{wrong}");
        }
    }
}
