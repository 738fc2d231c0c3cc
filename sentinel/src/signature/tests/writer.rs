//! JSON written in every way a miner might: key order, white space, escapes, padding, batches.

use serde_json::{Map, Value};

/// A source of choices, from a list of random numbers.
pub(super) struct Choices<'a> {
    numbers: &'a [u16],
    at: usize,
}

impl<'a> Choices<'a> {
    pub(super) fn new(numbers: &'a [u16]) -> Self {
        Self { numbers, at: 0 }
    }

    /// A number below `bound`; 0 once the list is at its end.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let number = self.numbers.get(self.at % self.numbers.len().max(1)).copied().unwrap_or(0);
        self.at += 1;
        // Walking the list again must not repeat the same choices.
        let mixed =
            usize::from(number).wrapping_mul(31).wrapping_add(self.at / self.numbers.len().max(1));
        mixed % bound.max(1)
    }
}

/// Writes messages one after another; also tells where each one ends (behind its last byte).
pub(super) fn stream(messages: &[Value], choices: &mut Choices<'_>) -> (Vec<u8>, Vec<usize>) {
    const BETWEEN: [&str; 8] = ["\n", "\r\n", "", " ", "\n\n\t", "\0", "\u{feff}", ",\n"];
    let mut text = Vec::new();
    let mut ends = Vec::new();
    let batch = choices.below(6) == 0;
    text.extend_from_slice(BETWEEN[choices.below(8)].as_bytes());
    if batch {
        text.push(b'[');
    }
    for message in messages {
        value(message, choices, &mut text);
        ends.push(text.len());
        text.extend_from_slice(if batch {
            b",".as_slice()
        } else {
            BETWEEN[choices.below(8)].as_bytes()
        });
    }
    (text, ends)
}

fn value(value: &Value, choices: &mut Choices<'_>, text: &mut Vec<u8>) {
    match value {
        Value::Object(members) => object(members, choices, text),
        Value::Array(elements) => {
            text.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                space(choices, text);
                self::value(element, choices, text);
                space(choices, text);
            }
            text.push(b']');
        }
        Value::String(string) => self::string(string, choices, text),
        other => text.extend_from_slice(other.to_string().as_bytes()),
    }
}

fn object(members: &Map<String, Value>, choices: &mut Choices<'_>, text: &mut Vec<u8>) {
    let mut members: Vec<_> = members.iter().collect();
    for index in (1..members.len()).rev() {
        members.swap(index, choices.below(index + 1));
    }
    text.push(b'{');
    for (index, (key, member)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        space(choices, text);
        string(key, choices, text);
        space(choices, text);
        text.push(b':');
        space(choices, text);
        value(member, choices, text);
        space(choices, text);
    }
    text.push(b'}');
}

fn space(choices: &mut Choices<'_>, text: &mut Vec<u8>) {
    const SPACES: [&str; 6] = ["", "", "", " ", "\t \r", "\n"];
    text.extend_from_slice(SPACES[choices.below(6)].as_bytes());
}

fn string(string: &str, choices: &mut Choices<'_>, text: &mut Vec<u8>) {
    text.push(b'"');
    let escapes = choices.below(3);
    for character in string.chars() {
        let must = matches!(character, '"' | '\\') || character < ' ';
        let wants = match escapes {
            0 => false,
            1 => true,
            _ => choices.below(4) == 0,
        };
        match character {
            '/' if wants && choices.below(2) == 0 => text.extend_from_slice(b"\\/"),
            '\n' if choices.below(2) == 0 => text.extend_from_slice(b"\\n"),
            '"' | '\\' if !wants => text.extend_from_slice(&[b'\\', character as u8]),
            _ if must || wants => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let upper = choices.below(2) == 0;
                    let digits =
                        if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                    text.extend_from_slice(digits.as_bytes());
                }
            }
            _ => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    text.push(b'"');
}
