//! Feeds against what a reader of the README expects, and against naive ones.

mod lines;
mod properties;

use std::net::IpAddr;

use super::{FeedError, FeedSet, Source, compile};

fn source(name: &'static str, text: &str) -> Source {
    Source { name: name.into(), text: text.as_bytes().to_vec().into() }
}

fn set(text: &str) -> FeedSet {
    compile(&[source("feed.txt", text)]).unwrap()
}

fn refusal(text: &str) -> String {
    compile(&[source("feed.txt", text)]).unwrap_err().to_string()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_built_in_list_is_sound_and_says_where_it_is_from() {
    let set = compile(&[super::BUILTIN]).unwrap();
    let feed = &set.feeds()[0];
    assert_eq!(feed.name, "sentinel-pools");
    assert!(feed.source.is_some() && feed.license.is_some() && feed.updated.is_some());
    assert!(feed.entries.domains >= 150, "{:?}", feed.entries);
    assert_eq!(set.tally(), feed.entries, "a name stands in it twice");
    // Its header counts them.
    let text = std::str::from_utf8(&super::BUILTIN.text).unwrap();
    assert!(text.contains(&format!("# {} names of", feed.entries.domains)));
    assert_eq!(set.domain("xmr-eu1.nanopool.org").unwrap().entry, "nanopool.org");
    assert_eq!(set.domain("donate.v2.xmrig.com").unwrap().entry, "donate.v2.xmrig.com");
    for honest in ["xmrig.com", "btc.com", "braiins.com", "getmonero.org", "org", "github.com"] {
        assert_eq!(set.domain(honest), None, "{honest}");
    }
    // No entry makes another one void.
    for (domain, _) in set.domains() {
        let (_, above) = domain.split_once('.').unwrap();
        assert_eq!(set.domain(above), None, "{domain} is below another entry");
    }
}

#[test]
fn the_first_feed_that_names_an_entry_is_told_of() {
    let first = source("a.txt", "# name: first\npool.example\n203.0.113.9\n");
    let second = source("b.txt", "# name: second\npool.example\neu.pool.example\n203.0.113.0/24\n");
    let set = compile(&[first, second]).unwrap();
    assert_eq!(set.domain("x.pool.example").unwrap().feed.name, "first");
    let hit = set.domain("x.eu.pool.example").unwrap();
    assert_eq!((hit.feed.name.as_str(), hit.entry.as_str()), ("second", "eu.pool.example"));
    assert_eq!(set.address(ip("203.0.113.9")).unwrap().feed.name, "first");
    assert_eq!(set.address(ip("203.0.113.8")).unwrap().entry, "203.0.113.0/24");
    assert_eq!(set.feeds()[1].entries.domains, 1);
}

#[test]
fn a_domain_means_what_ends_in_it_at_a_label() {
    let set = set("pool.example\n");
    for name in ["pool.example", "a.pool.example", "a.b.c.d.e.f.g.pool.example"] {
        assert_eq!(set.domain(name).unwrap().entry, "pool.example", "{name}");
    }
    for name in ["notpool.example", "example", "pool.example.org", "", ".", "pool"] {
        assert_eq!(set.domain(name), None, "{name}");
    }
}

#[test]
fn an_address_that_the_allowlist_names_is_no_finding() {
    let mut set = set("203.0.113.9\n203.0.113.128/25\n2001:db8::/32\n");
    let octets = |text: &str| sentinel_common::address::of(ip(text));
    let exempt = ["203.0.113.9", "203.0.113.200", "2001:db8::5", "198.51.100.1"].map(octets);
    set.exempt(&exempt).unwrap();
    assert_eq!(set.tally().addresses, 3, "what no feed names needs no mark");
    for address in ["203.0.113.9", "203.0.113.200", "::ffff:203.0.113.200", "2001:db8::5"] {
        assert_eq!(set.address(ip(address)), None, "{address}");
    }
    for address in ["203.0.113.201", "2001:db8::6"] {
        assert!(set.address(ip(address)).is_some(), "{address}");
    }
}

#[test]
fn more_than_fits_is_refused_and_what_is_said_twice_counts_once() {
    let limit = sentinel_common::limits::MAX_FEED_DOMAINS;
    let many: String = (0..limit).map(|n| format!("p{n}.example\n")).collect();
    let twice = [source("a.txt", &many), source("b.txt", &many), source("c.txt", &many)];
    assert_eq!(compile(&twice).unwrap().tally().domains, limit);
    let error = compile(&[source("a.txt", &many), source("b.txt", "one.more.example\n")]);
    assert!(matches!(error, Err(FeedError::TooMany { what: "domains", .. })));
}

/// What a large deployment has: read once at a start, and at every change of a file.
#[test]
fn a_million_entries_are_read_and_found() {
    let mut text = String::new();
    for n in 0..100_000_u32 {
        text.push_str(&format!("pool{n}.example\n"));
    }
    for n in 0..1_000_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let line = match n % 10 {
            0 => format!("2001:db8:{b:x}:{c:x}{d:02x}::/64\n"),
            1 => format!("2001:db8:ffff::{:x}:{:x}\n", n >> 16, n & 0xffff),
            _ => format!("{}.{b}.{c}.{d}\n", 20 + n % 10),
        };
        text.push_str(&line);
    }
    let source = source("large.txt", &text);
    let begun = std::time::Instant::now();
    let set = compile(std::slice::from_ref(&source)).unwrap();
    eprintln!("{} bytes in {:?}", text.len(), begun.elapsed());
    let tally = set.tally();
    assert_eq!((tally.domains, tally.addresses, tally.prefixes), (100_000, 900_000, 100_000));
    assert!(set.domain("eu.pool99999.example").is_some());
    assert!(set.domain("pool100000.example").is_none());
    assert!(set.address(ip("22.0.0.2")).is_some());
    assert!(set.address(ip("22.0.0.3")).is_none());
    assert_eq!(set.address(ip("2001:db8:0:a::7")).unwrap().entry, "2001:db8:0:a::/64");
}
