//! Names and addresses of pools, told of with the entry that names them.

use super::*;

/// Feeds of these lines.
fn feeds(text: &str) -> Arc<FeedSet> {
    let text = format!("# name: pools\n# source: here\n{text}");
    let source = crate::feed::Source { name: "f.txt".into(), text: text.into_bytes().into() };
    Arc::new(crate::feed::compile(&[source]).unwrap())
}

fn question(name: &str, verdict: Verdict, generation: u32) -> Input {
    let mut event = event(verdict, 53);
    event.kind = Kind::Dns;
    event.reason = Reason::PoolName;
    event.rule = Some(1);
    event.generation = generation;
    event.name = Some(name.to_owned());
    Input::Event(event)
}

fn with_feeds(text: &str) -> State {
    let mut state = State::default();
    let names = Names { feeds: feeds(text), ..Names::default() };
    step(&mut state, at(0), Input::Applied(Box::new(names), 3));
    state
}

#[test]
fn a_name_is_told_of_with_the_entry_that_names_it() {
    let mut state = with_feeds("pool.example\n203.0.113.0/24\n");
    step(&mut state, at(0), question("eu.pool.example", Verdict::Audited, 3));
    let done = step(&mut state, at(0), maker(1));
    let flow = flows(&done)[0];
    assert_eq!(flow.name.as_deref(), Some("eu.pool.example"));
    let feed = flow.feed.as_ref().unwrap();
    assert_eq!((feed.name.as_str(), feed.source.as_deref()), ("pools", Some("here")));
    assert_eq!(feed.entry, "pool.example");
    assert_eq!((&flow.rule, &flow.policy, &flow.stratum), (&None, &None, &None));
}

#[test]
fn an_address_is_told_of_with_its_feed_and_not_with_a_rule_of_the_allowlist() {
    let mut state = with_feeds("203.0.113.0/24\n");
    let rules = vec!["e".to_owned()];
    let shop = PolicyRules { policy: "shop".to_owned(), default: "d".to_owned(), rules };
    state.names.policies = Arc::new([(0, shop)].into());
    let mut event = event(Verdict::Blocked, 3333);
    event.kind = Kind::Egress;
    event.reason = Reason::PoolAddress;
    event.rule = Some(1);
    event.remote = Some("203.0.113.9:3333".parse().unwrap());
    step(&mut state, at(0), Input::Event(event));
    let done = step(&mut state, at(0), maker(1));
    let flow = flows(&done)[0];
    assert_eq!(flow.feed.as_ref().unwrap().entry, "203.0.113.0/24");
    assert_eq!((&flow.rule, &flow.policy), (&None, &None));
}

#[test]
fn a_name_that_only_shares_a_hash_is_not_told_of() {
    let collided = |actions: &[Action]| actions.contains(&Action::Count(Count::NameCollision));
    let mut state = with_feeds("pool.example\n");
    let honest = step(&mut state, at(0), question("notpool.example", Verdict::Audited, 3));
    assert!(collided(&honest));
    assert_eq!(state.pending(), 0);
    // What was blocked is told of whatever it was, and an older generation had other feeds.
    assert!(!collided(&step(&mut state, at(0), question("a.example", Verdict::Blocked, 3))));
    assert!(!collided(&step(&mut state, at(0), question("b.example", Verdict::Audited, 2))));
    // Nor is one that is being written a collision, until it is refused.
    step(&mut state, at(0), Input::Incoming(feeds("new.example\n")));
    assert!(!collided(&step(&mut state, at(0), question("new.example", Verdict::Audited, 3))));
    step(&mut state, at(0), Input::Refused(3, "full".to_owned()));
    assert!(collided(&step(&mut state, at(0), question("new.example", Verdict::Audited, 3))));
}

#[test]
fn one_resolver_hears_of_two_pools_and_both_are_told_of() {
    let mut state = with_feeds("pool.example\nother.example\n");
    for _ in 0..20 {
        step(&mut state, at(0), question("pool.example", Verdict::Audited, 3));
    }
    let waiting = state.pending();
    step(&mut state, at(0), question("other.example", Verdict::Audited, 3));
    assert_eq!(state.pending(), waiting + 1);
}

#[test]
fn a_stream_that_names_a_pool_ends_and_a_datagram_is_only_gone() {
    for (kind, protocol, ends) in [
        (Kind::Tls, TCP, true),
        (Kind::Dns, TCP, true),
        (Kind::Dns, sentinel_common::policy::UDP, false),
        (Kind::Egress, TCP, false),
    ] {
        let mut state = with_feeds("pool.example\n");
        let mut event = event(Verdict::Blocked, 53);
        (event.kind, event.protocol, event.name) =
            (kind, protocol, Some("pool.example".to_owned()));
        step(&mut state, at(0), Input::Event(event));
        let done = step(&mut state, at(0), maker(1));
        assert_eq!(!destructions(&done).is_empty(), ends, "{kind:?} {protocol}");
    }
}
