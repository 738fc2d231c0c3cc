//! Any bytes as a packet: the kernel's parser, a slow one that is written from the RFCs' own words,
//! and the crate `etherparse` say the same.

use etherparse::{SlicedPacket, TransportSlice};
use sentinel_common::packet::{self, Packet};
use sentinel_common::policy::{TCP, UDP};

use crate::reference;

/// Checks one packet.
pub fn run(data: &[u8]) {
    let parsed = packet::parse(&data);
    assert_eq!(parsed, reference::parse(data), "parser and reference differ");
    assert_eq!(packet::addresses(&data), reference::addresses(data), "addresses differ");
    let Some(parsed) = parsed else { return };
    assert_eq!(parsed.end as usize, data.len());
    assert!(parsed.transport <= parsed.payload);
    assert!(parsed.payload_len() as usize <= data.len());
    let brief = parsed.brief();
    assert_eq!(brief.protocol(), parsed.protocol);
    assert_eq!(brief.payload(), parsed.payload, "an offset that the word has no room for");
    assert_eq!(brief.transport(), parsed.ports.map(|_| parsed.transport));
    others_agree(data, &parsed);
}

/// What `etherparse` reads from a packet that it finds flawless, ours reads as well. It refuses more
/// (lengths that do not fit, orders of headers), so silence on its side says nothing.
fn others_agree(data: &[u8], ours: &Packet) {
    let Ok(theirs) = SlicedPacket::from_ip(data) else { return };
    // It walks an authentication header under IPv4 too, where ours sees protocol 51.
    let v4 = data.first().is_some_and(|first| first >> 4 == 4);
    if v4 && ours.protocol == 51 {
        return;
    }
    match theirs.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(ours.protocol, TCP);
            assert_eq!(ours.ports, Some((tcp.source_port(), tcp.destination_port())));
            assert_eq!(ours.sequence, tcp.sequence_number());
            assert_eq!(
                (ours.flags & packet::SYN != 0, ours.flags & packet::ACK != 0),
                (tcp.syn(), tcp.ack())
            );
            assert_eq!((ours.payload - ours.transport) as usize, tcp.header_len());
        }
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!(ours.protocol, UDP);
            assert_eq!(ours.ports, Some((udp.source_port(), udp.destination_port())));
        }
        _ => {}
    }
}
