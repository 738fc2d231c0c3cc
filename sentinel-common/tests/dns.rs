//! The reader of DNS messages against a well-kept one: same question, same addresses, however the
//! bytes are cut.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails does so by panicking"
)]

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::prelude::*;
use sentinel_common::address::{Address, from_v4};
use sentinel_common::dns::{Act, Dns, Part};
use sentinel_common::names::{MAX_LABELS, NameKey};

const KEY: NameKey = NameKey::new(0x0123_4567_89ab_cdef, 0x0fed_cba9_8765_4321);

/// What was read, in its order.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Question { id: u16, answer: bool, whole: u64, suffixes: [u64; MAX_LABELS] },
    Address(Address, u32),
    Malformed,
}

fn acted(dns: &Dns, act: Act, read: &mut Vec<Read>) {
    match act {
        Act::None => {}
        Act::Question => read.push(Read::Question {
            id: dns.id(),
            answer: dns.is_answer(),
            whole: dns.whole(),
            suffixes: std::array::from_fn(|index| dns.suffix(index)),
        }),
        Act::Address => read.push(Read::Address(dns.address(), dns.ttl())),
        Act::Malformed => read.push(Read::Malformed),
    }
}

/// Byte by byte.
fn fed(mut dns: Dns, bytes: &[u8]) -> Vec<Read> {
    let mut read = Vec::new();
    for &byte in bytes {
        let act = dns.feed(KEY, byte);
        acted(&dns, act, &mut read);
    }
    read
}

/// In pieces, each as the kernel takes it: as much of a part as there is.
fn driven<'a>(mut dns: Dns, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Read> {
    let mut read = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() && !dns.is_over() {
            let len = piece.len().min(dns.left() as usize);
            let (now, later) = piece.split_at(len);
            match dns.part() {
                Part::Field => now.iter().for_each(|&byte| dns.put(byte)),
                Part::Label => dns.label(KEY, now.iter(), len),
                Part::Pass => {}
            }
            let act = dns.take(KEY, len as u32);
            acted(&dns, act, &mut read);
            piece = later;
        }
    }
    read
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn question(text: &str) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name(text), RecordType::A));
    message
}

fn answer(text: &str, records: Vec<Record>) -> Message {
    let mut message = Message::response(0x1234, OpCode::Query);
    message.add_query(Query::query(name(text), RecordType::A));
    message.add_answers(records);
    message
}

fn a(owner: &str, last: u16) -> Record {
    let [high, low] = last.to_be_bytes();
    Record::from_rdata(name(owner), 60, RData::A(A(Ipv4Addr::new(203, 0, high, low))))
}

fn datagram(message: &Message) -> Vec<Read> {
    let bytes = message.to_vec().unwrap();
    fed(Dns::datagram(bytes.len() as u32), &bytes)
}

fn asked(read: &Read) -> (u64, [u64; MAX_LABELS]) {
    let Read::Question { whole, suffixes, .. } = read else { panic!("{read:?}") };
    (*whole, *suffixes)
}

#[test]
fn the_name_is_hashed_whole_and_by_its_ends() {
    let read = datagram(&question("A.b.C.d.e.F.g.Example.COM"));
    let (whole, suffixes) = asked(&read[0]);
    assert_eq!(whole, KEY.hash(b"a.b.c.d.e.f.g.example.com"), "more labels than are kept");
    let wanted = ["com", "example.com", "g.example.com", "f.g.example.com"];
    for (found, wanted) in suffixes.iter().zip(wanted) {
        assert_eq!(*found, KEY.hash(wanted.as_bytes()), "{wanted}");
    }
    let (whole, suffixes) = asked(&datagram(&question("localhost"))[0]);
    assert_eq!((whole, whole), (KEY.hash(b"localhost"), suffixes[0]));
    assert!(!suffixes[1..].contains(&whole), "one label has one end");
}

#[test]
fn a_dot_within_a_label_begins_no_label() {
    let mut bytes = question("xevil.example").to_vec().unwrap();
    // "xevil" becomes "x.vil".
    bytes[14] = b'.';
    let read = fed(Dns::datagram(bytes.len() as u32), &bytes);
    let (whole, suffixes) = asked(&read[0]);
    assert_ne!(whole, KEY.hash(b"x.vil.example"));
    assert!(!suffixes.contains(&KEY.hash(b"vil.example")), "{suffixes:?}");
}

#[test]
fn a_chain_of_names_leads_to_its_addresses() {
    let mut message = answer(
        "www.example.com",
        vec![
            Record::from_rdata(
                name("www.example.com"),
                300,
                RData::CNAME(CNAME(name("cdn.example.net"))),
            ),
            Record::from_rdata(
                name("cdn.example.net"),
                30,
                RData::CNAME(CNAME(name("edge.cdn.example.net"))),
            ),
            Record::from_rdata(
                name("edge.cdn.example.net"),
                20,
                RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)),
            ),
            a("edge.cdn.example.net", 9),
        ],
    );
    message.add_authority(a("ns.example.net", 77));
    message.add_additional(a("ns.example.net", 78));
    message.set_edns(Edns::new());
    let read = datagram(&message);
    assert_eq!(read.len(), 3, "{read:?}");
    assert_eq!(read[1], Read::Address(Ipv6Addr::LOCALHOST.octets(), 20));
    assert_eq!(read[2], Read::Address(from_v4([203, 0, 0, 9]), 60), "no other section's");
}

#[test]
fn two_hundred_answers_are_two_hundred_addresses_and_no_more_than_the_bound() {
    for (count, wanted) in [(200, 200), (512, 512), (600, 512)] {
        let message = answer("many.example", (0..count).map(|i| a("many.example", i)).collect());
        let read = datagram(&message);
        assert_eq!(read.len(), 1 + wanted);
        let [high, low] = (wanted as u16 - 1).to_be_bytes();
        assert_eq!(read[wanted], Read::Address(from_v4([203, 0, high, low]), 60));
    }
}

#[test]
fn what_is_no_answer_teaches_nothing() {
    let good = answer("pool.example", vec![a("pool.example", 1)]);
    assert_eq!(datagram(&good).len(), 2);
    let mut refused = good.clone();
    refused.metadata.response_code = ResponseCode::NXDomain;
    assert_eq!(datagram(&refused), [], "an error");
    let mut update = good.clone();
    update.metadata.op_code = OpCode::Update;
    assert_eq!(datagram(&update), [], "another operation");
    let mut two = good.clone();
    two.add_query(Query::query(name("b.example"), RecordType::A));
    assert_eq!(datagram(&two), [], "two questions");
    let mut asks = good.clone();
    asks.metadata.message_type = MessageType::Query;
    assert_eq!(datagram(&asks).len(), 1, "a question's answers are none");
    let mut chaos = good.clone();
    chaos.answers[0].dns_class = DNSClass::CH;
    assert_eq!(datagram(&chaos).len(), 1, "another class");
}

#[test]
fn a_time_to_live_with_the_highest_bit_is_none() {
    let mut record = a("pool.example", 1);
    record.ttl = 0x8000_0001;
    assert_eq!(
        datagram(&answer("pool.example", vec![record]))[1],
        Read::Address(from_v4([203, 0, 0, 1]), 0)
    );
}

fn record(owner: &str) -> impl Strategy<Value = Record> + use<> {
    let owner = name(owner);
    let data = prop_oneof![
        3 => any::<[u8; 4]>().prop_map(|octets| RData::A(A(octets.into()))),
        3 => any::<[u8; 16]>().prop_map(|octets| RData::AAAA(AAAA(octets.into()))),
        1 => any_name().prop_map(|text| RData::CNAME(CNAME(name(&text)))),
        1 => "[ -~]{0,80}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
    ];
    (data, 0..0x7fff_ffff_u32)
        .prop_map(move |(data, ttl)| Record::from_rdata(owner.clone(), ttl, data))
}

fn any_name() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-zA-Z_][a-zA-Z0-9_]{0,19}", 1..9)
        .prop_map(|labels| labels.join("."))
}

fn message() -> impl Strategy<Value = Message> {
    let answers = any_name().prop_flat_map(|owner| {
        let records = proptest::collection::vec(record(&owner), 0..12);
        (Just(owner), records)
    });
    (answers, any::<u16>(), any::<bool>(), any::<bool>()).prop_map(
        |((owner, records), id, edns, ask)| {
            let mut message = if ask { question(&owner) } else { answer(&owner, records) };
            message.metadata.id = id;
            if edns {
                message.set_edns(Edns::new());
            }
            message
        },
    )
}

/// What the other reader finds in a message.
fn reference(message: &Message) -> Vec<Read> {
    let query = &message.queries[0];
    let mut text = query.name().to_lowercase().to_ascii();
    text.pop();
    let labels: Vec<&str> = text.split('.').collect();
    let mut suffixes = [0; MAX_LABELS];
    for (index, place) in suffixes.iter_mut().enumerate() {
        if let Some(at) = labels.len().checked_sub(index + 1) {
            *place = KEY.hash(labels[at..].join(".").as_bytes());
        }
    }
    let answer = message.metadata.message_type == MessageType::Response;
    let whole = KEY.hash(text.as_bytes());
    let mut read = vec![Read::Question { id: message.metadata.id, answer, whole, suffixes }];
    read.extend(message.answers.iter().filter_map(|record| match &record.data {
        RData::A(a) => Some(Read::Address(from_v4(a.0.octets()), record.ttl)),
        RData::AAAA(aaaa) => Some(Read::Address(aaaa.0.octets(), record.ttl)),
        _ => None,
    }));
    read
}

/// The hashes that stand for labels which are not there have no meaning.
fn sameness(mut read: Vec<Read>, wanted: &[Read]) -> Vec<Read> {
    for (mine, other) in read.iter_mut().zip(wanted) {
        if let (Read::Question { suffixes, .. }, Read::Question { suffixes: theirs, .. }) =
            (mine, other)
        {
            for (mine, theirs) in suffixes.iter_mut().zip(theirs) {
                if *theirs == 0 {
                    *mine = 0;
                }
            }
        }
    }
    read
}

proptest! {
    #[test]
    fn messages_say_what_the_other_reader_says(message in message()) {
        let wanted = reference(&message);
        prop_assert_eq!(sameness(datagram(&message), &wanted), wanted);
    }

    #[test]
    fn a_stream_of_messages_is_read_however_it_is_cut(
        messages in proptest::collection::vec(message(), 1..4),
        cuts in proptest::collection::vec(1_usize..70, 1..40),
    ) {
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for message in &messages {
            let message_bytes = message.to_vec().unwrap();
            bytes.extend(u16::try_from(message_bytes.len()).unwrap().to_be_bytes());
            bytes.extend(message_bytes);
            wanted.extend(reference(message));
        }
        prop_assert_eq!(sameness(fed(Dns::stream(), &bytes), &wanted), &wanted[..]);
        let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece);
            rest = later;
        }
        prop_assert_eq!(sameness(driven(Dns::stream(), pieces.into_iter()), &wanted), wanted);
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 1_usize..40,
    ) {
        let len = bytes.len() as u32;
        for dns in [Dns::stream(), Dns::datagram(len)] {
            prop_assert_eq!(fed(dns, &bytes), driven(dns, bytes.chunks(cut)));
        }
    }
}
