//! Which feed speaks against a destination, in the order that is written above the function.

use std::cell::Cell;

use sentinel_common::address::from_v4;
use sentinel_common::feed::{EXEMPT, listing};

#[test]
fn the_first_that_applies_decides() {
    let remote = from_v4([203, 0, 113, 9]);
    for (address, prefix, expected) in [
        (None, None, None),
        (Some(2), None, Some(2)),
        (None, Some(3), Some(3)),
        (Some(2), Some(3), Some(2)),
        (Some(EXEMPT), Some(3), None),
        (None, Some(EXEMPT), None),
    ] {
        assert_eq!(listing(&remote, || address, || prefix), expected, "{address:?} {prefix:?}");
    }
}

#[test]
fn this_host_is_never_looked_up() {
    let mut v6 = [0; 16];
    v6[15] = 1;
    for own in [from_v4([127, 0, 0, 1]), from_v4([0; 4]), [0; 16], v6] {
        let asked = Cell::new(false);
        let ask = || {
            asked.set(true);
            Some(1)
        };
        assert_eq!(listing(&own, ask, ask), None);
        assert!(!asked.get());
    }
}

#[test]
fn a_trie_is_asked_only_when_the_table_is_silent() {
    let remote = from_v4([203, 0, 113, 9]);
    let asked = Cell::new(0);
    let prefix = || {
        asked.set(asked.get() + 1);
        None
    };
    assert_eq!(listing(&remote, || Some(1), prefix), Some(1));
    assert_eq!(asked.get(), 0);
    assert_eq!(listing(&remote, || None, prefix), None);
    assert_eq!(asked.get(), 1);
}
