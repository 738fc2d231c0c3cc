//! The compiled set against a naive reference, and the dialects' own words against both.

mod borders;
mod dialects;
mod errors;
mod framings;
mod http;
mod lines;
mod lookalikes;
mod naive;
mod properties;
mod writer;

use std::sync::LazyLock;

use super::{Compiled, embedded};

/// The built-in set, compiled once.
static BUILT_IN: LazyLock<Compiled> = LazyLock::new(|| embedded().unwrap());

/// What the built-in files may come to, so that users have room for theirs: figures of the run are
/// printed, the bounds of the datapath stand in `sentinel_common::limits`.
#[test]
fn the_built_in_set_leaves_room() {
    let stats = BUILT_IN.catalogue.stats();
    println!("{stats:?}");
    assert!(stats.states <= 2700, "{stats:?}");
    assert!(stats.classes <= 100, "{stats:?}");
    assert!(stats.tokens <= 56, "{stats:?}");
    assert!(stats.rules <= 100, "{stats:?}");
    assert_eq!(stats.rules, BUILT_IN.catalogue.rules().len());
}

#[test]
fn the_table_keeps_what_the_reader_relies_on() {
    use sentinel_common::lexer::{BEGIN, SILENT};
    use sentinel_common::limits::{MAX_STATES, SYMBOL_CLASSES};
    use sentinel_common::signature::ACCEPTS;
    let set = &BUILT_IN.signatures;
    assert_eq!(set.symbol_class[usize::from(SILENT)], 0);
    assert_eq!(set.accepts[0], 0);
    let begin = usize::from(set.symbol_class[usize::from(BEGIN)]);
    let first = set.next[begin];
    assert_eq!(first & ACCEPTS, 0, "a message's beginning accepts nothing");
    for state in 0..BUILT_IN.catalogue.stats().states {
        let row = &set.next[state * SYMBOL_CLASSES..][..SYMBOL_CLASSES];
        assert_eq!(row[begin], first, "a message begins in one state, from {state} too");
        let silent = usize::from(row[0]);
        assert_eq!(row[0] & ACCEPTS, 0, "silence accepts nothing, in {state} either");
        if set.accepts[state] == 0 {
            assert_eq!(silent, state);
        } else {
            let twin = &set.next[silent * SYMBOL_CLASSES..][..SYMBOL_CLASSES];
            assert_eq!(twin[1..], row[1..], "what follows does not depend on silence");
        }
        for &cell in row {
            let target = usize::from(cell & !ACCEPTS);
            assert!(target < MAX_STATES);
            assert_eq!(cell & ACCEPTS != 0, set.accepts[target] != 0);
        }
    }
}

#[test]
fn the_built_in_set_is_built_within_a_quarter_of_what_may_be() {
    use super::automaton::{LIMITS, Limits, dense_automaton};
    let files = super::EMBEDDED.iter().map(|(name, text)| super::file::parse(name, text).unwrap());
    let resolved = super::rules::resolve(&files.collect::<Vec<_>>()).unwrap();
    let builds = |limits: Limits| dense_automaton(&resolved.patterns, limits).is_ok();
    let quarter = |size: usize| size / 4;
    assert!(builds(Limits { nondeterministic: quarter(LIMITS.nondeterministic), ..LIMITS }));
    assert!(builds(Limits { determinising: quarter(LIMITS.determinising), ..LIMITS }));
    assert!(builds(Limits { deterministic: quarter(LIMITS.deterministic), ..LIMITS }));
}
