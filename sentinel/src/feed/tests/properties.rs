//! Against naive readings.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_common::names::{NameKey, Suffixes};

use super::{set, source};
use crate::feed::{Change, changes, compile};

fn list() -> impl Strategy<Value = Vec<(u8, u16)>> {
    vec((any::<u8>(), 0..3_u16), 0..60)
        .prop_map(|pairs| pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

/// Labels that often meet.
fn name() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!["a", "b", "ab", "pool"]), 1..5)
        .prop_map(|labels| labels.join(".") + ".example")
}

fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = (0..4_u8, 0..4_u8).prop_map(|(a, b)| Ipv4Addr::new(203, 0, 112 + a, b * 64).into());
    let v6 = (0..4_u16, 0..4_u16)
        .prop_map(|(a, b)| Ipv6Addr::new(0x2001, 0xdb8, a, 0, 0, 0, 0, b).into());
    prop_oneof![v4, v6]
}

fn network() -> impl Strategy<Value = IpNet> {
    (address(), 0..=3_u8).prop_map(|(address, step)| {
        let len = if address.is_ipv4() { 32 - step * 4 } else { 128 - step * 32 };
        IpNet::new(address, len).unwrap().trunc()
    })
}

proptest! {
    #[test]
    fn changes_make_one_list_into_the_other(old in list(), new in list()) {
        let mut held: BTreeMap<u8, u16> = old.iter().copied().collect();
        let mut touched = 0;
        for change in changes(&old, &new) {
            touched += 1;
            match change {
                Change::Write(key, value) => prop_assert_ne!(held.insert(*key, value), Some(value)),
                Change::Remove(key) => prop_assert!(held.remove(key).is_some()),
            }
        }
        prop_assert_eq!(held.into_iter().collect::<Vec<_>>(), new.clone());
        let shared = old.iter().filter(|pair| new.contains(pair)).count();
        prop_assert!(touched <= old.len() + new.len() - 2 * shared);
    }

    /// The set, the kernel's hashes and plain string comparison find the same names.
    #[test]
    fn a_name_is_found_by_its_end(feed in vec(name(), 0..8), asked in name(), secret: (u64, u64)) {
        let set = set(&feed.join("\n"));
        let naive = feed.iter().any(|domain| {
            asked == *domain || asked.ends_with(&format!(".{domain}"))
        });
        prop_assert_eq!(set.domain(&asked).is_some(), naive);
        let key = NameKey::new(secret.0, secret.1);
        let hashes: Vec<u64> =
            set.domains().iter().map(|(domain, _)| key.hash(domain.as_bytes())).collect();
        let mut suffixes = Suffixes::new(key);
        asked.bytes().for_each(|byte| suffixes.push(byte));
        let found = suffixes.hashes().iter().any(|hash| hashes.contains(hash));
        prop_assert_eq!(found, naive);
    }

    #[test]
    fn an_address_is_found_by_the_longest_prefix(
        feed in vec(network(), 0..10),
        asked in address(),
        exempt in vec(address(), 0..3),
    ) {
        let text: String = feed.iter().map(|network| format!("{network}\n")).collect();
        let mut set = set(&text);
        let octets = exempt.iter().map(|ip| sentinel_common::address::of(*ip));
        set.exempt(&octets.collect::<Vec<_>>()).unwrap();
        let longest = feed.iter().filter(|network| network.contains(&asked));
        let longest = longest.max_by_key(|network| network.prefix_len());
        let naive = longest.filter(|_| !exempt.contains(&asked)).map(|network| {
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.to_string()
            }
        });
        prop_assert_eq!(set.address(asked).map(|hit| hit.entry), naive);
    }

    #[test]
    fn any_bytes_are_a_feed_or_a_finding(text in vec(any::<u8>(), 0..400)) {
        let mut source = source("feed.txt", "");
        source.text = text.into();
        if let Err(error) = compile(&[source]) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_line_of_likely_bytes_is_an_entry_or_a_finding(
        line in "[a-z0-9.:/@#*\\[\\]_ -]{0,40}",
    ) {
        let _ = compile(&[source("feed.txt", &line)]);
    }
}
