//! Signature sets swapped while the agent runs.

use std::mem::offset_of;
use std::net::SocketAddr;

use sentinel::config::ConfigFile;
use sentinel_common::event::Event;
use sentinel_common::verdict::Verdict;

use super::{Bench, Record, enforcing, of_kind};

/// A file of signatures with this method in its one rule.
fn signatures_for(method: &str) -> String {
    format!(
        "dialect = \"mine\"\n[[token]]\nname = \"id\"\nrole = \"key:id\"\n[[token]]\nname = \"hello\"\n\
         role = \"method\"\nequals = \"{method}\"\n[[rule]]\nname = \"{method}\"\nmessage = [\"hello\", \"id\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_swapped_and_a_bad_file_leaves_the_set_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let mut bench = Bench::start(Vec::new()).await;
    let built_in = bench.agent.status().signatures;
    assert_eq!((built_in.set, built_in.files.len()), (1, 0));
    let signatures = vec![folder.path().to_owned()];
    let config =
        || enforcing(ConfigFile { signatures: signatures.clone(), ..ConfigFile::default() });
    std::fs::write(&path, signatures_for("pool.hello")).unwrap();
    bench.agent.reload_changed(config()).await;
    let mine = bench.agent.status().signatures;
    assert_eq!((mine.set, mine.rules), (2, built_in.rules + 1));
    assert_ne!(mine.fingerprint, built_in.fingerprint);
    assert_eq!(bench.told.lock().unwrap().rules as usize, mine.rules);
    // The policy says what it said: no new generation.
    assert_eq!(bench.agent.status().generation, 1);
    // A rule for what honest services say too; a table that does not fit; no TOML at all.
    let greedy = signatures_for("initialize");
    let large = sentinel::signature::full::tokens(65);
    for (text, expected) in [
        (greedy.as_str(), "fires on honest traffic (language server"),
        (large.as_str(), "need "),
        ("dialect =", "mine.toml:1:10"),
    ] {
        std::fs::write(&path, text).unwrap();
        bench.agent.reload_changed(config()).await;
        let status = bench.agent.status();
        assert_eq!(status.signatures, mine, "the set before stays");
        let error = status.signature_error.unwrap();
        assert!(error.contains(expected) && error.contains("mine.toml"), "{error}");
    }
    assert_eq!(bench.told.lock().unwrap().sets, 2, "the kernel was told of none of them");
    let (_, text) = bench.get("/metrics").await;
    assert!(text.contains("sentinel_signature_load_failures_total 3\n"), "{text}");
    assert!(text.contains("sentinel_signature_set 2\n"), "{text}");
    assert!(text.contains(&format!("sentinel_signature_rules {}\n", mine.rules)), "{text}");
    // The old text again: in force already, so nothing is swapped.
    std::fs::write(&path, signatures_for("pool.hello")).unwrap();
    bench.agent.reload_changed(config()).await;
    let status = bench.agent.status();
    assert_eq!((status.signatures.set, status.signature_error), (2, None));
    assert_eq!(bench.told.lock().unwrap().sets, 2);
    std::fs::write(&path, signatures_for("pool.hello2")).unwrap();
    bench.agent.reload(config()).await;
    let status = bench.agent.status();
    assert_eq!((status.signatures.set, status.signature_error), (3, None));
    let lines = bench.eventually(|lines| of_kind(lines, "signatures").len() >= 7).await;
    let lines = of_kind(&lines, "signatures");
    let told: Vec<(&str, u64)> = lines
        .iter()
        .map(|line| (line["result"].as_str().unwrap(), line["set"].as_u64().unwrap()))
        .collect();
    let refused = ("refused", 2);
    let (first, mine, last) = (("applied", 1), ("applied", 2), ("applied", 3));
    assert_eq!(told, [first, mine, refused, refused, refused, mine, last]);
    assert!(lines[2]["error"].as_str().unwrap().contains("honest traffic"), "{}", lines[2]);
    bench.agent.stop().await;
}

/// A verdict keeps the rule of the set that it was passed by, whatever is in force when it is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_set_before_has_that_sets_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let mut bench = Bench::start(Vec::new()).await;
    let config = enforcing(ConfigFile {
        signatures: vec![path.clone()],
        builtin_signatures: Some(false),
        ..ConfigFile::default()
    });
    for method in ["one", "two"] {
        std::fs::write(&path, signatures_for(method)).unwrap();
        bench.agent.reload_changed(config.clone()).await;
    }
    for set in [3_u32, 2, 99] {
        let remote = SocketAddr::from(([192, 0, 2, 7], set as u16));
        let mut record = Record::stratum(Verdict::Audited, remote, remote);
        record.put(offset_of!(Event, signatures), &set.to_ne_bytes());
        record.put(offset_of!(Event, rule), &0_u32.to_ne_bytes());
        bench.send(record);
    }
    let lines = bench.eventually(|lines| of_kind(lines, "stratum").len() == 3).await;
    for line in of_kind(&lines, "stratum") {
        let rule = match line["dst"].as_str().unwrap() {
            "192.0.2.7:2" => Some("one"),
            "192.0.2.7:3" => Some("two"),
            _ => None,
        };
        assert_eq!(line["stratum"]["rule"].as_str(), rule, "{line}");
        assert_eq!(line["stratum"]["tokens"].as_array().unwrap().is_empty(), rule.is_none());
    }
    bench.agent.stop().await;
}
