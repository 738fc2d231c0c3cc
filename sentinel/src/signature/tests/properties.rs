//! Whatever the way a transcript is written and cut, the reader says what the naive one says.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::reading::{Found, read_all};
use super::BUILT_IN;
use super::naive::Naive;
use super::writer::{Choices, stream};

static NAIVE: LazyLock<Naive> = LazyLock::new(Naive::new);

const WALLET: &str = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD";
const HASH: &str = "e1364b8782719d7683e2ccd3d8f724bc59dfa780a9e960e7c0e0046acdb40100";
const KEYS: &[&str] = &[
    "id",
    "method",
    "params",
    "result",
    "error",
    "login",
    "pass",
    "agent",
    "algo",
    "job",
    "job_id",
    "blob",
    "target",
    "nonce",
    "proto",
    "rigid",
    "x",
    "methods",
    "param",
    "algo-perf",
    "jsonrpc",
];
const TEXTS: &[&str] = &[
    "mining.subscribe",
    "mining.authorize",
    "mining.notify",
    "mining.submit",
    "mining.hello",
    "login",
    "submit",
    "job",
    "keepalived",
    "eth_submitLogin",
    "eth_getWork",
    "EthereumStratum/1.0.0",
    "EthereumStratum/2.0.0",
    WALLET,
    HASH,
    "XMRig/6.22.2 (Linux x86_64)",
    "rx/0",
    "cn",
    "x",
    "",
    "mining.subscrib",
    "mining.subscribe ",
    "Mining.Subscribe",
    "\"method\":\"mining.subscribe\"",
    "a\nb",
    "caf\u{e9}\u{1f600}",
    "wallet",
    "method",
    "params",
    "curl/8.0",
    "2.0",
    "\u{1}",
];

fn text() -> impl Strategy<Value = Value> {
    prop::sample::select(TEXTS).prop_map(|text| json!(text))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => "[a-z]{0,3}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text(),
        1 => any::<i32>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|bool| json!(bool)),
        1 => Just(Value::Null),
        1 => Just(json!(-1.5e3)),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..5).prop_map(object),
        ]
    })
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}

/// Messages in the shape of requests, so that rules come close to being complete and often are.
fn message() -> impl Strategy<Value = Value> {
    let request = (text(), value(), prop::option::of(value()), prop::option::of(value())).prop_map(
        |(method, params, id, other)| {
            let mut members = Map::new();
            members.insert("method".to_owned(), method);
            members.insert("params".to_owned(), params);
            members.extend(id.map(|id| ("id".to_owned(), id)));
            members.extend(other.map(|other| ("result".to_owned(), other)));
            Value::Object(members)
        },
    );
    prop_oneof![2 => request, 1 => prop::collection::vec((key(), value()), 0..6).prop_map(object)]
}

/// Where the message with this index lies, as bytes behind its end.
fn check_place(found: Found, ends: &[usize], index: usize) -> Result<(), TestCaseError> {
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    prop_assert!(found.bytes > start, "{found:?} lies before message {index}");
    prop_assert!(
        found.bytes < ends[index],
        "{found:?} lies at the end of message {index} or behind"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_naive_reader_reads(
        messages in prop::collection::vec(message(), 1..4),
        numbers in prop::collection::vec(any::<u16>(), 1..64),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (bytes, ends) = stream(&messages, &mut Choices::new(&numbers));
        let expected = NAIVE.first_match(&messages);
        let whole = read_all(&BUILT_IN.signatures, [bytes.as_slice()]);
        prop_assert_eq!(whole.is_some(), expected.is_some(), "{}", String::from_utf8_lossy(&bytes));
        if let (Some(found), Some(index)) = (whole, expected) {
            check_place(found, &ends, index)?;
        }
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        places.push(bytes.len());
        let mut start = 0;
        let pieces = places.into_iter().map(|end| {
            let piece = &bytes[start..end];
            start = end;
            piece
        });
        prop_assert_eq!(read_all(&BUILT_IN.signatures, pieces), whole);
        prop_assert_eq!(read_all(&BUILT_IN.signatures, bytes.chunks(1)), whole);
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let whole = read_all(&BUILT_IN.signatures, [bytes.as_slice()]);
        prop_assert_eq!(read_all(&BUILT_IN.signatures, bytes.chunks(1)), whole);
    }

    #[test]
    fn quoting_is_not_saying(
        messages in prop::collection::vec(message(), 1..3),
        numbers in prop::collection::vec(any::<u16>(), 1..32),
    ) {
        let (inner, _) = stream(&messages, &mut Choices::new(&numbers));
        let log = json!({ "level": "info", "text": String::from_utf8_lossy(&inner), "methods": [] });
        let (bytes, _) = stream(&[log], &mut Choices::new(&numbers));
        prop_assert_eq!(read_all(&BUILT_IN.signatures, [bytes.as_slice()]), None);
        for prefix in [b"2026-11-23 pool said: ".as_slice(), b"GET / HTTP/1.1\r\n\r\nsee ", b"x"] {
            let text = [prefix, &inner].concat();
            prop_assert_eq!(read_all(&BUILT_IN.signatures, [text.as_slice()]), None);
        }
    }
}
