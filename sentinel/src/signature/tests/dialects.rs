//! The dialects in their own words: every opening there is, in every key order and every split.

use serde_json::{Map, Value};

use super::super::reading::{Found, most_specific, read_all, read_on};
use super::BUILT_IN;
use super::lines::{HASH, LINES, WALLET};
use sentinel_common::stream::Reader;

fn lines() -> impl Iterator<Item = (&'static str, String)> {
    let written = |line: &str| line.replace("WALLET", WALLET).replace("HASH", HASH);
    LINES.iter().map(move |(dialect, line)| (*dialect, written(line)))
}

fn read(bytes: &[u8]) -> Option<Found> {
    read_all(&BUILT_IN.signatures, [bytes])
}

#[test]
fn every_request_is_cut_before_its_last_byte() {
    for (dialect, line) in lines() {
        let found = read(line.as_bytes()).unwrap_or_else(|| panic!("{line} is not read"));
        assert!(found.bytes < line.len(), "{line} is read too late");
        let rule = most_specific(&BUILT_IN.signatures, found.rule, line.as_bytes());
        assert_eq!(BUILT_IN.catalogue.rule(rule).unwrap().dialect, dialect, "{line}");
    }
}

#[test]
fn every_split_gives_the_same() {
    for (_, line) in lines() {
        let (bytes, whole) = (line.as_bytes(), read(line.as_bytes()));
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(
                read_all(&BUILT_IN.signatures, [before, after]),
                whole,
                "{line} cut at {cut}"
            );
        }
        assert_eq!(read_all(&BUILT_IN.signatures, bytes.chunks(1)), whole, "{line} byte by byte");
    }
}

#[test]
fn every_key_order_is_cut_before_its_last_byte() {
    for (_, line) in lines() {
        let value: Value = serde_json::from_str(&line).unwrap();
        for text in orders(&value) {
            let found = read(text.as_bytes()).unwrap_or_else(|| panic!("{text} is not read"));
            assert!(found.bytes < text.len(), "{text} is read too late");
        }
    }
}

/// The value written with its members in every order; those of objects below likewise.
fn orders(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => object_orders(members),
        other => vec![other.to_string()],
    }
}

fn object_orders(members: &Map<String, Value>) -> Vec<String> {
    let mut written = vec![(Vec::<String>::new(), Vec::<&String>::new())];
    for _ in 0..members.len() {
        let mut longer = Vec::new();
        for (texts, used) in written {
            for (key, member) in members.iter().filter(|(key, _)| !used.contains(key)) {
                // A member's own orders are tried once, in first place: not multiplied out.
                let inner = orders(member);
                let inner =
                    if used.is_empty() { inner } else { inner.into_iter().take(1).collect() };
                for text in inner {
                    let mut texts = texts.clone();
                    texts.push(format!("{}:{text}", Value::from(key.as_str())));
                    let used = used.iter().copied().chain([key]).collect();
                    longer.push((texts, used));
                }
            }
        }
        written = longer;
    }
    written.into_iter().map(|(texts, _)| format!("{{{}}}", texts.join(","))).collect()
}

#[test]
fn the_same_key_twice_hides_nothing() {
    for line in [
        r#"{"id":1,"method":"echo","method":"mining.subscribe","params":[]}"#,
        r#"{"id":1,"method":"mining.subscribe","method":"echo","params":[]}"#,
        r#"{"method":"echo","params":[]} {"method":"mining.subscribe","params":[]}"#,
        "{\"x\":\"\n{\"method\":\"mining.subscribe\",\"params\":[]}",
    ] {
        assert!(read(line.as_bytes()).is_some(), "{line}");
    }
}

#[test]
fn a_bare_login_is_cut_at_the_pool_answer() {
    let mut miner = Reader::at_start(0);
    let mut pool = Reader::at_start(0);
    let set = &BUILT_IN.signatures;
    let login = br#"{"id":1,"method":"login","params":{"login":"me","pass":"p"}}"#;
    let answer = br#"{"id":1,"result":{"id":"1","job":{"job_id":"q","blob":"10"}}}"#;
    assert_eq!(read_on(&mut miner, set, 0, login), None);
    let found = read_on(&mut pool, set, miner.said, answer).unwrap();
    assert_eq!(BUILT_IN.catalogue.rule(found.rule).unwrap().name, "job-after-login");
    assert_eq!(read(answer), None, "an answer to nobody's login");
}

#[test]
fn names_are_given_back() {
    let mut reader = Reader::at_start(0);
    read_on(&mut reader, &BUILT_IN.signatures, 0, br#"{"id":1,"method":"login"}"#);
    let names = BUILT_IN.catalogue.tokens().iter().enumerate();
    let names = names.filter(|(bit, _)| reader.said >> bit & 1 == 1);
    let names: Vec<&str> = names.map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["envelope", "method-login"]);
}
