//! Honest traffic that no rule may fire on.
//!
//! The samples (`sentinel/signatures/benign/*.txt`) are conversations in the protocols that share a
//! wire format with mining pools: JSON objects on a line or in a body. A rule that fires on one of
//! them would cut somebody's service, so it is refused when it is loaded.
//!
//! ```text
//! # a name for the conversation
//! > what the side that connects says, one line
//! < what the other side says
//! ```

use super::Compiled;
use super::error::SignatureError;
use super::reading::{opening, read_on};
use sentinel_common::flow::Direction;
use sentinel_common::signature::Signatures;

/// The samples that are part of this program: file name and text.
const SAMPLES: &[(&str, &str)] = &[
    ("rpc.txt", include_str!("../../signatures/benign/rpc.txt")),
    ("editors.txt", include_str!("../../signatures/benign/editors.txt")),
    ("wallets.txt", include_str!("../../signatures/benign/wallets.txt")),
    ("infrastructure.txt", include_str!("../../signatures/benign/infrastructure.txt")),
    ("logs.txt", include_str!("../../signatures/benign/logs.txt")),
    ("web.txt", include_str!("../../signatures/benign/web.txt")),
    ("messaging.txt", include_str!("../../signatures/benign/messaging.txt")),
];
/// Characters of a line that a message shows.
const SHOWN: usize = 120;

/// A line of a conversation: who said it, and what.
type Said<'a> = (Direction, &'a str);

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample<'a> {
    name: &'a str,
    lines: Vec<Said<'a>>,
}

/// Fails when a rule of this set fires on an honest conversation.
pub(super) fn check(set: &Compiled) -> Result<(), SignatureError> {
    for sample in SAMPLES.iter().flat_map(|(_, text)| samples(text)) {
        let Some((number, line)) = fires(&set.signatures, &sample) else { continue };
        let Some(rule) = set.catalogue.rule(number) else { continue };
        return Err(SignatureError::Benign {
            place: rule.place.clone(),
            rule: rule.name.clone(),
            sample: sample.name.to_owned(),
            line: shortened(line),
        });
    }
    Ok(())
}

fn samples(text: &str) -> Vec<Sample<'_>> {
    let mut samples: Vec<Sample<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            samples.push(Sample { name, lines: Vec::new() });
        } else if let (Some(said), Some(sample)) = (said(line), samples.last_mut()) {
            sample.lines.push(said);
        }
    }
    samples
}

fn said(line: &str) -> Option<Said<'_>> {
    let egress = line.strip_prefix("> ").map(|said| (Direction::Egress, said));
    egress.or_else(|| line.strip_prefix("< ").map(|said| (Direction::Ingress, said)))
}

/// The first rule that a conversation completes, and the line that does it.
fn fires<'a>(signatures: &Signatures, sample: &Sample<'a>) -> Option<(u32, &'a str)> {
    let mut client = opening();
    let mut server = opening();
    sample.lines.iter().find_map(|&(direction, line)| {
        let (reader, peer) = match direction {
            Direction::Egress => (&mut client, server.said),
            Direction::Ingress => (&mut server, client.said),
        };
        let found = read_on(reader, signatures, peer, line.as_bytes());
        let found = found.or_else(|| read_on(reader, signatures, peer, b"\n"));
        found.map(|found| (found.rule, line))
    })
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= SHOWN {
        return line.to_owned();
    }
    line.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{compile, embedded};
    use super::*;

    #[test]
    fn every_line_of_the_corpus_is_a_message_and_is_read_to_its_end() {
        let set = embedded().unwrap();
        let (mut lines, mut names) = (0, HashSet::new());
        for (file, text) in SAMPLES {
            for line in text.lines().filter(|line| !line.is_empty()) {
                assert!(line.starts_with("# ") || said(line).is_some(), "{file}: {line}");
            }
            for sample in samples(text) {
                assert!(names.insert(sample.name), "{file}: {} is there twice", sample.name);
                assert!(!sample.lines.is_empty(), "{file}: {}", sample.name);
                for (_, line) in sample.lines {
                    let parsed = serde_json::from_str::<serde_json::Value>(line);
                    assert!(parsed.is_ok(), "{file}: {parsed:?}: {line}");
                    let mut reader = opening();
                    assert_eq!(read_on(&mut reader, &set.signatures, 0, line.as_bytes()), None);
                    let opens = line.starts_with('{') || line.starts_with("[{");
                    assert_eq!(reader.is_stopped(), !opens, "{file}: {line}");
                    lines += 1;
                }
            }
        }
        assert!(lines >= 300 && names.len() >= 150, "{lines} lines, {} samples", names.len());
    }

    #[test]
    fn the_built_in_rules_leave_honest_traffic_alone() {
        assert_eq!(check(&embedded().unwrap()), Ok(()));
    }

    #[test]
    fn a_rule_that_would_cut_a_service_is_refused_with_the_message_it_fires_on() {
        for (token, other) in [
            ("role = \"method\"\nequals = \"login\"", "key:params.login"),
            ("role = \"method\"\nequals = \"initialize\"", "key:params.capabilities"),
            ("role = \"key:jsonrpc\"", "key:result"),
        ] {
            let text = format!(
                "dialect = \"d\"\n[[token]]\nname = \"a\"\n{token}\n[[token]]\nname = \"b\"\nrole = \"{other}\"\n[[rule]]\nname = \"greedy\"\nmessage = [\"a\", \"b\"]\n"
            );
            let set = compile(&[("mine.toml", &text)]).unwrap();
            let error = check(&set).unwrap_err().to_string();
            assert!(error.starts_with("mine.toml:"), "{error}");
            assert!(error.contains("rule \"greedy\" fires on honest traffic ("), "{error}");
        }
    }

    #[test]
    fn both_sides_of_a_conversation_count() {
        let text = "dialect = \"d\"\n[[token]]\nname = \"a\"\nrole = \"method\"\nequals = \"textDocument/hover\"\n[[token]]\nname = \"b\"\nrole = \"key:result.contents\"\n[[rule]]\nname = \"r\"\nmessage = [\"b\"]\npeer = [\"a\"]\n";
        let set = compile(&[("mine.toml", text)]).unwrap();
        assert!(matches!(check(&set), Err(SignatureError::Benign { .. })));
    }
}
