//! Every end of a name that begins at a label, and no other, has the hash of that domain.

use sentinel_common::names::{MAX_LABELS, NameKey, Suffixes, lower};

fn suffixes(key: NameKey, name: &str) -> Vec<Option<u64>> {
    let mut suffixes = Suffixes::new(key);
    name.bytes().map(lower).for_each(|byte| suffixes.push(byte));
    (0..=MAX_LABELS + 1).map(|labels| suffixes.last(labels)).collect()
}

#[test]
fn ends_at_labels_are_found() {
    let key = NameKey::new(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
    let found = suffixes(key, "a.Very.LONG.name.pool.Example.COM");
    let wanted = ["com", "example.com", "pool.example.com", "name.pool.example.com"];
    for (labels, domain) in (1..).zip(wanted) {
        assert_eq!(found[labels], Some(key.hash(domain.as_bytes())), "{domain}");
    }
    assert_eq!(found[0], None);
    assert_eq!(found[MAX_LABELS], Some(key.hash(b"very.long.name.pool.example.com")));
    assert_eq!(found[MAX_LABELS + 1], None);
    assert!(!found.contains(&Some(key.hash(b"ample.com"))));
}

#[test]
fn short_names_have_few_ends() {
    let key = NameKey::new(7, 8);
    let found = suffixes(key, "localhost");
    assert_eq!(found[1], Some(key.hash(b"localhost")));
    assert!(found[2..].iter().all(Option::is_none));
}

#[test]
fn another_secret_is_another_hash() {
    let (one, other) = (NameKey::new(1, 3), NameKey::new(2, 3));
    assert_ne!(one.hash(b"example.com"), other.hash(b"example.com"));
    assert_ne!(one.hash(b"example.com"), NameKey::new(1, 5).hash(b"example.com"));
}

#[test]
fn only_ascii_letters_have_a_case() {
    for byte in 0..=u8::MAX {
        assert_eq!(lower(byte), byte.to_ascii_lowercase());
    }
}
