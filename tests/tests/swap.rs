//! Signature sets swapped while packets are judged, and sets that fill a table to its last cell, in the
//! kernel's own reader.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use sentinel::datapath::{Judge, KernelEngine};
use sentinel::replay::FlowId;
use sentinel::signature::{Compiled, compile, full};
use sentinel_common::flow::{Direction, Flow};
use sentinel_common::inspect::Start;
use sentinel_common::limits::{MAX_RULES, MAX_STATES, MAX_TOKENS, SYMBOL_CLASSES};
use sentinel_tests::packets::Segment;

/// How often the set is replaced.
const SWAPS: u32 = 1_000;
/// Threads that judge meanwhile.
const JUDGES: u32 = 2;
/// Flows are numbered from here, so that those of other tests are not met.
const FLOWS: FlowId = 1_000_000;

/// A set with one rule that can be fulfilled, and traps: token bits that the other set gives to its
/// words stand here for words that nobody says, and each pair of them is a rule. Half a set of each
/// would fire a trap.
fn set(words: [&str; 2], first_bit: usize, padding: usize) -> Result<Compiled> {
    let mut text = "dialect = \"swap\"\n".to_owned();
    let mut names = Vec::new();
    for bit in 0..8_usize {
        let word = match bit.checked_sub(first_bit) {
            Some(index @ 0..2) => words.get(index).copied().unwrap_or_default().to_owned(),
            _ => format!("never-{}-{bit}", "x".repeat(padding)),
        };
        text += &format!("[[token]]\nname = \"t{bit}\"\nrole = \"key:{word}\"\n");
        names.push(format!("t{bit}"));
    }
    for (index, one) in names.iter().enumerate() {
        for (further, other) in names.iter().enumerate().skip(index + 1) {
            let is_rule = (index, further) == (first_bit, first_bit + 1);
            let name = if is_rule { "rule".to_owned() } else { format!("trap-{index}-{further}") };
            text += &format!("[[rule]]\nname = \"{name}\"\nmessage = [\"{one}\", \"{other}\"]\n");
        }
    }
    compile(&[("swap.toml", &text)]).context("the set does not compile")
}

fn rule_of(set: &Compiled) -> Result<u32> {
    let number = set.catalogue.rules().iter().position(|rule| rule.name == "rule");
    number.and_then(|number| u32::try_from(number).ok()).context("the set has no rule")
}

/// What the judges count.
#[derive(Default)]
struct Seen {
    flows: AtomicU64,
    by_first: AtomicU64,
    by_second: AtomicU64,
    across: AtomicU64,
}

/// Every flow says both sets' words, in pieces, around long strings. Whatever set a packet meets, the
/// verdict must be that of the whole set whose number the flow carries.
pub(crate) fn a_thousand_swaps() -> Result<()> {
    let (first, second) = (set(["alpha", "beta"], 0, 3)?, set(["gamma", "delta"], 4, 40)?);
    let rules = [rule_of(&first)?, rule_of(&second)?];
    ensure!(rules.first() != rules.last(), "one number for both rules proves nothing");
    let mut engine = KernelEngine::new(&first.signatures)?;
    let judges: Vec<Judge> = (0..JUDGES).map(|_| engine.judge()).collect::<Result<_, _>>()?;
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    // Number 1 is the first set's; from there on odd numbers are.
    let newest = AtomicU32::new(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = judges
            .into_iter()
            .zip(0..)
            .map(|(judge, index)| {
                let (seen, stop, newest) = (&seen, &stop, &newest);
                scope.spawn(move || judge_until(judge, index, rules, seen, stop, newest))
            })
            .collect();
        let mut swap = || -> Result<()> {
            for number in 2..2 + SWAPS {
                let next = if number % 2 == 1 { &first } else { &second };
                newest.store(number, Ordering::SeqCst);
                ensure!(engine.swap(&next.signatures)? == number, "a number was left out");
            }
            Ok(())
        };
        let swapped = swap();
        stop.store(true, Ordering::SeqCst);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a judge panicked"))??;
        }
        swapped
    })?;
    let figures = [&seen.flows, &seen.by_first, &seen.by_second, &seen.across]
        .map(|figure| figure.load(Ordering::SeqCst));
    eprintln!("flows, by the first set, by the second, across a swap: {figures:?}");
    ensure!(figures.iter().all(|&figure| figure > 0), "not everything was tried: {figures:?}");
    Ok(())
}

fn judge_until(
    mut judge: Judge,
    index: u32,
    rules: [u32; 2],
    seen: &Seen,
    stop: &AtomicBool,
    newest: &AtomicU32,
) -> Result<()> {
    let long = "y".repeat(700);
    // Both sets' words, so that whichever is in force has its rule in the last piece.
    let pieces = [
        format!("{{\"alpha\":1,\"gamma\":\"{long}\","),
        format!("\"pad\":\"{long}\",\"never\":\"alpha\","),
        "\"beta\":1,\"delta\":2}\n".to_owned(),
    ];
    let mut flow = FLOWS * (index + 1);
    while !stop.load(Ordering::SeqCst) {
        flow += 1;
        judge.open(flow)?;
        let mut sequence = 1;
        let mut tables = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let packet = Segment::data(sequence, piece.as_bytes()).over_v4();
            let start = if number == 0 { Start::First } else { Start::Later };
            let state = judge.run(flow, Direction::Egress, start, &packet)?;
            let newest = newest.load(Ordering::SeqCst);
            tables.push(check(&state, rules, newest, &tables, number + 1 == pieces.len())?);
            sequence += piece.len() as u32;
        }
        judge.forget(flow)?;
        seen.flows.fetch_add(1, Ordering::Relaxed);
        let figure = match tables.as_slice() {
            [one, two, three] if one == two && two == three => {
                if one % 2 == 1 {
                    &seen.by_first
                } else {
                    &seen.by_second
                }
            }
            _ => &seen.across,
        };
        figure.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// The number of the table that read a packet, after everything about its verdict is as it must be.
fn check(state: &Flow, rules: [u32; 2], newest: u32, before: &[u32], is_last: bool) -> Result<u32> {
    let [egress, _] = &state.readers;
    let table = egress.table();
    ensure!(table <= newest, "a table of the future: {table} of {newest}");
    let words = || format!("tables {before:?} then {table}: {state:?}");
    if state.rule == Flow::NO_RULE {
        let whole = is_last && before.iter().all(|&earlier| earlier == table);
        ensure!(!whole, "the rule was missed, {}", words());
        return Ok(table);
    }
    ensure!(
        u32::from(state.signatures) == table,
        "the verdict's set is not the reader's, {}",
        words()
    );
    let [first, second] = rules;
    let expected = if table % 2 == 1 { first } else { second };
    ensure!(
        u32::from(state.rule) == expected,
        "rule {} is none of its set, {}",
        state.rule,
        words()
    );
    ensure!(is_last && before.iter().all(|&earlier| earlier == table), "too early, {}", words());
    Ok(table)
}

/// A set that fills a table to its last cell reads in the kernel as it does here.
pub(crate) fn full_tables_read() -> Result<()> {
    let cases = [
        ("tokens", full::tokens(MAX_TOKENS), full::saying_tokens(MAX_TOKENS)),
        ("rules", full::rules(MAX_RULES), full::saying_rule(MAX_RULES - 1)),
        ("states", full::states(MAX_STATES), full::saying_states(MAX_STATES)),
        ("classes", full::classes(SYMBOL_CLASSES), full::saying_classes()),
    ];
    let empty = compile(&[])?;
    let mut engine = KernelEngine::new(&empty.signatures)?;
    for (flow, (name, text, message)) in (FLOWS..).step_by(2).zip(cases) {
        let set = compile(&[("full.toml", &text)])?;
        let stats = set.catalogue.stats();
        let used = [stats.tokens, stats.rules, stats.states, stats.classes];
        let room = [MAX_TOKENS, MAX_RULES, MAX_STATES, SYMBOL_CLASSES];
        ensure!(used.iter().zip(room).any(|(used, room)| *used == room), "{name}: {stats:?}");
        let here = sentinel::signature::reading::read_all(&set.signatures, [message.as_slice()]);
        let here = here.with_context(|| format!("{name}: the host finds nothing"))?;
        engine.swap(&set.signatures)?;
        let mut say = |flow: FlowId, message: &[u8]| -> Result<u32> {
            let (mut sequence, mut rule) = (1, Flow::NO_RULE);
            for piece in message.chunks(1_000) {
                let packet = Segment::data(sequence, piece).over_v4();
                let start = if sequence == 1 { Start::First } else { Start::Later };
                rule = engine.run(flow, Direction::Egress, start, &packet)?.rule;
                sequence += piece.len() as u32;
            }
            Ok(u32::from(rule))
        };
        ensure!(say(flow, &message)? == here.rule, "{name}: the kernel says something else");
        // One byte of it another, and it is nothing.
        let at = here.bytes - 2;
        let other: Vec<u8> = message
            .iter()
            .enumerate()
            .map(|(index, &byte)| if index == at { b'~' } else { byte })
            .collect();
        ensure!(say(flow + 1, &other)? != here.rule, "{name}: half of it is enough");
    }
    Ok(())
}
