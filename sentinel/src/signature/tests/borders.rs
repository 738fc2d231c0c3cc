//! Exactly full is taken, one more is refused and says who is to blame; and no pattern, however
//! hostile, takes more than seconds.

use std::time::Duration;

use sentinel_common::limits::{MAX_RULES, MAX_STATES, MAX_TOKENS, SYMBOL_CLASSES};

use super::super::reading::read_all;
use super::super::{Source, assemble, compile, full};

fn source(text: String) -> Source {
    Source { name: "mine.toml".to_owned(), text }
}

fn refused(text: String) -> String {
    assemble(&[source(text)], false).err().unwrap().to_string()
}

#[test]
fn tokens() {
    let set = compile(&[("mine.toml", &full::tokens(MAX_TOKENS))]).unwrap();
    assert_eq!(set.catalogue.stats().tokens, MAX_TOKENS);
    let message = full::saying_tokens(MAX_TOKENS);
    assert!(read_all(&set.signatures, [message.as_slice()]).is_some());
    let error = refused(full::tokens(MAX_TOKENS + 1));
    assert_eq!(
        error,
        "the signature files need 65 tokens, the datapath has room for 64: the built-in files come to 3, mine.toml adds 62; drop a file or simplify a pattern"
    );
}

#[test]
fn rules() {
    let set = compile(&[("mine.toml", &full::rules(MAX_RULES))]).unwrap();
    assert_eq!(set.catalogue.stats().rules, MAX_RULES);
    let last = read_all(&set.signatures, [full::saying_rule(MAX_RULES - 1).as_slice()]).unwrap();
    assert_eq!(set.catalogue.rule(last.rule).unwrap().name, "r127");
    let error = refused(full::rules(MAX_RULES + 1));
    assert!(error.starts_with("the signature files need 129 rules"), "{error}");
    assert!(error.contains("room for 128") && error.contains("mine.toml adds 129"), "{error}");
}

#[test]
fn states() {
    let set = compile(&[("mine.toml", &full::states(MAX_STATES))]).unwrap();
    assert_eq!(set.catalogue.stats().states, MAX_STATES);
    let message = full::saying_states(MAX_STATES);
    assert!(read_all(&set.signatures, [message.as_slice()]).is_some());
    let error = refused(full::states(MAX_STATES + 1));
    assert!(error.starts_with("the signature files need 4,097 automaton states"), "{error}");
    let error = refused(full::states(MAX_STATES + 100));
    assert!(error.contains("its pattern alone is too much for the datapath"), "{error}");
    assert!(error.contains(" automaton states; there is room for 4,096 states"), "{error}");
    assert!(error.starts_with("mine.toml:"), "{error}");
}

#[test]
fn states_of_several_files_are_told_apart() {
    let files = [
        Source { name: "one.toml".to_owned(), text: full::states_named("one", 2_500) },
        Source { name: "two.toml".to_owned(), text: full::states_named("two", 2_600) },
    ];
    let error = assemble(&files, false).err().unwrap().to_string();
    assert!(error.contains("automaton states, the datapath has room for 4,096"), "{error}");
    assert!(error.contains("one.toml adds 2,") && error.contains("two.toml adds 2,"), "{error}");
}

#[test]
fn classes() {
    let set = compile(&[("mine.toml", &full::classes(SYMBOL_CLASSES))]).unwrap();
    assert_eq!(set.catalogue.stats().classes, SYMBOL_CLASSES);
    assert!(read_all(&set.signatures, [full::saying_classes().as_slice()]).is_some());
    let error = refused(full::classes(SYMBOL_CLASSES + 1));
    assert!(error.starts_with("the signature files need 129 symbol classes"), "{error}");
}

/// What this thread has had of the processor: others may keep it waiting.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn hostile_patterns_are_refused_in_seconds() {
    for expression in [
        "[ab]*a[ab]{14}",
        "[ab]*a[ab]{200}",
        ".*a.{1000}b",
        ".{5000}",
        "((a{1,50}){1,50}){1,50}",
        "(((.{1,100}){1,100}){1,100}){1,100}",
        "(a|b|c|d|e|f)*x(a|b|c|d|e|f){12}y.*",
    ] {
        let text = full::with_expression(expression);
        let begun = worked();
        let outcome = assemble(&[source(text)], true).map(|set| set.catalogue.stats());
        let took = worked() - begun;
        assert!(outcome.is_err(), "{expression}: {outcome:?}");
        assert!(took < Duration::from_secs(20), "{expression} took {took:?}");
    }
    let long = "x".repeat(5_000);
    assert!(assemble(&[source(full::with_expression(&long))], true).is_err());
}

#[test]
fn without_any_file_nothing_would_be_found() {
    let error = assemble(&[], false).err().unwrap().to_string();
    assert!(error.contains("stratum: off"), "{error}");
}
