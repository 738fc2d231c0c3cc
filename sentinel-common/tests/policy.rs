//! The decision against its own description, read word by word.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use sentinel_common::address::{Address, from_halves, from_v4, halves, is_loopback};
use sentinel_common::flow::Direction;
use sentinel_common::limits::{MAX_POLICIES_PER_WORKLOAD, MAX_PORT_RANGES};
use sentinel_common::policy::{
    ANY_PORT, DENY, Decision, ICMPV6, MAX_RULES, Match, PolicyHead, PortRange, PrefixRules,
    Request, SERVER_NAME, TCP, Tally, UDP, needs_lookup,
};
use sentinel_common::verdict::{Mode, Reason, Verdict};

/// What one policy says, as a test's author writes it down.
#[derive(Clone, Copy, Debug)]
struct Said {
    mode: Mode,
    isolates: bool,
    allows: Option<u16>,
    denies: Option<u16>,
}

/// The precedence written above `Tally::decide`, as a list of cases: verdict, reason, and the first
/// policy that says it.
fn naive(request: &Request, said: &[Said]) -> (Verdict, Reason, Option<usize>) {
    if is_loopback(&request.remote) {
        return (Verdict::Allowed, Reason::Loopback, None);
    }
    if request.protocol == ICMPV6
        && [130, 131, 132, 133, 134, 135, 136, 137, 143].contains(&request.icmp_type)
    {
        return (Verdict::Allowed, Reason::Neighbour, None);
    }
    let unnamed = if request.port.is_none() { Reason::Fragment } else { Reason::NotAllowlisted };
    let first = |holds: &dyn Fn(&Said) -> bool| said.iter().position(holds);
    let enforced = |one: &Said| one.mode == Mode::Enforce;
    let audited = |one: &Said| one.mode == Mode::Audit;
    let denied = first(&|one| enforced(one) && one.denies.is_some());
    if denied.is_some() {
        return (Verdict::Blocked, Reason::Denied, denied);
    }
    let isolated = first(&|one| enforced(one) && one.isolates);
    let allowed = first(&|one| enforced(one) && one.allows.is_some());
    if isolated.is_some() && allowed.is_none() {
        return (Verdict::Blocked, unnamed, isolated);
    }
    let denied = first(&|one| audited(one) && one.denies.is_some());
    if denied.is_some() {
        return (Verdict::Audited, Reason::Denied, denied);
    }
    let isolated = first(&|one| audited(one) && one.isolates);
    let allowed = allowed.or(first(&|one| audited(one) && one.allows.is_some()));
    match (isolated, allowed) {
        (Some(_), None) => (Verdict::Audited, unnamed, isolated),
        (_, Some(_)) => (Verdict::Allowed, Reason::Allowlisted, allowed),
        (None, None) => (Verdict::Allowed, Reason::Unremarkable, None),
    }
}

fn said() -> impl Strategy<Value = Said> {
    let rule = || prop::option::of(prop_oneof![1..4_u16, Just(MAX_RULES)]);
    (prop::sample::select(Mode::ALL), any::<bool>(), rule(), rule())
        .prop_map(|(mode, isolates, allows, denies)| Said { mode, isolates, allows, denies })
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<[u8; 16]>(),
        any::<[u8; 4]>().prop_map(from_v4),
        Just(from_v4([127, 0, 0, 1])),
        Just(from_v4([0; 4])),
        Just([0; 16]),
        Just({
            let mut loopback = [0; 16];
            loopback[15] = 1;
            loopback
        }),
    ]
}

fn protocol() -> impl Strategy<Value = u8> {
    prop_oneof![Just(TCP), Just(UDP), Just(ICMPV6), any::<u8>()]
}

fn rules() -> impl Strategy<Value = PrefixRules> {
    let range =
        (0u16..20, 0u16..20, prop::sample::select(vec![0, TCP, UDP, 1]), 0u8..4, 1..=MAX_RULES)
            .prop_map(|(first, last, protocol, flags, rule)| PortRange {
                first,
                last,
                protocol,
                flags,
                rule,
            });
    prop::collection::vec(range, 0..=MAX_PORT_RANGES).prop_map(|ranges| {
        let mut packed = PrefixRules {
            count: ranges.len() as u32,
            ranges: [PortRange::UNUSED; MAX_PORT_RANGES],
        };
        packed.ranges[..ranges.len()].copy_from_slice(&ranges);
        packed
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_described(
        remote in address(),
        protocol in protocol(),
        port in prop::option::of(0u16..20),
        icmp_type in prop_oneof![125u8..150, any::<u8>()],
        ingress in any::<bool>(),
        said in prop::collection::vec(said(), 0..=MAX_POLICIES_PER_WORKLOAD),
    ) {
        let request = Request { remote, protocol, port, icmp_type };
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let mut tally = Tally::default();
        for (place, one) in (0..).zip(&said) {
            // What a policy says of the other direction does not count.
            let isolates = u8::from(one.isolates) << direction as u8 | 2 >> direction as u8;
            let head = PolicyHead { mode: one.mode as u8, isolates, ..PolicyHead::default() };
            let found = Match::allow(one.allows.unwrap_or(0)).or(Match::deny(one.denies.unwrap_or(0)));
            tally.add(place, head, direction, found);
        }
        let decision = tally.decide(&request);
        let place = (decision.place != Decision::NOBODY).then_some(usize::from(decision.place));
        prop_assert_eq!((decision.verdict, decision.reason, place), naive(&request, &said));
        if !needs_lookup(&request) {
            prop_assert_eq!(decision, Tally::default().decide(&request));
        }
    }

    /// Where nothing is demanded, it is all the same whether a server is named. Where something is, and the
    /// right one is named, all stays as it was.
    #[test]
    fn what_is_demanded_is_decided_again(
        port in prop::option::of(0u16..20),
        said in prop::collection::vec((said(), any::<bool>()), 0..=MAX_POLICIES_PER_WORKLOAD),
    ) {
        let request = Request { remote: [0xfd; 16], protocol: TCP, port, icmp_type: 0 };
        let (mut first, mut without, mut named) = <(Tally, Tally, Tally)>::default();
        let mut is_any = false;
        for (place, (one, on_condition)) in (0..).zip(&said) {
            let head = PolicyHead {
                mode: one.mode as u8,
                isolates: u8::from(one.isolates),
                ..PolicyHead::default()
            };
            let flags = ANY_PORT | if *on_condition { SERVER_NAME } else { 0 };
            let range = PortRange { flags, rule: one.allows.unwrap_or(0), ..PortRange::UNUSED };
            let count = u32::from(one.allows.is_some());
            let allowed = PrefixRules { count, ranges: [range; MAX_PORT_RANGES] }.find(&request);
            let found = allowed.or(Match::deny(one.denies.unwrap_or(0)));
            prop_assert_eq!(found.demands(), *on_condition && one.allows.is_some());
            is_any |= found.demands();
            first.add(place, head, Direction::Egress, found);
            without.add(place, head, Direction::Egress, found.unconditional());
            named.add(place, head, Direction::Egress, found.unconditional().or(found.met()));
        }
        let (first, without) = (first.decide(&request), without.decide(&request));
        prop_assert!(is_any || !first.demands);
        prop_assert!(first.demands || first.verdict == without.verdict);
        prop_assert!(!without.demands && first.verdict <= without.verdict);
        let named = named.decide(&request);
        prop_assert_eq!((named.verdict, named.demands), (first.verdict, false));
    }

    #[test]
    fn a_permission_without_a_condition_comes_first(one in 0u16..4, other in 0u16..4) {
        let of = |rule: u16| {
            let flags = ANY_PORT | if rule & 1 == 1 { SERVER_NAME } else { 0 };
            let range = PortRange { flags, rule, ..PortRange::UNUSED };
            PrefixRules { count: 1, ranges: [range; MAX_PORT_RANGES] }
                .find(&Request { remote: [1; 16], protocol: TCP, port: None, icmp_type: 0 })
        };
        let both = of(one).or(of(other));
        let expected = match (one, other) {
            (0, rule) | (rule, 0) => rule,
            (1 | 3, 2) => other,
            _ => one,
        };
        prop_assert_eq!((both.allowing(), both.demands()), (expected, expected & 1 == 1));
    }

    #[test]
    fn finds_the_first_rule_of_each_kind(
        protocol in protocol(),
        port in prop::option::of(0u16..20),
        rules in rules(),
    ) {
        let request = Request { remote: [1; 16], protocol, port, icmp_type: 0 };
        let asked = if protocol == ICMPV6 { 1 } else { protocol };
        let fits = |range: &&PortRange| {
            (range.protocol == 0 || range.protocol == asked)
                && (range.flags & ANY_PORT != 0
                    || port.is_some_and(|port| (range.first..=range.last).contains(&port)))
        };
        let in_use = || rules.ranges[..rules.count as usize].iter().filter(fits);
        let first = |deny: bool| in_use().find(|range| (range.flags & DENY != 0) == deny);
        let found = rules.find(&request);
        prop_assert_eq!(found.allowing(), first(false).map_or(0, |range| range.rule));
        prop_assert_eq!(found.denying(), first(true).map_or(0, |range| range.rule));
    }

    #[test]
    fn words_hold_what_they_are_made_of(remote in any::<Address>(), protocol: u8, port: Option<u16>, icmp_type: u8) {
        let request = Request { remote, protocol, port, icmp_type };
        prop_assert_eq!(Request::unpack(request.pack(), remote), request);
        let (high, low) = halves(&remote);
        prop_assert_eq!(from_halves(high, low), remote);
    }
}

#[test]
fn loopback_and_unspecified_are_this_host() {
    for here in [from_v4([127, 0, 0, 1]), from_v4([127, 255, 1, 2]), from_v4([0; 4]), [0; 16]] {
        assert!(is_loopback(&here), "{here:?}");
    }
    let mut two = [0; 16];
    two[15] = 2;
    for elsewhere in [from_v4([128, 0, 0, 1]), from_v4([0, 0, 0, 1]), two, [0xff; 16]] {
        assert!(!is_loopback(&elsewhere), "{elsewhere:?}");
    }
}

#[test]
fn an_unused_range_says_nothing() {
    let rules = PrefixRules { count: MAX_PORT_RANGES as u32, ..PrefixRules::NONE };
    for port in [None, Some(0), Some(1), Some(u16::MAX)] {
        let request =
            Request { remote: from_v4([192, 0, 2, 1]), protocol: TCP, port, icmp_type: 0 };
        assert_eq!(rules.find(&request), Match::NONE);
    }
}
