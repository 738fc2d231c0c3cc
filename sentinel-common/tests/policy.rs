//! `decide` against its own description, read word by word.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use sentinel_common::address::{Address, from_v4, is_loopback};
use sentinel_common::limits::MAX_PORT_RANGES;
use sentinel_common::policy::{
    Decision, ICMPV6, PortRange, PrefixRules, Request, TCP, UDP, decide, needs_lookup,
};
use sentinel_common::verdict::{Mode, Reason, Verdict};

/// The precedence written above `decide`, as a list of cases.
fn naive(request: &Request, mode: Mode, rules: Option<&PrefixRules>) -> Decision {
    let allowed = |reason, rule| Decision { verdict: Verdict::Allowed, reason, rule };
    if mode == Mode::Off {
        return allowed(Reason::Unremarkable, 0);
    }
    if is_loopback(&request.remote) {
        return allowed(Reason::Loopback, 0);
    }
    if request.protocol == ICMPV6
        && [130, 131, 132, 133, 134, 135, 136, 137, 143].contains(&request.icmp_type)
    {
        return allowed(Reason::Neighbour, 0);
    }
    let in_use = rules.map_or(&[][..], |rules| &rules.ranges[..rules.count as usize]);
    let fitting =
        in_use.iter().filter(|range| range.protocol == 0 || range.protocol == request.protocol);
    for range in fitting {
        let fits = match request.port {
            None => range.any_port == 1,
            Some(port) => range.any_port == 1 || (range.first..=range.last).contains(&port),
        };
        if fits {
            return allowed(Reason::Allowlisted, range.rule);
        }
    }
    Decision {
        verdict: if mode == Mode::Audit { Verdict::Audited } else { Verdict::Blocked },
        reason: if request.port.is_none() { Reason::Fragment } else { Reason::NotAllowlisted },
        rule: 0,
    }
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
        (0u16..20, 0u16..20, prop::sample::select(vec![0, TCP, UDP, ICMPV6]), 0u8..2, any::<u16>())
            .prop_map(|(first, last, protocol, any_port, rule)| PortRange {
                first,
                last,
                protocol,
                any_port,
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
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_described(
        remote in address(),
        protocol in protocol(),
        port in prop::option::of(0u16..20),
        icmp_type in prop_oneof![125u8..150, any::<u8>()],
        mode in prop::sample::select(Mode::ALL),
        rules in prop::option::of(rules()),
    ) {
        let request = Request { remote, protocol, port, icmp_type };
        let decision = decide(&request, mode, rules.as_ref());
        prop_assert_eq!(decision, naive(&request, mode, rules.as_ref()));
        if !needs_lookup(&request, mode) {
            prop_assert_eq!(decision, decide(&request, mode, None));
        }
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
fn an_unused_range_allows_nothing() {
    let rules =
        PrefixRules { count: MAX_PORT_RANGES as u32, ranges: [PortRange::UNUSED; MAX_PORT_RANGES] };
    for port in [None, Some(0), Some(1), Some(u16::MAX)] {
        let request =
            Request { remote: from_v4([192, 0, 2, 1]), protocol: TCP, port, icmp_type: 0 };
        assert_eq!(decide(&request, Mode::Enforce, Some(&rules)).verdict, Verdict::Blocked);
    }
}
