//! The gate's table says of first bytes what a plain list of beginnings says.

use sentinel_common::config::{Modes, Policies, Switch};
use sentinel_common::flow::Direction;
use sentinel_common::inspect::{Facts, Opening, Start, opening};
use sentinel_common::packet::Packet;
use sentinel_common::policy::{TCP, UDP};
use sentinel_common::verdict::Mode;

/// Everything but a message that the first four bytes of a stream may be.
const HEADS: [&[u8]; 7] = [b"GET ", b"POST", b"PUT ", b"HTTP", b"CONN", b"PROX", b"JOB,"];
const PEERS: [[u8; 4]; 11] = [
    [0x01, 0x21, 0x01, 0x01],
    [0xf9, 0xbe, 0xb4, 0xd9],
    [0xfa, 0xbf, 0xb5, 0xda],
    [0x0b, 0x11, 0x09, 0x07],
    [0xf9, 0xbe, 0xb4, 0xfe],
    [0x52, 0x41, 0x56, 0x4e],
    [0xc0, 0xc0, 0xc0, 0xc0],
    [0xfb, 0xc0, 0xb6, 0xdb],
    [0xbf, 0x0c, 0x6b, 0xbd],
    [0x24, 0xe9, 0x27, 0x64],
    [0xe3, 0xe1, 0xf3, 0xe8],
];
const PORTS: [u16; 2] = [53, 443];
const LENGTHS: [u32; 2] = [63, 64];

fn packet(protocol: u8, port: u16, len: u32) -> Packet {
    Packet {
        ports: Some((50_000, port)),
        protocol,
        flags: 0,
        icmp_type: 0,
        sequence: 0,
        transport: 20,
        payload: 40,
        end: 40 + len,
    }
}

fn message(first: [u8; 4]) -> bool {
    let before = b" \t\r\n[],\0\xef\xbb\xbf";
    first.iter().find(|byte| !before.contains(byte)).is_none_or(|&byte| byte == b'{')
}

fn preamble(first: [u8; 4]) -> bool {
    // What is shorter than four bytes is filled up with spaces.
    let spaces = first.iter().rev().take_while(|&&byte| byte == b' ').count();
    let said = first.get(..4 - spaces).unwrap_or(&[]);
    let shortened = (1..4).contains(&said.len());
    HEADS.iter().any(|head| head == &first || (shortened && head.starts_with(said)))
        || matches!(first, [5, 0..10 | b' ', ..] | [4, 1 | 2 | b' ', ..])
}

fn wanted(
    packet: &Packet,
    direction: Direction,
    start: Start,
    first: [u8; 4],
    modes: Modes,
) -> Opening {
    let egress = direction == Direction::Egress;
    let (reads, names) = (modes.stratum != Mode::Off, modes.names != Mode::Off);
    let to_dns = names && egress && packet.ports.is_some_and(|(_, port)| port == 53);
    if packet.protocol == UDP {
        return match to_dns {
            true => Opening::DnsQuestion,
            false if reads && message(first) => Opening::Datagram,
            false => Opening::Closed,
        };
    }
    let peers = modes.peer_to_peer != Mode::Off && PEERS.contains(&first);
    let tls = names && egress && matches!(first, [0x16, 3 | b' ', ..]);
    // A length of 0x20 may stand for a byte that is still to come.
    let masked = matches!(first, [_, b' ' | 0x80.., ..]);
    let frame = match first {
        [_, 0x7f | 0xff, ..] => false,
        [0x81 | 0x82, ..] => true,
        [1 | 2, ..] => masked,
        _ => false,
    };
    if start == Start::Later {
        Opening::Closed
    } else if to_dns {
        Opening::DnsStream
    } else if peers || tls || (reads && (message(first) || preamble(first))) {
        Opening::Stream
    } else if reads && start == Start::Unknown && frame {
        Opening::Frames
    } else if reads && egress && start == Start::First && packet.payload_len() == 64 {
        Opening::Noise
    } else {
        Opening::Closed
    }
}

/// Asks about these bytes in every circumstance.
fn check(first: [u8; 4]) {
    for mode in 0..8 {
        let on = |bit: u8| if mode & bit == 0 { Mode::Off } else { Mode::Audit };
        let modes = Modes { egress: Mode::Off, stratum: on(1), names: on(2), peer_to_peer: on(4) };
        let switch = Switch::new(1, modes, Policies::default(), 1);
        for (protocol, port, len) in [TCP, UDP]
            .into_iter()
            .flat_map(|protocol| PORTS.map(|port| (protocol, port)))
            .flat_map(|(protocol, port)| LENGTHS.map(|len| (protocol, port, len)))
        {
            let packet = packet(protocol, port, len);
            for direction in [Direction::Egress, Direction::Ingress] {
                for start in [Start::First, Start::Later, Start::Unknown] {
                    let facts = Facts::of(&packet, direction, start);
                    assert_eq!(
                        opening(facts, first, switch),
                        wanted(&packet, direction, start, first, modes),
                        "{first:02x?} {packet:?} {direction:?} {start:?} {modes:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn two_bytes_of_every_value() {
    for a in 0..=u8::MAX {
        for b in 0..=u8::MAX {
            check([a, b, b' ', b' ']);
        }
    }
}

#[test]
fn every_beginning_and_its_neighbours() {
    let heads = HEADS.iter().filter_map(|head| <[u8; 4]>::try_from(*head).ok());
    for known in
        heads.chain(PEERS).chain([*b" \n[{", *b"\xef\xbb\xbf{", *b"{\"id", [0x16, 3, 1, 0]])
    {
        for place in 0..4 {
            for byte in 0..=u8::MAX {
                let mut first = known;
                if let Some(changed) = first.get_mut(place) {
                    *changed = byte;
                }
                check(first);
            }
        }
    }
}
