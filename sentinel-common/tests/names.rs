//! Every end of a name that begins at a label, and no other, has the hash of that domain.

use sentinel_common::names::{MAX_LABELS, NameKey, Suffixes, lower};

fn suffixes(key: NameKey, name: &str) -> [u64; MAX_LABELS] {
    let mut suffixes = Suffixes::new(key);
    name.bytes().map(lower).for_each(|byte| suffixes.push(byte));
    suffixes.hashes()
}

#[test]
fn ends_at_labels_are_found() {
    let key = NameKey::new(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
    let found = suffixes(key, "a.Very.LONG.name.pool.Example.COM");
    let wanted = [
        "com",
        "example.com",
        "pool.example.com",
        "name.pool.example.com",
        "long.name.pool.example.com",
        "very.long.name.pool.example.com",
    ];
    assert_eq!(found, wanted.map(|domain| key.hash(domain.as_bytes())));
    assert!(!found.contains(&key.hash(b"ample.com")));
}

#[test]
fn short_names_have_few_ends() {
    let key = NameKey::new(7, 8);
    let [one, two, ..] = suffixes(key, "localhost");
    assert_eq!(one, key.hash(b"localhost"));
    for other in ["", "localhost", ".localhost", "t", "ocalhost"] {
        assert_ne!(two, key.hash(other.as_bytes()), "{other}");
    }
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
