//! Any bytes as DNS messages: the same is read however they are cut, and of a message that a
//! well-kept reader takes too, the question and the addresses are the same.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RData};
use sentinel_common::address::{Address, from_v4};
use sentinel_common::dns::{Act, Dns, MAX_RECORDS, Part};
use sentinel_common::names::NameKey;

const KEY: NameKey = NameKey::new(0x5eed, 0x9e37_79b9);

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Question { id: u16, answer: bool, whole: u64 },
    Address(Address, u32),
    Malformed,
}

/// Checks the bytes as a datagram and as a stream.
pub fn run(data: &[u8]) {
    let datagram = Dns::datagram(u32::try_from(data.len()).unwrap_or(u32::MAX));
    for dns in [datagram, Dns::stream()] {
        let whole = read(dns, [data]);
        assert_eq!(read(dns, data.chunks(1)), whole, "byte by byte");
        assert_eq!(read(dns, data.chunks(13)), whole, "in thirteens");
    }
    if is_plain(data)
        && let Ok(message) = Message::from_vec(data)
        && let Some(wanted) = reference(&message)
    {
        assert_eq!(read(datagram, [data]), wanted);
    }
}

fn read<'a>(mut dns: Dns, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Read> {
    let mut read = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() && !dns.is_over() {
            let (now, later) = piece.split_at(piece.len().min(dns.left() as usize));
            match dns.part() {
                Part::Field => now.iter().for_each(|&byte| dns.put(byte)),
                Part::Label => dns.label(KEY, now.iter(), now.len()),
                Part::Pass => {}
            }
            match dns.take(KEY, u32::try_from(now.len()).unwrap_or(u32::MAX)) {
                Act::None => {}
                Act::Question => read.push(Read::Question {
                    id: dns.id(),
                    answer: dns.is_answer(),
                    whole: dns.whole(),
                }),
                Act::Address => read.push(Read::Address(dns.address(), dns.ttl())),
                Act::Malformed => read.push(Read::Malformed),
            }
            piece = later;
        }
    }
    read
}

/// Whether the question's name is labels up to the root: the other reader follows a pointer there,
/// of which there can be none to follow.
fn is_plain(data: &[u8]) -> bool {
    let mut at = 12;
    while let Some(&len) = data.get(at) {
        if len == 0 || len > 63 {
            return len == 0;
        }
        at += 1 + usize::from(len);
    }
    false
}

/// What the other reader finds; `None` where the two mean to differ.
fn reference(message: &Message) -> Option<Vec<Read>> {
    let [query] = message.queries.as_slice() else { return Some(Vec::new()) };
    let header = &message.metadata;
    // An extended response code (EDNS) is more than the header's four bits.
    let plain = matches!(header.response_code, ResponseCode::NoError);
    if header.op_code != OpCode::Query || !plain {
        return None;
    }
    if query.query_class() != DNSClass::IN {
        return None;
    }
    let labels: Vec<Vec<u8>> = query.name().iter().map(<[u8]>::to_ascii_lowercase).collect();
    if labels.is_empty() || labels.iter().any(|label| label.contains(&b'.')) {
        return None;
    }
    let answer = header.message_type == MessageType::Response;
    let whole = KEY.hash(&labels.join(&b'.'));
    let mut read = vec![Read::Question { id: header.id, answer, whole }];
    if !answer || message.answers.len() > usize::from(MAX_RECORDS) {
        return (!answer).then_some(read);
    }
    for record in &message.answers {
        let address = match &record.data {
            RData::A(a) => from_v4(a.0.octets()),
            RData::AAAA(aaaa) => aaaa.0.octets(),
            _ => continue,
        };
        if record.dns_class != DNSClass::IN {
            continue;
        }
        let ttl = if record.ttl >> 31 == 0 { record.ttl } else { 0 };
        read.push(Read::Address(address, ttl));
    }
    Some(read)
}
