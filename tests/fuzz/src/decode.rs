//! Any bytes as a record of the ring buffer: an event whose every field is that of the record, or a
//! named error.

use std::mem::offset_of;
use std::sync::{Arc, LazyLock};

use sentinel::decode::{DecodeError, decode, decode_and_name};
use sentinel::signature::Sets;
use sentinel_common::event::{Event, Hook, Kind};
use sentinel_common::limits::EXCERPT;
use sentinel_common::verdict::{Reason, Verdict};

const LEN: usize = size_of::<Event>();

/// The built-in set, under the number that records of zeroes carry and under the first one.
static SETS: LazyLock<Sets> = LazyLock::new(|| {
    let compiled = Arc::new(sentinel::signature::embedded().expect("the built-in files compile"));
    let sets = Sets::default();
    sets.push(0, Arc::clone(&compiled));
    sets.push(1, compiled);
    sets
});

/// Compiles what names need.
pub fn prepare() {
    LazyLock::force(&SETS);
}

/// Checks the bytes as they are, and cut or filled up to the length of a record.
pub fn run(data: &[u8]) {
    check(data);
    let mut record = data.to_vec();
    record.resize(LEN, 0);
    check(&record);
}

fn check(bytes: &[u8]) {
    let plain = decode(bytes);
    let named = decode_and_name(bytes, &SETS);
    let event = match (plain, named) {
        (Ok(plain), Ok(named)) => {
            let renamed = sentinel::event::KernelEvent { rule: plain.rule, ..named.clone() };
            assert_eq!(renamed, plain, "naming changes the rule alone");
            assert!(named.rule <= plain.rule, "a rule may only become more specific");
            plain
        }
        (Err(plain), Err(named)) => {
            assert_eq!(plain, named);
            assert!(DecodeError::KINDS.contains(&plain.kind()) && !plain.to_string().is_empty());
            assert!(is_wrong(bytes), "refused: {plain}");
            return;
        }
        (plain, named) => panic!("one decodes, the other does not: {plain:?}, {named:?}"),
    };
    assert!(!is_wrong(bytes), "a wrong record was taken: {event:?}");
    let u64_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(event.time, u64_at(offset_of!(Event, time)));
    assert_eq!(event.cookie, u64_at(offset_of!(Event, cookie)));
    assert_eq!(event.tokens, u64_at(offset_of!(Event, tokens)));
    assert_eq!(event.peer_tokens, u64_at(offset_of!(Event, peer_tokens)));
    assert_eq!(event.kind as u8, bytes[offset_of!(Event, kind)]);
    // A byte that is no UTF-8 becomes three.
    let bound = 3 * EXCERPT + '…'.len_utf8();
    let said = &event.said;
    let strings = [&said.method, &said.login, &said.agent, &said.worker];
    assert!(strings.into_iter().flatten().all(|text| text.len() <= bound));
}

/// Whether a record must be refused, by its contract.
fn is_wrong(bytes: &[u8]) -> bool {
    if bytes.len() != LEN {
        return true;
    }
    let excerpt_at = offset_of!(Event, excerpt_len);
    let excerpt = u16::from_ne_bytes(bytes[excerpt_at..excerpt_at + 2].try_into().unwrap());
    Kind::from_wire(bytes[offset_of!(Event, kind)]).is_none()
        || Verdict::from_wire(bytes[offset_of!(Event, verdict)]).is_none()
        || Reason::from_wire(bytes[offset_of!(Event, reason)]).is_none()
        || Hook::from_wire(bytes[offset_of!(Event, hook)]).is_none()
        || bytes[offset_of!(Event, direction)] > 1
        || usize::from(excerpt) > EXCERPT
}
