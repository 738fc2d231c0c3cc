//! Capture formats and link layers: the same session, found in each of them.

use super::wire::{Order, ethernet, pcap, pcapng, session};
use super::{replay_bytes, run};
use crate::replay::{Format, HostEngine, MODES, Options, ReplayError};

const LINE: &[u8] = br#"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}"#;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

fn frames(wrap: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    session(&[LINE]).iter().map(|packet| wrap(packet)).collect()
}

fn is_found(capture: &[u8]) -> bool {
    let (flows, summary) = replay_bytes(capture);
    let found = flows.iter().any(|flow| flow["packet"] == 3 && flow["dialect"] == "bitcoin-v1");
    assert_eq!(summary.exit_code(), if found { 2 } else { 0 }, "{summary} {:?}", summary.problems);
    found
}

#[test]
fn every_file_format_is_read() {
    let frames = frames(ethernet);
    for order in [Order::Little, Order::Big] {
        for magic in [MICROSECONDS, NANOSECONDS] {
            assert!(is_found(&pcap(order, magic, 1, &frames)));
        }
        assert!(is_found(&pcapng(order, &[1], &frames)));
        assert!(is_found(&pcapng(order, &[113, 1], &frames)), "the second interface's link type");
    }
}

#[test]
fn every_link_layer_is_read() {
    let tag = |kind: [u8; 2]| {
        move |packet: &[u8]| [&[2; 12], kind.as_slice(), &[0, 5, 8, 0], packet].concat()
    };
    let pppoe = |packet: &[u8]| {
        [&[2; 12], [0x88, 0x64, 0x11, 0, 0, 1, 0, 9, 0, 0x21].as_slice(), packet].concat()
    };
    let double = |packet: &[u8]| {
        [&[2; 12], [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0].as_slice(), packet].concat()
    };
    let cooked = |packet: &[u8]| [[0; 14].as_slice(), &[8, 0], packet].concat();
    let cooked_2 = |packet: &[u8]| [[8, 0].as_slice(), &[0; 18], packet].concat();
    for (link, frames) in [
        (1, frames(ethernet)),
        (1, frames(tag([0x81, 0]))),
        (1, frames(double)),
        (1, frames(pppoe)),
        (0, frames(|packet| [[2, 0, 0, 0].as_slice(), packet].concat())),
        (108, frames(|packet| [[0, 0, 0, 2].as_slice(), packet].concat())),
        (101, frames(<[u8]>::to_vec)),
        (12, frames(<[u8]>::to_vec)),
        (228, frames(<[u8]>::to_vec)),
        (113, frames(cooked)),
        (276, frames(cooked_2)),
    ] {
        assert!(is_found(&pcap(Order::Little, MICROSECONDS, link, &frames)), "link type {link}");
    }
}

#[test]
fn tunnels_are_seen_through() {
    let ip = |protocol: u8, inner: &[u8]| {
        let len = (20 + inner.len() as u16).to_be_bytes();
        let header =
            [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        [header.as_slice(), inner].concat()
    };
    let gre = |packet: &[u8]| ip(47, &[[0x20, 0, 8, 0, 0, 0, 0, 1].as_slice(), packet].concat());
    let vxlan = |packet: &[u8]| {
        let frame = ethernet(packet);
        let len = (16 + frame.len() as u16).to_be_bytes();
        let udp = [0xc0, 0, 0x12, 0xb5, len[0], len[1], 0, 0, 8, 0, 0, 0, 0, 0, 1, 0];
        ip(17, &[udp.as_slice(), &frame].concat())
    };
    for frames in [frames(|packet| ip(4, packet)), frames(gre), frames(vxlan)] {
        assert!(is_found(&pcap(Order::Little, MICROSECONDS, 101, &frames)));
    }
}

#[test]
fn a_file_cut_anywhere_is_read_as_far_as_it_goes() {
    let frames = frames(ethernet);
    for whole in [pcap(Order::Little, MICROSECONDS, 1, &frames), pcapng(Order::Big, &[1], &frames)]
    {
        for len in 0..whole.len() {
            let (flows, summary) = replay_bytes(&whole[..len]);
            assert!(flows.iter().all(|flow| flow["verdict"] == "allowed"));
            assert!(summary.packets < 3);
            // Cut between two packets, nothing is missing that could be told.
            assert!(matches!(summary.exit_code(), 0 | 1), "{summary}");
        }
        let (_, summary) = replay_bytes(&whole[..whole.len() - 1]);
        let problem = summary.problems.first().unwrap().to_string();
        assert!(
            problem.ends_with("ends in the middle of a packet; 2 packets before it were read"),
            "{problem}"
        );
    }
}

#[test]
fn damage_is_told() {
    for (bytes, is_expected) in [
        (
            b"".as_slice(),
            (|problem| matches!(problem, ReplayError::Foreign { .. })) as fn(&ReplayError) -> bool,
        ),
        (b"#!/bin/sh\necho this is no capture at all, but a script\n", |problem| {
            matches!(problem, ReplayError::Foreign { .. })
        }),
        (&pcap(Order::Little, MICROSECONDS, 147, &[vec![0; 60]]), |problem| {
            matches!(problem, ReplayError::Link { link: 147, .. })
        }),
    ] {
        let (_, summary) = replay_bytes(bytes);
        assert_eq!(summary.exit_code(), 1);
        assert!(is_expected(summary.problems.first().unwrap()), "{:?}", summary.problems);
    }
    let mut huge = pcap(Order::Little, MICROSECONDS, 1, &frames(ethernet));
    huge[24 + 8..24 + 12].fill(0xff);
    let (_, summary) = replay_bytes(&huge);
    assert_eq!((summary.exit_code(), summary.packets), (1, 0));
    let missing = std::path::PathBuf::from("no/such/file.pcap");
    let (_, summary) = super::replay(&[missing]);
    assert!(
        summary.problems.first().unwrap().to_string().starts_with("cannot read no/such/file.pcap")
    );
}

#[test]
fn any_flipped_byte_is_survived() {
    let frames = frames(ethernet);
    for whole in
        [pcap(Order::Little, MICROSECONDS, 1, &frames), pcapng(Order::Little, &[1], &frames)]
    {
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            replay_bytes(&bytes);
        }
    }
}

#[test]
fn people_get_a_sentence() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("a.pcap");
    std::fs::write(&file, pcap(Order::Little, MICROSECONDS, 1, &frames(ethernet))).unwrap();
    let set = &super::BUILT_IN;
    let mut engine = HostEngine::new(&set.signatures, MODES);
    let files = [file];
    let options = Options { files: &files, format: Format::Text, signatures: set, progress: None };
    let mut out = Vec::new();
    run(&options, &mut engine, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("a.pcap: blocked tcp 10.1.0.2:40000 -> 10.2.0.3:3333, bitcoin-v1 (subscribe) at packet 3"), "{text}");
    assert!(text.ends_with("3 packets, 1 flow, 1 flow with a verdict\n"), "{text}");
}
