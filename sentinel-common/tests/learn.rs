//! Whose an address is, and what is kept of it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails does so by panicking"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sentinel_common::address::Address;
use sentinel_common::dns::Dns;
use sentinel_common::learn::{Learned, LearnedKey, MAX_SHARED, Place, Scope, opens, question_slot};
use sentinel_common::names::NameKey;

fn address(text: &str) -> Address {
    match text.parse::<IpAddr>().unwrap() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[test]
fn addresses_are_whose_the_registries_say() {
    for (scope, texts) in [
        (
            Scope::Public,
            "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 \
             172.32.0.0 192.167.0.0 192.169.0.0 169.253.0.0 169.255.0.0 203.0.113.1 223.255.255.255 \
             126.0.0.1 128.0.0.1 2606:4700::1111 2001:db8::1 fe00::1 fbff::1 64:ff9b::101:101 \
             2002:101:101::1",
        ),
        (
            Scope::Private,
            "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 \
             100.64.0.0 100.127.255.255 198.18.0.1 198.19.255.255 192.0.0.8 fc00::1 fdff::1 \
             fec0::1 ::10.0.0.1 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1::1",
        ),
        (
            Scope::Local,
            "127.0.0.1 127.255.255.255 169.254.0.1 169.254.169.254 ::1 fe80::1 febf::1 \
             fd00:ec2::254 100.100.100.200 168.63.129.16 192.0.0.192 64:ff9b::a9fe:a9fe \
             2002:7f00:1::1 ::127.0.0.1",
        ),
        (
            Scope::Nobody,
            "0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ff02::1 ff0e::1 \
             64:ff9b:: 2002:e000:1::1",
        ),
    ] {
        for text in texts.split_whitespace() {
            assert_eq!(Scope::of(&address(text)), scope, "{text}");
        }
    }
}

#[test]
fn a_pattern_opens_what_its_policy_says_and_nobodys_never() {
    let flags = [0, opens::PRIVATE, opens::LOCAL, opens::PRIVATE | opens::LOCAL];
    let opened = |scope: Scope| flags.map(|flags| flags & scope.needs() == scope.needs());
    assert_eq!(opened(Scope::Public), [true; 4]);
    assert_eq!(opened(Scope::Private), [false, true, false, true]);
    assert_eq!(opened(Scope::Local), [false, false, true, true]);
    assert_eq!(opened(Scope::Nobody), [false; 4]);
}

#[test]
fn places_of_the_two_sides_are_apart() {
    let places: Vec<u32> =
        (0..2).flat_map(|side| (0..MAX_SHARED).map(move |i| LearnedKey::place(side, i))).collect();
    assert_eq!(places, (0..2 * MAX_SHARED).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn scopes_agree_with_the_standard_library(octets in any::<[u8; 4]>(), wide in any::<[u8; 16]>()) {
        let v4 = Ipv4Addr::from(octets);
        let scope = Scope::of(&v4.to_ipv6_mapped().octets());
        if v4.is_loopback() || v4.is_link_local() {
            prop_assert_eq!(scope, Scope::Local);
        }
        if v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast() {
            prop_assert_eq!(scope, Scope::Nobody);
        }
        if v4.is_private() {
            prop_assert_eq!(scope, Scope::Private);
        }
        let v6 = Ipv6Addr::from(wide);
        if v6.is_unique_local() {
            prop_assert_eq!(Scope::of(&wide), Scope::Private);
        }
    }

    #[test]
    fn an_entry_is_told_from_anothers(
        one in any::<[u8; 16]>(), other in any::<[u8; 16]>(), pattern in any::<u32>(),
    ) {
        let learned = Learned::new(&one, pattern, 7);
        prop_assert_eq!(learned.pattern_of(&one), Some(pattern));
        // One in four thousand million pairs may be taken for each other.
        prop_assert_eq!(learned.pattern_of(&other), (one == other).then_some(pattern));
    }

    #[test]
    fn a_place_that_changed_has_another_sum(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
        let mut place = Place { dns: Dns::stream(), ..Place::default() };
        let mut sums = vec![place.sum()];
        for byte in bytes {
            let before = place;
            place.dns.feed(NameKey::new(1, 2), byte);
            if place != before {
                prop_assert!(!sums.contains(&place.sum()) || place.dns.is_over());
                sums.push(place.sum());
            }
        }
        let asked = Place { asked: 1, ..place };
        prop_assert_ne!(asked.sum(), place.sum());
    }

    #[test]
    fn questions_have_slots(cookie: u64, id: u16, name: u64) {
        prop_assert!((question_slot(cookie, id, name) as usize) < sentinel_common::learn::QUESTION_SLOTS);
    }
}
