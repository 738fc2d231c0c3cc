//! Packets, whole and cut short at every byte.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use sentinel_common::address::from_v4;
use sentinel_common::packet::{IPV4, IPV6, addresses, is_rerouted, parse};
use sentinel_common::policy::{ICMPV6, TCP, UDP};

/// TCP from 40000 to 3333 with `options` bytes of options and four bytes of payload.
fn tcp(options: usize) -> Vec<u8> {
    let mut segment =
        vec![0x9c, 0x40, 0x0d, 0x05, 0, 0, 0, 9, 0, 0, 0, 0, (5 + options as u8 / 4) << 4, 0x18];
    segment.resize(20 + options, 0);
    segment.extend(b"data");
    segment
}

fn v4(protocol: u8, options: usize, fragment: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45 + options as u8 / 4, 0, 0, 0, 0, 1];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7]);
    packet.resize(20 + options, 1);
    packet.extend(body);
    packet
}

fn v6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(body);
    packet
}

/// Checks that nothing before byte `needed` is enough, and nothing from there on is too little.
fn cut_everywhere(packet: &[u8], needed: usize) {
    for len in 0..packet.len() {
        let cut = &packet[..len];
        let parsed = parse(&cut);
        if len < needed {
            assert_eq!(parsed, None, "{len} bytes");
        } else if let Some(parsed) = parsed {
            assert!(parsed.end as usize == len && parsed.payload_len() as usize <= len);
        }
    }
}

#[test]
fn ipv4_headers_of_every_length() {
    for options in (0..=40).step_by(4) {
        for tcp_options in [0, 4, 40] {
            let packet = v4(TCP, options, 0x4000, &tcp(tcp_options));
            let parsed = parse(&packet.as_slice()).unwrap();
            assert_eq!(parsed.ports, Some((40000, 3333)));
            assert_eq!((parsed.sequence, parsed.flags, parsed.payload_len()), (9, 0x18, 4));
            assert_eq!(parsed.payload as usize, 20 + options + 20 + tcp_options);
            cut_everywhere(&packet, 20 + options + 14);
        }
    }
    let (from, to) = addresses(&v4(TCP, 0, 0, &tcp(0)).as_slice()).unwrap();
    assert_eq!((from, to), (from_v4([10, 0, 0, 1]), from_v4([192, 0, 2, 7])));
}

#[test]
fn malformed_headers_are_refused() {
    let mut short_header = v4(TCP, 0, 0, &tcp(0));
    short_header[0] = 0x44;
    assert_eq!(parse(&short_header.as_slice()), None);
    let mut short_tcp = v4(TCP, 0, 0, &tcp(0));
    short_tcp[32] = 0x40;
    assert_eq!(parse(&short_tcp.as_slice()), None);
    for version in [0, 5, 7, 15] {
        let mut other = v4(TCP, 0, 0, &tcp(0));
        other[0] = version << 4 | 5;
        assert_eq!(parse(&other.as_slice()), None);
    }
    let mut long_header = v4(TCP, 0, 0, &tcp(0));
    long_header[32] = 0xf0;
    assert_eq!(
        parse(&long_header.as_slice()).unwrap().payload_len(),
        0,
        "a header longer than the packet"
    );
}

#[test]
fn fragments_behind_the_first_have_no_ports() {
    for fragment in [1, 0x2001, 0x1fff] {
        let parsed = parse(&v4(TCP, 0, fragment, &tcp(0)).as_slice()).unwrap();
        assert_eq!((parsed.ports, parsed.protocol), (None, TCP));
    }
    assert!(parse(&v4(TCP, 0, 0x2000, &tcp(0)).as_slice()).unwrap().ports.is_some());
    let later = [&[6, 0, 0, 8, 0, 0, 0, 1], tcp(0).as_slice()].concat();
    assert_eq!(parse(&v6(44, &later).as_slice()).unwrap().ports, None);
    let first = [&[6, 0, 0, 1, 0, 0, 0, 1], tcp(0).as_slice()].concat();
    assert_eq!(parse(&v6(44, &first).as_slice()).unwrap().ports, Some((40000, 3333)));
}

#[test]
fn extension_headers_are_walked() {
    let hop =
        |next: u8, units: u8| [vec![next, units], vec![0; 6 + 8 * usize::from(units)]].concat();
    for (chain, first) in [
        (vec![], TCP),
        (vec![hop(TCP, 0)], 0),
        (vec![hop(60, 1), hop(TCP, 2)], 0),
        (vec![hop(43, 0), hop(44, 0), vec![TCP, 0, 0, 0, 0, 0, 0, 1]], 60),
        (vec![[vec![TCP, 4], vec![0; 22]].concat()], 51),
        (vec![hop(TCP, 0)], 135),
    ] {
        let body = [chain.concat(), tcp(0)].concat();
        let packet = v6(first, &body);
        let parsed = parse(&packet.as_slice()).unwrap();
        assert_eq!((parsed.ports, parsed.payload_len()), (Some((40000, 3333)), 4), "{chain:?}");
        cut_everywhere(&packet, 40 + chain.concat().len() + 14);
    }
    let endless: Vec<u8> = std::iter::repeat_n(hop(0, 0), 60).flatten().collect();
    assert_eq!(parse(&v6(0, &endless).as_slice()), None, "more headers than are walked");
    let authentication = |first: u8| parse(&v4(51, 0, 0, &[first, 4]).as_slice()).unwrap().ports;
    assert_eq!(authentication(TCP), Some((0, 0)), "IPv4 has no chain of headers");
}

#[test]
fn protocols_with_and_without_ports() {
    let ports = [0, 53, 0x30, 0x39, 0, 8, 0, 0, 1, 2, 3];
    for protocol in [UDP, 132, 136, 33] {
        let parsed = parse(&v4(protocol, 0, 0, &ports).as_slice()).unwrap();
        assert_eq!(parsed.ports, Some((53, 12345)), "protocol {protocol}");
    }
    assert_eq!(parse(&v4(UDP, 0, 0, &ports).as_slice()).unwrap().payload_len(), 3);
    assert_eq!(parse(&v4(47, 0, 0, &[]).as_slice()).unwrap().ports, Some((0, 0)));
    assert_eq!(parse(&v6(ICMPV6, &[135, 0, 0, 0]).as_slice()).unwrap().icmp_type, 135);
    assert_eq!(parse(&v6(ICMPV6, &[]).as_slice()), None);
    assert_eq!(parse(&v4(1, 0, 0, &[8, 0, 0, 0]).as_slice()).unwrap().icmp_type, 8);
}

#[test]
fn a_packet_with_a_route_of_its_own_is_known() {
    let with = |options: &[u8]| {
        let mut packet = v4(TCP, options.len(), 0, &tcp(0));
        packet[20..20 + options.len()].copy_from_slice(options);
        let brief = parse(&packet.as_slice()).unwrap().brief();
        assert_eq!(brief.has_more_headers(IPV4), !options.is_empty(), "{options:?}");
        is_rerouted(&packet.as_slice())
    };
    for (options, expected) in [
        (&[131, 7, 4, 192, 0, 2, 1, 0][..], true),
        (&[137, 7, 4, 192, 0, 2, 1, 0], true),
        (&[1, 1, 1, 131, 3, 4, 0, 0], true),
        // Router alert, padding.
        (&[148, 4, 0, 0], false),
        (&[1; 40], false),
        // As long as an IPv6 header.
        (&[131, 7, 4, 192, 0, 2, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], true),
        (&[], false),
        // Whatever may be one is taken for one.
        (&[7, 7, 4, 0, 0, 0, 131, 0], true),
    ] {
        assert_eq!(with(options), expected, "{options:?}");
    }
    let routing = |chain: &[u8], first: u8| {
        let packet = v6(first, &[chain, tcp(0).as_slice()].concat());
        assert!(parse(&packet.as_slice()).unwrap().brief().has_more_headers(IPV6));
        assert_eq!(parse(&packet.as_slice()).unwrap().ports, Some((40000, 3333)));
        is_rerouted(&packet.as_slice())
    };
    let header = |next: u8, kind: u8| [&[next, 2, kind, 1], [0; 20].as_slice()].concat();
    assert!(routing(&header(TCP, 4), 43) && routing(&header(TCP, 0), 43), "of any type");
    assert!(!routing(&header(TCP, 4), 60), "options");
    assert!(routing(&[header(43, 0), header(TCP, 4)].concat(), 0), "behind options");
    assert!(routing(&[&[43, 9, 0, 1, 0, 0, 0, 1], header(TCP, 4).as_slice()].concat(), 44));
    assert!(!is_rerouted(&[0x60_u8; 20].as_slice()), "cut short");
}

#[test]
fn a_syn_takes_a_number() {
    let mut packet = v4(TCP, 0, 0, &tcp(0));
    packet[33] = 0x02;
    let parsed = parse(&packet.as_slice()).unwrap();
    assert!(parsed.opens_connection());
    assert_eq!(parsed.payload_sequence(), 10);
    packet[33] = 0x12;
    assert!(!parse(&packet.as_slice()).unwrap().opens_connection());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 4u8..7) {
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 15;
        }
        if let Some(parsed) = parse(&bytes.as_slice()) {
            prop_assert_eq!(parsed.end as usize, bytes.len());
            prop_assert!(parsed.transport <= parsed.payload);
            prop_assert_eq!(addresses(&bytes.as_slice()).is_some(), version == 4 || bytes.len() >= 40);
        }
    }
}
