//! Lines, one by one.

use super::{ip, refusal, set};
use crate::feed::{Findings, Tally, compile};

#[test]
fn every_form_of_a_line_comes_to_the_same_domain() {
    for line in [
        "pool.example",
        "  Pool.Example \r",
        "pool.example.",
        "*.pool.example",
        "pool.example:3333",
        "stratum+tcp://pool.example:3333",
        "stratum+ssl://user.worker:x@POOL.example:443/path?query",
        "https://pool.example/",
        "pool.example # a comment",
        "0.0.0.0 pool.example",
        "127.0.0.1\tlocalhost pool.example # a comment",
        "::1 ip6-localhost pool.example",
        "\u{feff}pool.example",
    ] {
        let set = set(&format!("{line}\n"));
        assert_eq!(set.tally(), Tally { domains: 1, ..Tally::default() }, "{line}");
        assert!(set.domain("pool.example").is_some(), "{line}");
    }
}

#[test]
fn every_form_of_an_address_is_one_address() {
    for line in [
        "203.0.113.9",
        "203.0.113.9/32",
        "203.0.113.9:3333",
        "stratum+tcp://203.0.113.9:3333",
        "::ffff:203.0.113.9",
        "::ffff:203.0.113.9/128",
    ] {
        let set = set(line);
        assert_eq!(set.tally(), Tally { addresses: 1, ..Tally::default() }, "{line}");
        assert_eq!(set.address(ip("::ffff:203.0.113.9")).unwrap().entry, "203.0.113.9", "{line}");
    }
    for line in ["2001:db8::9", "[2001:db8::9]:443", "tcp://[2001:db8::9]:443", "[2001:DB8::9]"] {
        assert_eq!(set(line).address(ip("2001:db8::9")).unwrap().entry, "2001:db8::9", "{line}");
    }
}

#[test]
fn hosts_files_begin_with_names_that_are_no_entries() {
    let text = "127.0.0.1 localhost localhost.localdomain\n255.255.255.255 broadcasthost\n";
    assert!(refusal(text).contains("feed.txt:2:1"), "no sink");
    let text = "127.0.0.1 localhost\n::1 localhost ip6-loopback\n0.0.0.0 0.0.0.0\n0.0.0.0 a.example b.example\n";
    assert_eq!(set(text).tally(), Tally { domains: 2, ..Tally::default() });
}

#[test]
fn what_means_too_much_is_refused_with_its_place() {
    for (line, why) in [
        ("com", "anyone can register"),
        ("co.uk", "anyone can register"),
        ("*.co.uk", "anyone can register"),
        ("github.io", "anyone can register"),
        ("localhost", "anyone can register"),
        ("0.0.0.0/0", "too wide"),
        ("::/0", "too wide"),
        ("128.0.0.0/1", "too wide"),
        ("8.0.0.0/7", "too wide"),
        ("10.1.2.3", "10.0.0.0/8 is a private network"),
        ("172.16.0.0/12", "a private network"),
        ("192.168.1.0/24", "a private network"),
        ("127.0.0.1", "127.0.0.0/8 is loopback"),
        ("0.0.0.0", "this host"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "a provider's own network"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("::", "loopback or unspecified"),
        ("::1", "loopback or unspecified"),
        ("fe80::1", "link-local"),
        ("fd00::/8", "too wide"),
        ("fd00:99::/64", "a private network"),
        ("ff02::1", "multicast"),
        ("::ffff:10.0.0.1", "a private network"),
        ("::ffff:0:0/96", "too wide"),
    ] {
        let error = refusal(&format!("good.example\n\n{line}\n"));
        assert!(error.starts_with("feed.txt:3:1: "), "{line}: {error}");
        assert!(error.contains(why), "{line}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_the_mend() {
    for (line, mend) in [
        ("pool example", "hosts-file line"),
        ("1.2.3.4 pool.example", "hosts-file line"),
        ("pool..example", "write one, alone on its line"),
        ("-pool.example", "write one"),
        ("pool.example:0", "port from 1 to 65535"),
        ("pool.example:99999", "port from 1 to 65535"),
        ("pool.example:http", "port from 1 to 65535"),
        ("1.2.3", "write one"),
        ("999.1.1.1", "write one"),
        ("pool.example/24", "write e.g. 198.51.100.0/24"),
        ("203.0.113.9/24", "write 203.0.113.0/24"),
        ("b\u{fc}cher.example", "xn-- form"),
        ("a.b.c.d.e.f.example", "at most 6 labels"),
        ("pool.example,203.0.113.9", "write one"),
        ("||pool.example^", "write one"),
        ("[2001:db8::9", "write one"),
        ("http://", "write one"),
        ("\u{1b}[2Jpool.example", "write one"),
    ] {
        let error = refusal(&format!("{line}\n"));
        assert!(error.contains(mend), "{line}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    let long = format!("{}.example", "a.".repeat(600));
    assert!(refusal(&long).contains("1024 bytes"), "{}", refusal(&long));
    let label = format!("{}.example", "a".repeat(64));
    assert!(refusal(&label).contains("no domain"));
    let mut source = super::source("feed.txt", "");
    source.text = b"pool.example\n\xff\xfe\n".to_vec().into();
    assert!(
        compile(&[source]).unwrap_err().to_string().contains("feed.txt:2:1: this is not UTF-8")
    );
}

#[test]
fn of_many_mistakes_the_first_are_shown_and_all_are_counted() {
    let text = "com\n".repeat(1000);
    let error = refusal(&text);
    assert_eq!(error.lines().count(), 21);
    assert!(error.ends_with("and 980 more"), "{error}");
    assert_eq!(Findings::default().to_string(), "");
}

#[test]
fn the_header_says_where_a_feed_is_from() {
    let text = "# Name: Pools of the world \n# source: https://lists.example/pools.txt\n\n#updated: 2026-11-01\n\
                # license: CC0-1.0\npool.example # name: not this one\n# name: nor this\n";
    let set = set(text);
    let feed = &set.feeds()[0];
    assert_eq!(feed.name, "Pools of the world");
    assert_eq!(feed.source.as_deref(), Some("https://lists.example/pools.txt"));
    assert_eq!(feed.updated.as_deref(), Some("2026-11-01"));
    assert_eq!(feed.license.as_deref(), Some("CC0-1.0"));
    assert_eq!(super::set("pool.example\n# name: late\n").feeds()[0].name, "feed");
    let long = format!("# name: {}\u{1b}x\n", "n".repeat(500));
    assert_eq!(super::set(&long).feeds()[0].name.len(), 200);
}
