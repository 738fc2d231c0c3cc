//! The committed corpora, the seeds and every crash that was found, as plain tests.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::PathBuf;

use sentinel_fuzz::{TARGETS, seeds, signature_file, target};

fn folder(kind: &str, target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

fn inputs(kind: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder(kind, target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Runs a target over all that is known; a panic names the file first.
fn holds(name: &str) {
    let target = target(name).unwrap();
    let corpus = inputs("corpus", name);
    assert!(!corpus.is_empty(), "{name} has no corpus: run `cargo xtask fuzz --bless`");
    for (path, data) in corpus.into_iter().chain(inputs("crashes", name)) {
        let outcome = std::panic::catch_unwind(|| (target.run)(&data));
        assert!(outcome.is_ok(), "{} breaks `{name}`: see above", path.display());
    }
    let seeds = seeds::of(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.iter().for_each(|seed| (target.run)(seed));
}

#[test]
fn packet() {
    holds("packet");
}

#[test]
fn stream() {
    holds("stream");
}

#[test]
fn pcap() {
    holds("pcap");
}

#[test]
fn signature_file() {
    holds("signature-file");
}

#[test]
fn name() {
    holds("name");
}

#[test]
fn decode() {
    holds("decode");
}

#[test]
fn dns() {
    holds("dns");
}

#[test]
fn every_target_has_a_test_of_its_name() {
    let here = include_str!("corpus.rs");
    for target in TARGETS {
        assert!(here.contains(&format!("holds(\"{}\")", target.name)), "{}", target.name);
    }
}

#[test]
fn every_crash_has_its_sentence() {
    for target in TARGETS {
        for (path, _) in inputs("crashes", target.name) {
            let why = fs::read_to_string(path.with_extension("md")).unwrap_or_default();
            assert!(!why.trim().is_empty(), "{} has no .md beside it", path.display());
        }
    }
}

/// The comparison of signature files is worth something only where the naive reader has a say.
#[test]
fn seeds_of_signature_files_are_compared() {
    let said: Vec<Option<bool>> =
        seeds::signature_files().iter().map(|seed| signature_file::check(seed)).collect();
    assert_eq!(said, [Some(true), Some(true), Some(true), Some(false)]);
}
