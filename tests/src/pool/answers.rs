//! What a pool answers to each request, by dialect.

use serde_json::{Value, json};

use crate::transcript::{self, Dialect, Variant};

/// Where a request says what it asks.
const WORDS: [&str; 4] = ["method", "type", "identifier", "message"];

/// The answers given on one connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// True once the miner may get jobs.
    pub(super) logged_in: bool,
}

impl Answers {
    /// The lines that answer one received line; none for what is no request.
    pub(super) fn to(&mut self, dialect: Dialect, line: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(line);
        let Ok(request) = serde_json::from_str::<Value>(text.trim_matches(is_padding)) else {
            return Vec::new();
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let word = WORDS.iter().find_map(|word| request.get(word).and_then(Value::as_str));
        let word = word.unwrap_or_default();
        let Some(mut lines) = transcript::answers(dialect, word, &id.to_string()) else {
            let error = json!({"code": -32601, "message": "Method not found"});
            return vec![format!("{}\n", json!({"id": id, "result": null, "error": error}))];
        };
        let was_in = self.logged_in;
        self.logged_in |= transcript::logs_in(dialect, word);
        if self.logged_in && !was_in && pushes_first_job(dialect) {
            lines.push(job(dialect));
        }
        lines
    }
}

/// A notification of new work.
pub(super) fn job(dialect: Dialect) -> String {
    transcript::job(dialect, &Variant::default())
}

/// V1 sends the first job unasked; elsewhere it is part of the answer.
fn pushes_first_job(dialect: Dialect) -> bool {
    job(dialect).contains("mining.notify")
}

fn is_padding(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}
