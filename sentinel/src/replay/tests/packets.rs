//! What a wire does to packets, undone: order, fragments, size, damage, used ports.

use super::replay_bytes;
use super::wire::{Order, PSH_ACK, SYN, Tcp, pcap, session};

const LINE: &[u8] =
    br#"{"id": 1, "method": "eth_submitLogin", "params": ["0x51", "x"], "worker": "r"}"#;

fn flows(packets: &[Vec<u8>]) -> Vec<serde_json::Value> {
    replay_bytes(&pcap(Order::Little, 0xa1b2_c3d4, 101, packets)).0
}

fn verdicts(packets: &[Vec<u8>]) -> Vec<bool> {
    flows(packets).iter().map(|flow| flow["dialect"] == "ethproxy").collect()
}

#[test]
fn one_byte_at_a_time_in_any_order() {
    let bytes: Vec<&[u8]> = LINE.chunks(1).collect();
    let mut packets = session(&bytes);
    assert_eq!(verdicts(&packets), [true]);
    packets[2..].chunks_mut(24).for_each(<[_]>::reverse);
    assert_eq!(verdicts(&packets), [true]);
}

#[test]
fn a_late_packet_gets_the_verdict_its_own_number() {
    let mut packets = session(&[&LINE[..25], &LINE[25..]]);
    packets.swap(2, 3);
    assert_eq!(flows(&packets)[0]["packet"], 3, "the later half came first, held back until then");
}

#[test]
fn fragments_are_joined() {
    let packets = session(&[LINE]);
    for size in [8, 16, 40] {
        let mut pieces = packets[..2].to_vec();
        let (header, body) = packets[2].split_at(20);
        let mut fragments: Vec<Vec<u8>> = Vec::new();
        for (index, piece) in body.chunks(size).enumerate() {
            let offset = (index * size / 8) as u16;
            let more = if (index + 1) * size < body.len() { 0x2000 } else { 0 };
            let mut header = header.to_vec();
            header[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            header[6..8].copy_from_slice(&(offset | more).to_be_bytes());
            fragments.push([header.as_slice(), piece].concat());
        }
        fragments.reverse();
        pieces.extend(fragments);
        assert_eq!(verdicts(&pieces), [true], "{size} bytes each");
        pieces.pop();
        assert_eq!(verdicts(&pieces), [false], "the first fragment is missing");
    }
}

#[test]
fn large_packets_are_cut() {
    for padding in [2990, 3000, 3010, 6000, 15_000] {
        let line = [b"{\"x\":\"".as_slice(), &b"A".repeat(padding), b"\",", &LINE[1..]].concat();
        assert_eq!(verdicts(&session(&[&line])), [true], "{padding}");
    }
    let line = [b"{\"x\":\"".as_slice(), &b"A".repeat(17_000), b"\",", &LINE[1..]].concat();
    assert_eq!(verdicts(&session(&[&line])), [false], "beyond the message budget");
}

#[test]
fn a_damaged_decoy_is_no_part_of_the_stream() {
    let mut packets = session(&[LINE]);
    let decoy = Tcp {
        from: ("10.1.0.2", 40000),
        to: ("10.2.0.3", 3333),
        sequence: 1001,
        flags: PSH_ACK,
        payload: b"{\"method\":\"echo\",\"params\":[\"01234567890123456789012345678901234567890123456789012\"]}",
        damage: true,
    };
    packets.insert(2, decoy.packet());
    assert_eq!(verdicts(&packets), [true]);
}

#[test]
fn ports_used_again_are_another_flow() {
    let mut packets = session(&[b"GET / HTTP/1.0\r\n\r\n"]);
    let again = |sequence, flags, payload| {
        let (from, to) = (("10.1.0.2", 40000), ("10.2.0.3", 3333));
        Tcp { from, to, sequence, flags, payload, damage: false }.packet()
    };
    packets.push(again(500_000, SYN, b"".as_slice()));
    packets.push(again(500_000, SYN, b"".as_slice()));
    packets.push(again(500_001, PSH_ACK, LINE));
    assert_eq!(verdicts(&packets), [false, true]);
}

#[test]
fn direction_is_told_from_whoever_began() {
    let mut packets = session(&[LINE]);
    assert_eq!(flows(&packets)[0]["direction"], "egress");
    packets.remove(0);
    let flow = &flows(&packets)[0];
    assert_eq!(
        (&flow["src_port"], &flow["direction"]),
        (&40000.into(), &"egress".into()),
        "from the answer"
    );
    packets.remove(0);
    assert_eq!(flows(&packets)[0]["direction"], "egress", "from the first to speak");
}

#[test]
fn ipv6_and_padding_between_headers() {
    let tcp = |sequence, flags, payload| {
        let (from, to) = (("fd00::2", 40000), ("fd00::3", 3333));
        Tcp { from, to, sequence, flags, payload, damage: false }.packet()
    };
    let packets = [tcp(0xffff_fff0, SYN, b"".as_slice()), tcp(0xffff_fff1, PSH_ACK, LINE)];
    assert_eq!(verdicts(&packets), [true]);
    let with_options: Vec<Vec<u8>> = packets
        .iter()
        .map(|packet| {
            let mut header = packet[..40].to_vec();
            let len = u16::from_be_bytes([header[4], header[5]]) + 16;
            header[4..6].copy_from_slice(&len.to_be_bytes());
            header[6] = 0;
            let options = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
            [header.as_slice(), &options, &packet[40..]].concat()
        })
        .collect();
    assert_eq!(verdicts(&with_options), [true]);
}
