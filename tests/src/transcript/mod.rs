//! What miners and pools say, as data: messages per dialect, in many spellings.
//!
//! A dialect is a [`script::Script`] in the file of its family; a [`Variant`] is a way of writing it.
//! What stands inside HTTP or a websocket is here as the JSON alone.

mod browser;
mod coins;
mod cryptonote;
mod dialect;
mod ethereum;
mod graph;
mod json;
mod node;
mod script;
#[cfg(test)]
mod tests;
mod v1;
mod variant;

pub use dialect::Dialect;
pub use script::{ETH_ACCOUNT, Told, V1_AGENT, V1_WORKER, WALLET, XMRIG_AGENT};
pub use variant::{Escapes, Ids, Leading, Spacing, Variant};

use json::Node;

/// The lines that open a session, each with its line end.
///
/// What [`Variant::leading`] asks for stands before the first line and is part of it, except for
/// [`Leading::Decoy`], which is a line of its own.
pub fn opening(dialect: Dialect, variant: &Variant) -> Vec<String> {
    let requests = dialect.script().opening.iter().zip(1..);
    lead(requests.map(|(request, number)| said(request, number, variant)).collect(), variant)
}

/// One made-up share.
pub fn submit(dialect: Dialect, id: u32, variant: &Variant) -> String {
    said(dialect.script().submit, id, variant)
}

/// The keepalive line, where the dialect has one.
pub fn keepalive(dialect: Dialect, id: u32, variant: &Variant) -> Option<String> {
    dialect.script().keepalive.map(|request| said(request, id, variant))
}

/// The opening and one share.
pub fn session(dialect: Dialect, variant: &Variant) -> Vec<String> {
    let mut lines = opening(dialect, variant);
    let id = u32::try_from(lines.len()).unwrap_or(u32::MAX).saturating_add(1);
    lines.push(submit(dialect, id, variant));
    lines
}

/// All that a pool says: its answers in the order of a session, what it says unasked, a job.
pub fn pool(dialect: Dialect, variant: &Variant) -> Vec<String> {
    let script = dialect.script();
    let answers = script.answers.iter().zip(1..).flat_map(|((_, lines), number)| {
        lines.iter().map(move |text| answered(text, &answer_id(number, variant), variant))
    });
    let unasked = script.notices.iter().chain([&script.job]);
    let unasked = unasked.map(|text| answered(text, "null", variant));
    lead(answers.chain(unasked).collect(), variant)
}

/// New work, unasked.
pub fn job(dialect: Dialect, variant: &Variant) -> String {
    answered(dialect.script().job, "null", variant)
}

/// The lines that answer a request with this word (its method, type, identifier or message) and id
/// (as JSON), if a pool of this dialect knows it.
pub fn answers(dialect: Dialect, word: &str, id: &str) -> Option<Vec<String>> {
    let (_, lines) = dialect.script().answers.iter().find(|(known, _)| *known == word)?;
    Some(lines.iter().map(|text| answered(text, id, &Variant::default())).collect())
}

/// Whether the miner gets jobs from the answer to this word on.
pub fn logs_in(dialect: Dialect, word: &str) -> bool {
    dialect.script().logs_in == word
}

/// A miner's line.
fn said(text: &str, number: u32, variant: &Variant) -> String {
    let id = script::id(number, variant);
    line(script::message(text, id.as_deref()), variant)
}

/// A pool's line.
fn answered(text: &str, id: &str, variant: &Variant) -> String {
    line(script::message(text, Some(id)), variant)
}

/// A pool gives back what it was given; for no id at all, `null`.
fn answer_id(number: u32, variant: &Variant) -> String {
    script::id(number, variant).unwrap_or_else(|| "null".to_owned())
}

/// Puts before the first line what the variant wants there.
fn lead(mut lines: Vec<String>, variant: &Variant) -> Vec<String> {
    let lead = match variant.leading {
        Leading::Nothing | Leading::Decoy => "",
        Leading::Newlines => "\n\n",
        Leading::Blanks => " \t  ",
        Leading::Bom => "\u{feff}",
    };
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, lead);
    }
    if variant.leading == Leading::Decoy {
        lines.insert(0, "{\"id\":0,\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n".to_owned());
    }
    lines
}

/// Adds decoys and line end to a message.
fn line(message: Node, variant: &Variant) -> String {
    let mut members = Vec::new();
    if variant.padding > 0 {
        members.push(("pad".to_owned(), Node::Text("x".repeat(variant.padding))));
    }
    if variant.duplicate_method {
        members.push(("method".to_owned(), Node::Text("echo".to_owned())));
    }
    if let Node::Map(rest) = message {
        members.extend(rest);
    }
    let mut line = json::render(&Node::Map(members), variant);
    line.push_str(if variant.crlf { "\r\n" } else { "\n" });
    line
}
