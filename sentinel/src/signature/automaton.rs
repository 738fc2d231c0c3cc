//! Patterns to a plain machine: one state after every symbol, and the tokens it stands for.

use std::collections::HashMap;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;
use sentinel_common::lexer::SILENT;
use sentinel_common::limits::MAX_TOKENS;

use super::budget::Bound;
use super::error::SignatureError;

/// Symbols: all values of a byte.
pub(super) const SYMBOLS: usize = 256;
/// How much may be built before a set is given up. Each bounds time as well, together to seconds: a
/// pattern from a user may be anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the machine before it is deterministic.
    pub(super) nondeterministic: usize,
    /// Bytes of what is needed to make it so.
    pub(super) determinising: usize,
    /// Bytes of the deterministic one.
    pub(super) deterministic: usize,
}

/// Four times what the built-in set needs, and more: a test keeps it so.
pub(super) const LIMITS: Limits = Limits {
    nondeterministic: 1024 * 1024,
    determinising: 4 * 1024 * 1024,
    deterministic: 8 * 1024 * 1024,
};

/// How many times as many states as there is room for may be there before equal ones are merged.
const SLACK: usize = 4;

/// A deterministic machine. State 0 is where a message begins.
pub(super) struct Machine {
    /// Row per state: the state after each symbol (or class of symbols).
    pub(super) next: Vec<Vec<u32>>,
    /// Tokens each state stands for.
    pub(super) accepts: Vec<u64>,
}

impl Machine {
    pub(super) fn states(&self) -> usize {
        self.accepts.len()
    }
}

/// Builds the machine for these patterns, one token each.
///
/// Two differences to `regex-automata`'s own automaton: a state stands for the patterns that end at
/// it (not one symbol later), and the silent symbol stays where it is, or, from a state that stands
/// for tokens, goes to a twin that does not, so that silence does not accept again.
pub(super) fn build(patterns: &[Hir]) -> Result<Machine, SignatureError> {
    let dfa = dense_automaton(patterns, LIMITS)?;
    let start = dfa
        .universal_start_state(Anchored::No)
        .ok_or_else(|| SignatureError::automaton("it has no single start"))?;
    let mut numbers = HashMap::from([(start, 0u32)]);
    let mut order = vec![start];
    let mut machine = Machine { next: Vec::new(), accepts: Vec::new() };
    let mut at = 0;
    while let Some(&state) = order.get(at) {
        Bound::States.check(order.len() / SLACK)?;
        let mut row = Vec::with_capacity(SYMBOLS);
        for symbol in 0..=u8::MAX {
            let target = if symbol == SILENT { state } else { dfa.next_state(state, symbol) };
            let number = *numbers.entry(target).or_insert_with(|| {
                order.push(target);
                order.len() as u32 - 1
            });
            row.push(number);
        }
        machine.next.push(row);
        machine.accepts.push(tokens_at(&dfa, state));
        at += 1;
    }
    add_silent_twins(&mut machine);
    Ok(machine)
}

pub(super) fn dense_automaton(
    patterns: &[Hir],
    limits: Limits,
) -> Result<dense::DFA<Vec<u32>>, SignatureError> {
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(thompson::WhichCaptures::None)
                .nfa_size_limit(Some(limits.nondeterministic)),
        )
        .build_many_from_hir(patterns)
        .map_err(SignatureError::automaton)?;
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Unanchored)
                .accelerate(false)
                .dfa_size_limit(Some(limits.deterministic))
                .determinize_size_limit(Some(limits.determinising)),
        )
        .build_from_nfa(&nfa)
        .map_err(SignatureError::automaton)
}

/// The patterns that end here: those that match when nothing follows.
fn tokens_at(dfa: &dense::DFA<Vec<u32>>, state: StateID) -> u64 {
    let end = dfa.next_eoi_state(state);
    if !dfa.is_match_state(end) {
        return 0;
    }
    (0..dfa.match_len(end))
        .map(|index| dfa.match_pattern(end, index).as_usize())
        .filter(|&pattern| pattern < MAX_TOKENS)
        .fold(0, |tokens, pattern| tokens | 1 << pattern)
}

fn add_silent_twins(machine: &mut Machine) {
    for state in 0..machine.states() {
        if machine.accepts.get(state).is_none_or(|&tokens| tokens == 0) {
            continue;
        }
        let twin = machine.states() as u32;
        let Some(row) = machine.next.get_mut(state) else { continue };
        if let Some(silent) = row.get_mut(usize::from(SILENT)) {
            *silent = twin;
        }
        let copy = row.clone();
        machine.next.push(copy);
        machine.accepts.push(0);
    }
}
