//! What is answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Addresses of `many`.
pub const MANY: u16 = 200;
/// Seconds that every answer is good for.
const TTL: u32 = 1;

/// Where the addresses of fixed names stand in the crowd.
pub struct Place;

impl Place {
    /// The first of `many`'s.
    pub const MANY: u16 = 0xc000;
    /// `alias`, by a chain of three names.
    pub const ALIAS: u16 = 0xd000;
    /// `cut`, whose datagrams are truncated.
    pub const CUT: u16 = 0xd001;
    /// `wrongid`, answered under another id.
    pub const WRONG_ID: u16 = 0xd002;
    /// `wrongname`, answered for another name.
    pub const WRONG_NAME: u16 = 0xd003;
    /// `refused`: addresses in an answer that is an error.
    pub const REFUSED: u16 = 0xd004;
    /// `shared` and `partner`.
    pub const SHARED: u16 = 0xd005;
}

/// An address of the crowd, 203.0.0.0/16: nobody's private network.
#[must_use]
pub const fn member(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(203, 0, high, low)
}

/// The answers to a question, as bytes. `nNUMBER` has the crowd's address of that number; see [`Place`]
/// for the others; `private` has only addresses that nobody should be led to.
#[must_use]
pub fn answer(question: &Message, stream: bool) -> Vec<Vec<u8>> {
    let Some(query) = question.queries.first() else { return Vec::new() };
    let name = query.name().clone();
    let text = name.to_lowercase().to_ascii();
    let first = text.split('.').next().unwrap_or_default();
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.add_query(query.clone());
    message.set_edns(Edns::new());
    let records = match first {
        "many" => (0..MANY).map(|index| a(&name, Place::MANY + index)).collect(),
        "alias" => {
            let (cdn, edge) = (named("cdn.example.net"), named("edge.cdn.example.net"));
            vec![cname(&name, &cdn), cname(&cdn, &edge), a(&edge, Place::ALIAS)]
        }
        "cut" if !stream => {
            message.metadata.truncation = true;
            Vec::new()
        }
        "cut" => vec![a(&name, Place::CUT)],
        "private" => private(&name),
        "wrongid" => {
            message.metadata.id = message.metadata.id.wrapping_add(1);
            vec![a(&name, Place::WRONG_ID)]
        }
        "wrongname" => {
            message.queries = vec![Query::query(named("other.lab.example"), RecordType::A)];
            vec![a(&name, Place::WRONG_NAME)]
        }
        "refused" => {
            message.metadata.response_code = ResponseCode::ServFail;
            vec![a(&name, Place::REFUSED)]
        }
        "shared" | "partner" => vec![a(&name, Place::SHARED)],
        first => {
            let number = first.strip_prefix('n').and_then(|number| number.parse().ok());
            number.map(|number| a(&name, number)).into_iter().collect()
        }
    };
    message.add_answers(records);
    message.to_vec().into_iter().collect()
}

fn a(owner: &Name, number: u16) -> Record {
    Record::from_rdata(owner.clone(), TTL, RData::A(A(member(number))))
}

fn cname(owner: &Name, to: &Name) -> Record {
    Record::from_rdata(owner.clone(), TTL, RData::CNAME(CNAME(to.clone())))
}

fn named(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap_or_default();
    name.set_fqdn(true);
    name
}

fn private(name: &Name) -> Vec<Record> {
    let v4 =
        ["10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254"];
    let v4 = v4.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok()).map(|ip| RData::A(A(ip)));
    let v6 = ["::1", "fe80::1", "fd00::1", "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b::a00:1"];
    let v6 = v6.iter().filter_map(|text| text.parse::<Ipv6Addr>().ok());
    let v6 = v6.map(|ip| RData::AAAA(AAAA(ip)));
    v4.chain(v6).map(|data| Record::from_rdata(name.clone(), TTL, data)).collect()
}
