//! Any text as a signature file: it compiles or is refused with a sentence, and what compiled finds
//! in a stream what the naive reader finds.
//!
//! The input is a file, a NUL, and a stream of JSON messages to try it on.

use sentinel::signature::compile;
use sentinel::signature::reading::read_all;
use sentinel_common::limits::KIND_DEPTH;
use serde_json::{Deserializer, Value};

use crate::naive::Naive;

/// Checks one file.
pub fn run(data: &[u8]) {
    check(data);
}

/// Whether the naive reader had a say, and what it said.
pub fn check(data: &[u8]) -> Option<bool> {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = std::str::from_utf8(parts.next()?).ok()?;
    let compiled = match compile(&[("fuzz.toml", text)]) {
        Ok(compiled) => compiled,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let naive = Naive::new(text)?;
    let messages: Vec<Value> =
        Deserializer::from_slice(parts.next()?).into_iter().collect::<Result<_, _>>().ok()?;
    if !messages.iter().all(is_plain) {
        return None;
    }
    // Written anew: of a key that is there twice, the naive reader knows the last only.
    let written: Vec<String> = messages.iter().map(Value::to_string).collect();
    let stream = written.join("\n");
    let expected = naive.first_match(&messages);
    let found = read_all(&compiled.signatures, [stream.as_bytes()]);
    assert_eq!(found.is_some(), expected.is_some(), "{text}\non {stream}");
    if let (Some(found), Some(index)) = (found, expected) {
        let start: usize = written.iter().take(index).map(|message| message.len() + 1).sum();
        let end = start + written[index].len();
        assert!(start < found.bytes && found.bytes <= end, "{found:?} is not in message {index}");
    }
    Some(expected.is_some())
}

/// Messages of which both readers see the same: objects, not too deep, every string printable ASCII
/// (what else there is becomes one symbol to ours).
fn is_plain(message: &Value) -> bool {
    message.is_object() && fits(message, 0)
}

fn fits(value: &Value, depth: u16) -> bool {
    let printable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    depth < KIND_DEPTH
        && match value {
            Value::String(text) => printable(text),
            Value::Array(elements) => elements.iter().all(|element| fits(element, depth + 1)),
            Value::Object(members) => {
                members.iter().all(|(key, member)| printable(key) && fits(member, depth + 1))
            }
            _ => true,
        }
}
