//! The fixtures through the real program by BPF_PROG_TEST_RUN: what the kernel's reader says of a
//! packet is what the host's says, packet by packet.

mod million;
mod policies;
mod swap;

use std::process::ExitCode;
use std::sync::{LazyLock, Mutex};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use sentinel::datapath::KernelEngine;
use sentinel::replay::{Engine, FlowId, HostEngine, MODES};
use sentinel::signature::Compiled;
use sentinel_common::flow::Direction;
use sentinel_common::inspect::Start;
use sentinel_common::verdict::Verdict;
use sentinel_tests::packets::Segment;
use sentinel_tests::transcript::{self, Dialect, Escapes, Ids, Leading, Spacing, Variant};

static COMPILED: LazyLock<Compiled> =
    LazyLock::new(|| sentinel::signature::embedded().expect("the built-in signatures compile"));
/// One load serves all tests: it is the expensive part.
static KERNEL: LazyLock<Mutex<Result<(KernelEngine, FlowId)>>> = LazyLock::new(|| {
    Mutex::new(
        KernelEngine::new(&COMPILED.signatures).map(|engine| (engine, 0)).map_err(Into::into),
    )
});

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for &dialect in Dialect::all() {
        for (name, variant) in variants() {
            let of = move |test: &str| format!("{}/{name}/{test}", dialect.name());
            trials.push(trial(of("every_split"), move || every_split(dialect, &variant)));
            trials.push(trial(of("bytes"), move || bytes(dialect, &variant, v4)));
        }
        let name = format!("{}/v6", dialect.name());
        trials.push(trial(name, move || bytes(dialect, &Variant::default(), v6)));
        let again = format!("{}/retransmitted", dialect.name());
        trials.push(trial(again, move || retransmitted(dialect)));
    }
    trials.push(trial("quotations_pass".into(), quotations_pass));
    trials.push(trial("a_gap_resets_honestly".into(), a_gap_resets_honestly));
    trials.push(trial("random_streams_agree".into(), random_streams_agree));
    trials.push(trial("swap/a_thousand_swaps".into(), swap::a_thousand_swaps));
    trials.push(trial("swap/full_tables_read".into(), swap::full_tables_read));
    let policies = policies::meaning_explain_and_kernel_agree;
    trials.push(trial("policies/meaning_explain_and_kernel_agree".into(), policies));
    trials.push(trial("a_million_packets_agree".into(), million::a_million_packets_agree));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that is skipped by name without root.
fn trial(name: String, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let root = rustix::process::geteuid().is_root();
    let name = if root { name } else { format!("{name} (needs root)") };
    let run = move || test().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(name, run).with_ignored_flag(!root)
}

fn variants() -> Vec<(&'static str, Variant)> {
    let plain = Variant::default();
    vec![
        ("plain", plain),
        ("reversed", Variant { reversed: true, ..plain }),
        ("escapes", Variant { escapes: Escapes::All, ..plain }),
        ("spaces", Variant { spacing: Spacing::Wide, ..plain }),
        ("string_ids", Variant { ids: Ids::String, ..plain }),
        ("null_ids", Variant { ids: Ids::Null, ..plain }),
        ("bom", Variant { leading: Leading::Bom, ..plain }),
        ("newlines", Variant { leading: Leading::Newlines, ..plain }),
        ("crlf", Variant { crlf: true, ..plain }),
    ]
}

type Wrap = fn(&Segment<'_>) -> Vec<u8>;

fn v4(segment: &Segment<'_>) -> Vec<u8> {
    segment.over_v4()
}

fn v6(segment: &Segment<'_>) -> Vec<u8> {
    segment.over_v6()
}

/// Both engines on one new flow, packet by packet: the verdicts, which must be the same.
fn verdicts(segments: &[(u32, &[u8])], wrap: Wrap) -> Result<Vec<Verdict>> {
    let mut guard = KERNEL.lock().map_err(|_| anyhow::anyhow!("another test panicked"))?;
    let (kernel, flow) = guard.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    *flow += 1;
    let mut host = HostEngine::new(&COMPILED.signatures, MODES);
    let mut verdicts = Vec::new();
    for (index, &(sequence, payload)) in segments.iter().enumerate() {
        let packet = wrap(&Segment::data(sequence, payload));
        let start = if index == 0 { Start::First } else { Start::Later };
        let judge = |engine: &mut dyn Engine| {
            let outcome = engine.packet(*flow, Direction::Egress, &packet, start);
            outcome.map_err(|error| anyhow::anyhow!("{}: {error}", engine.name()))
        };
        let (here, there) = (judge(&mut host)?, judge(kernel)?);
        ensure!(here == there, "packet {index} ({payload:?}): host {here:?}, kernel {there:?}");
        verdicts.push(there.verdict);
    }
    kernel.forget(*flow);
    Ok(verdicts)
}

/// A session's requests: none of its packets from the completing one on may pass.
fn request(dialect: Dialect, variant: &Variant) -> Result<Vec<u8>> {
    let lines = transcript::session(dialect, variant);
    Ok(lines.concat().into_bytes()).and_then(|line: Vec<u8>| {
        ensure!(!line.is_empty(), "{} says nothing", dialect.name());
        Ok(line)
    })
}

fn every_split(dialect: Dialect, variant: &Variant) -> Result<()> {
    let line = request(dialect, variant)?;
    for at in 1..line.len() {
        let (front, back) = line.split_at(at);
        let verdicts = verdicts(&[(1, front), (1 + at as u32, back)], v4)?;
        ensure!(verdicts.last() == Some(&Verdict::Blocked), "split at {at} went through");
    }
    Ok(())
}

fn bytes(dialect: Dialect, variant: &Variant, wrap: Wrap) -> Result<()> {
    let line = request(dialect, variant)?;
    let segments: Vec<(u32, &[u8])> = (1..).zip(line.chunks(1)).collect();
    let verdicts = verdicts(&segments, wrap)?;
    let blocked = verdicts.iter().position(|verdict| *verdict == Verdict::Blocked);
    let blocked = blocked.context("byte by byte went through")?;
    let passed = line.get(..blocked).unwrap_or(&[]);
    let complete = passed
        .split_inclusive(|byte| *byte == b'\n')
        .any(|line| line.ends_with(b"\n") && !line.trim_ascii().is_empty());
    ensure!(!complete, "a whole request passed: {}", String::from_utf8_lossy(passed));
    ensure!(
        verdicts.iter().skip(blocked).all(|verdict| *verdict == Verdict::Blocked),
        "a packet passed after the verdict"
    );
    Ok(())
}

/// Bytes that were read are not read twice, whatever they say the second time.
fn retransmitted(dialect: Dialect) -> Result<()> {
    let line = request(dialect, &Variant::default())?;
    let half = 12;
    let (front, back) = line.split_at(half);
    let noise = vec![b'x'; half];
    let overlap: Vec<u8> = noise.iter().chain(back).copied().collect();
    let verdicts = verdicts(&[(1, front), (1, &noise), (1, &overlap)], v4)?;
    ensure!(verdicts == [Verdict::Allowed, Verdict::Allowed, Verdict::Blocked], "{verdicts:?}");
    Ok(())
}

fn quotations_pass() -> Result<()> {
    let request = r#"{"id":1,"method":"mining.subscribe","params":["cgminer/4.10"]}"#;
    let quoted = serde_json::to_string(request)?;
    let texts = [
        format!("{{\"level\":\"info\",\"message\":{quoted}}}\n"),
        format!("{{\"message\":{quoted},\"method\":\"POST\",\"id\":1}}\n"),
        format!("<html><pre>{request}</pre></html>"),
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{request}</p>"),
        format!("2026-11-23 pool said {request}\n"),
        format!("{{\"params\":[{quoted}],\"id\":1,\"method\":\"log.append\"}}\n"),
        "{\"mining.subscribe\":\"method\",\"id\":1,\"params\":[\"mining.subscribe\"]}\n".to_owned(),
        "{\"id\":1,\"params\":{\"method\":\"mining.subscribe\"}}\n".to_owned(),
    ];
    for text in &texts {
        let segments: Vec<(u32, &[u8])> = (1..).zip(text.as_bytes().chunks(1)).collect();
        let verdicts = verdicts(&segments, v4)?;
        ensure!(verdicts.iter().all(|verdict| *verdict == Verdict::Allowed), "blocked: {text}");
    }
    Ok(())
}

fn a_gap_resets_honestly() -> Result<()> {
    let opening = br#"{"id":1,"method":"mini"#;
    let after = br#"ng.subscribe","params":[]}"#;
    // Ten bytes are missing between them: the word must not be joined over the gap.
    let verdicts_over_gap = verdicts(&[(1, opening), (1 + 10 + opening.len() as u32, after)], v4)?;
    ensure!(verdicts_over_gap.iter().all(|verdict| *verdict == Verdict::Allowed));
    let next = b"\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[]}\n";
    let verdicts_after =
        verdicts(&[(1, opening), (500, after), (500 + after.len() as u32, next)], v4)?;
    ensure!(verdicts_after.last() == Some(&Verdict::Blocked), "the next line was not read");
    Ok(())
}

/// Streams made of the lexer's hard bytes, cut anywhere: 2,000 of them, from a fixed seed.
fn random_streams_agree() -> Result<()> {
    let words: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\\",
        b"\\u006d",
        b"\n",
        b"\"method\":",
        b"\"mining.subscribe\"",
        b"\"id\":1",
        b"\"params\":[]",
        b" ",
        b"\xef\xbb\xbf",
    ];
    let mut seed = 0x5eed_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for _ in 0..2_000 {
        let mut stream = b"{".to_vec();
        for _ in 0..next(24) {
            stream.extend_from_slice(words.get(next(words.len())).copied().unwrap_or(b"{"));
        }
        let mut segments: Vec<(u32, &[u8])> = Vec::new();
        let mut at = 0;
        while let Some(rest) = stream.get(at..).filter(|rest| !rest.is_empty()) {
            let len = (1 + next(40)).min(rest.len());
            segments.push((1 + at as u32, rest.get(..len).unwrap_or(rest)));
            at += len;
        }
        verdicts(&segments, v4)?;
    }
    Ok(())
}
