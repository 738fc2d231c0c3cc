//! What miners say, as data: request lines per dialect, in many spellings.

mod dialect;
mod json;
mod variant;

pub use dialect::{Dialect, ETH_ACCOUNT, V1_AGENT, V1_WORKER, WALLET, XMRIG_AGENT};
pub use variant::{Escapes, Ids, Leading, Spacing, Variant};

use json::Node;

/// The lines that open a session, each with its line end.
///
/// What [`Variant::leading`] asks for stands before the first line and is part of it, except for
/// [`Leading::Decoy`], which is a line of its own.
pub fn opening(dialect: Dialect, variant: &Variant) -> Vec<String> {
    let requests = dialect::opening(dialect).into_iter().zip(1..);
    let mut lines: Vec<String> = requests.map(|(request, id)| line(request, id, variant)).collect();
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

/// One made-up share.
pub fn submit(dialect: Dialect, id: u32, variant: &Variant) -> String {
    line(dialect::submit(dialect), id, variant)
}

/// The keepalive line, where the dialect has one.
pub fn keepalive(dialect: Dialect, id: u32, variant: &Variant) -> Option<String> {
    dialect::keepalive(dialect).map(|request| line(request, id, variant))
}

/// The opening and one share.
pub fn session(dialect: Dialect, variant: &Variant) -> Vec<String> {
    let mut lines = opening(dialect, variant);
    let id = u32::try_from(lines.len()).unwrap_or(u32::MAX).saturating_add(1);
    lines.push(submit(dialect, id, variant));
    lines
}

/// Adds id, decoys and line end to a request.
fn line(request: Node, id: u32, variant: &Variant) -> String {
    let id = match variant.ids {
        Ids::Number => Some(id.to_string()),
        Ids::String => Some(format!("\"auth-{id}\"")),
        Ids::Float => Some(format!("{id}.0")),
        Ids::Null => Some("null".to_owned()),
        Ids::Missing => None,
    };
    let mut members = Vec::new();
    if variant.padding > 0 {
        members.push(("pad".to_owned(), Node::Text("x".repeat(variant.padding))));
    }
    members.extend(id.map(|id| ("id".to_owned(), Node::Raw(id))));
    if variant.duplicate_method {
        members.push(("method".to_owned(), Node::Text("echo".to_owned())));
    }
    if let Node::Map(rest) = request {
        members.extend(rest);
    }
    let mut line = json::render(&Node::Map(members), variant);
    line.push_str(if variant.crlf { "\r\n" } else { "\n" });
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn variants() -> Vec<Variant> {
        let plain = Variant::default();
        vec![
            plain,
            Variant { reversed: true, ..plain },
            Variant { escapes: Escapes::All, spacing: Spacing::Wide, ..plain },
            Variant { escapes: Escapes::MethodChar, spacing: Spacing::Python, ..plain },
            Variant { escapes: Escapes::Keys, crlf: true, padding: 9000, ..plain },
            Variant { ids: Ids::Missing, leading: Leading::Blanks, ..plain },
            Variant { duplicate_method: true, leading: Leading::Decoy, ..plain },
        ]
    }

    #[test]
    fn every_spelling_means_the_same() {
        for dialect in Dialect::ALL {
            let methods = |variant: &Variant| -> Vec<String> {
                let lines = opening(dialect, variant);
                let values = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
                let named = values.map(|value| value["method"].as_str().unwrap().to_owned());
                named.filter(|method| method != "echo").collect()
            };
            for variant in variants() {
                assert_eq!(methods(&variant), methods(&Variant::default()), "{variant:?}");
            }
        }
    }

    #[test]
    fn xmrig_writes_its_members_in_the_real_order() {
        let lines = opening(Dialect::Xmrig, &Variant::default());
        let start = r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48"#;
        assert!(lines[0].starts_with(start), "{}", lines[0]);
        assert_eq!(WALLET.len(), 95);
        let escaped = Variant { escapes: Escapes::MethodChar, ..Variant::default() };
        assert!(opening(Dialect::Xmrig, &escaped)[0].contains(r#""logi\u006E""#));
    }
}
