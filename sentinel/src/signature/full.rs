//! Sets that fill one of the datapath's bounds exactly, for tests of what happens there. Not behind
//! `cfg(test)`: the tests that run them in the kernel are another crate.

use std::fmt::Write as _;

use sentinel_common::signature::token;

const HEAD: &str = "dialect = \"full\"\n[[token]]\nname = \"id\"\nrole = \"key:id\"\n";

fn file(body: impl FnOnce(&mut String)) -> String {
    let mut text = HEAD.to_owned();
    body(&mut text);
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// A set of this many tokens with those of every set, its own being what one rule asks for.
#[must_use]
pub fn tokens(count: usize) -> String {
    file(|text| {
        let mut names = vec!["\"id\"".to_owned()];
        for index in 1..count.saturating_sub(token::COUNT) {
            let token = format_args!("[[token]]\nname = \"t{index}\"\nrole = \"key:k{index}\"");
            line(text, token);
            names.push(format!("\"t{index}\""));
        }
        let names = names.join(", ");
        line(text, format_args!("[[rule]]\nname = \"all\"\nmessage = [{names}]"));
    })
}

/// A message that fulfils the rule of [`tokens`], and no part of it does.
#[must_use]
pub fn saying_tokens(count: usize) -> Vec<u8> {
    let keys: Vec<String> =
        (1..count.saturating_sub(token::COUNT)).map(|index| format!("\"k{index}\":1")).collect();
    format!("{{{},\"id\":1}}\n", keys.join(",")).into_bytes()
}

/// A set of this many rules, of two tokens each; up to 435 pairs of 30 words.
#[must_use]
pub fn rules(count: usize) -> String {
    file(|text| {
        // The word `id` goes with every rule of one file, or it would be of no use.
        for word in 0..30 {
            line(text, format_args!("[[token]]\nname = \"w{word}\"\nrole = \"key:w{word}\""));
        }
        for (index, (one, other)) in pairs().take(count).enumerate() {
            let also = if index == 0 { ", \"id\"" } else { "" };
            let rule = format_args!(
                "[[rule]]\nname = \"r{index}\"\nmessage = [\"w{one}\", \"w{other}\"{also}]"
            );
            line(text, rule);
        }
    })
}

/// A message that fulfils this rule of [`rules`] and no other.
#[must_use]
pub fn saying_rule(index: usize) -> Vec<u8> {
    let (one, other) = pairs().nth(index).unwrap_or_default();
    format!("{{\"w{one}\":1,\"w{other}\":2,\"id\":3}}\n").into_bytes()
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    // By distance first: few rules already use every word.
    (1..30).flat_map(|distance| (0..30 - distance).map(move |one| (one, one + distance)))
}

/// What the automaton has besides the states of one long key: its beginning, the opening, the twin
/// of each accepting state and what reads the lines that every set knows. Found by counting; the tests fail when it is wrong.
const OTHER_STATES: usize = 66;

/// A set whose automaton has this many states: one key that is as long as it takes.
#[must_use]
pub fn states(count: usize) -> String {
    states_named("k", count)
}

/// The same with a key of its own.
#[must_use]
pub fn states_named(name: &str, count: usize) -> String {
    let key = long_key(name, count);
    file(|text| {
        line(text, format_args!("[[token]]\nname = \"{name}-long\"\nrole = \"key:{key}\""));
        line(
            text,
            format_args!("[[rule]]\nname = \"{name}\"\nmessage = [\"id\", \"{name}-long\"]"),
        );
    })
}

/// A message that fulfils the rule of [`states`].
#[must_use]
pub fn saying_states(count: usize) -> Vec<u8> {
    format!("{{\"{}\":1,\"id\":1}}\n", long_key("k", count)).into_bytes()
}

fn long_key(name: &str, count: usize) -> String {
    name.chars().cycle().take(count.saturating_sub(OTHER_STATES)).collect()
}

/// Classes besides those of single bytes: bytes that no pattern names, keys of each level, the letters
/// of the lines that every set knows, and so on.
const OTHER_CLASSES: usize = 36;

/// A set that tells this many classes of symbols apart: one text of so many different bytes.
#[must_use]
pub fn classes(count: usize) -> String {
    let text = bytes(count);
    file(|out| {
        line(out, format_args!("[[token]]\nname = \"all\"\nrole = \"method\"\nregex = \"{text}\""));
        line(out, format_args!("[[rule]]\nname = \"all\"\nmessage = [\"id\", \"all\"]"));
    })
}

fn bytes(count: usize) -> String {
    let extra = count.saturating_sub(OTHER_CLASSES);
    plain_bytes().take(extra).map(|byte| format!("\\\\x{byte:02x}")).collect()
}

/// Bytes that stand for themselves in a string; those of a byte order mark are padding.
fn plain_bytes() -> impl Iterator<Item = u8> {
    (0x80..0xf6).filter(|byte| ![0xbb, 0xbf, 0xef].contains(byte))
}

/// A message that fulfils the rule of [`classes`] for the full table.
#[must_use]
pub fn saying_classes() -> Vec<u8> {
    let extra = sentinel_common::limits::SYMBOL_CLASSES - OTHER_CLASSES;
    let mut message = b"{\"id\":1,\"method\":\"".to_vec();
    message.extend(plain_bytes().take(extra));
    message.extend_from_slice(b"\"}\n");
    message
}

/// A set of one rule, whose token is this expression for a method.
#[must_use]
pub fn with_expression(expression: &str) -> String {
    file(|text| {
        line(
            text,
            format_args!("[[token]]\nname = \"x\"\nrole = \"method\"\nregex = '{expression}'"),
        );
        line(text, format_args!("[[rule]]\nname = \"r\"\nmessage = [\"id\", \"x\"]"));
    })
}
