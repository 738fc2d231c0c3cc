//! What the fuzzer begins with: transcripts and packets that are made here, nothing captured.

use std::mem::offset_of;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use sentinel_common::event::{Event, Hook, Kind};
use sentinel_common::limits::EXCERPT;
use sentinel_common::verdict::{Reason, Verdict};
use sentinel_tests::packets::{Segment, framed};
use sentinel_tests::resolver::answer;
use sentinel_tests::traffic::{Turn, speech, transport::Transport};
use sentinel_tests::transcript::{self, Dialect, Escapes, Leading, Spacing, Variant};

use crate::stream::TURN;

/// The inputs that a target begins with.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "packet" => packets(),
        "stream" => streams(),
        "pcap" => captures(),
        "signature-file" => signature_files(),
        "name" => names(),
        "decode" => records(),
        "dns" => messages(),
        _ => Vec::new(),
    }
}

/// A question and every kind of answer that the laboratory's resolver gives, bare and behind their
/// lengths.
fn messages() -> Vec<Vec<u8>> {
    let names = ["alias", "private", "wrongid", "refused", "shared", "cut", "n7", "many"];
    let questions = names.iter().filter_map(|first| {
        let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
        let name = Name::from_ascii(format!("{first}.lab.example.")).ok()?;
        message.add_query(Query::query(name, RecordType::A));
        Some(message)
    });
    let mut seeds = Vec::new();
    for question in questions {
        let bare = question.to_vec().into_iter().chain(answer(&question, true));
        for message in bare.filter(|message| message.len() < 1000) {
            let length = u16::try_from(message.len()).unwrap_or(0).to_be_bytes();
            seeds.push([length.as_slice(), &message].concat());
            seeds.push(message);
        }
    }
    seeds
}

/// How requests are written in the seeds.
fn variants() -> [Variant; 3] {
    let plain = Variant::default();
    let escapes = Variant { escapes: Escapes::MethodChar, spacing: Spacing::Wide, ..plain };
    let decoy = Variant { leading: Leading::Decoy, reversed: true, crlf: true, ..plain };
    [plain, escapes, decoy]
}

/// Every dialect's opening in every variant.
fn openings() -> Vec<Vec<u8>> {
    let each = |dialect| variants().map(|variant| transcript::opening(dialect, &variant).concat());
    Dialect::all().iter().flat_map(|&dialect| each(dialect)).map(String::into_bytes).collect()
}

/// Headers of every kind that the parser knows.
fn packets() -> Vec<Vec<u8>> {
    let tcp = Segment::data(7, b"{\"id\":1}");
    let (v4, v6) = (tcp.over_v4(), tcp.over_v6());
    let (head, body) = v6.split_at(40);
    let extended = |first: u8, chain: &[u8]| {
        let mut packet = [head, chain, body].concat();
        packet[6] = first;
        packet
    };
    let mut options = v4.clone();
    options[0] = 0x46;
    options.splice(20..20, [1, 1, 1, 0]);
    let mut later_fragment = v4.clone();
    later_fragment[6..8].copy_from_slice(&[0x20, 5]);
    let other = |protocol: u8| {
        let mut packet = v4.clone();
        packet[9] = protocol;
        packet
    };
    let mut long = vec![0; 8 * 256];
    long[1] = 255;
    let mut longer = long.clone();
    (longer[0], long[0]) = (60, 6);
    let mut seeds = vec![v4.clone(), v6.clone(), options, later_fragment];
    seeds.extend([17, 132, 136, 33, 1, 47, 51].map(other));
    seeds.push(extended(0, &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]));
    seeds.push(extended(43, &[44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9]));
    seeds.push(extended(44, &[6, 0, 0, 8, 0, 0, 0, 9]));
    seeds.push(extended(51, &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    seeds.push(extended(60, &[longer.clone(), longer, long].concat()));
    seeds
}

/// Conversations: openings alone, and with the other side's answer or a share behind a turn.
fn streams() -> Vec<Vec<u8>> {
    let seeded = |said: &[u8]| [&[7, 1, 0, 0], said].concat();
    let answer = br#"{"id":1,"jsonrpc":"2.0","error":null,"result":{"id":"a","job":{"blob":"0a0a","job_id":"1b","target":"b88d0600"},"status":"OK"}}
"#;
    let batch = br#"[{"id":0,"method":"echo"},{"id":1,"method":"mining.subscribe","params":[]}]"#;
    let mut seeds: Vec<Vec<u8>> = openings().iter().map(|said| seeded(said)).collect();
    for &dialect in Dialect::all() {
        let plain = Variant::default();
        let share = transcript::submit(dialect, 9, &plain);
        let opening = transcript::opening(dialect, &plain).concat();
        seeds.push(seeded(&[opening.as_bytes(), &[TURN], answer].concat()));
        seeds.push(seeded(&[answer.as_slice(), &[TURN], share.as_bytes()].concat()));
    }
    let padded = Variant { padding: 600, ..Variant::default() };
    seeds.push(seeded(transcript::opening(Dialect::StratumV1, &padded).concat().as_bytes()));
    let other: [&[u8]; 4] = [
        batch,
        b"\x00{\"a\":[[[[{\"b\":\"\\u12\"}]]]]}",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xef\xbb\xbf{",
    ];
    seeds.extend(other.map(seeded));
    for transport in Transport::ALL {
        let turns = transport.carry(&speech::session(Dialect::StratumV1, &Variant::default()));
        let said: Vec<Vec<u8>> = turns.iter().map(Turn::whole).collect();
        // What holds the byte that ends a turn cannot be told from two turns: it is a seed all the same.
        seeds.push(seeded(&said.join(&TURN)));
    }
    seeds
}

/// Capture files of all three kinds, with sessions of one dialect each.
fn captures() -> Vec<Vec<u8>> {
    let said = transcript::opening(Dialect::StratumV1, &Variant::default()).concat();
    let (front, back) = said.as_bytes().split_at(30);
    let syn = Segment { sequence: 0, flags: 2, ..Segment::data(0, b"") };
    let parts = [syn, Segment::data(31, back), Segment::data(1, front)];
    let v4 = parts.map(|part| framed(&part.over_v4()));
    let v6 = parts.map(|part| framed(&part.over_v6()));
    let raw = parts.map(|part| part.over_v4());
    let mut fragments = Vec::new();
    let (head, body) = raw[2].split_at(20);
    for (index, piece) in body.chunks(24).enumerate() {
        let mut fragment = [head, piece].concat();
        let more = if (index + 1) * 24 < body.len() { 0x2000 } else { 0 };
        fragment[6..8].copy_from_slice(&((index as u16 * 3) | more).to_be_bytes());
        fragments.push(fragment);
    }
    vec![
        pcap(true, 1, &v4),
        pcap(false, 1, &v6),
        pcap(true, 101, &raw),
        pcap(true, 101, &fragments),
        pcapng(1, &v4),
        pcapng(101, &raw),
    ]
}

/// A pcap file, in either byte order.
fn pcap(little: bool, link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let number = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
    let version = if little { [2, 0, 4, 0] } else { [0, 2, 0, 4] };
    let mut file = [number(0xa1b2_c3d4), version].concat();
    file.extend([0, 0, 65_535, link].map(number).concat());
    for frame in frames {
        let len = frame.len() as u32;
        file.extend([1, 2, len, len].map(number).concat());
        file.extend(frame);
    }
    file
}

/// A pcapng file with one interface.
fn pcapng(link: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes(), len.as_slice(), body, &len].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes(), [1, 0, 0, 0].as_slice(), &[0xff; 8]].concat();
    let mut file = block(0x0a0d_0d0a, &section);
    file.extend(block(1, &[&link.to_le_bytes(), [0; 6].as_slice()].concat()));
    for frame in frames {
        let len = (frame.len() as u32).to_le_bytes();
        let mut body = [[0; 4], [0; 4], [0; 4], len, len].concat();
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}

/// A small file, and the built-in ones, each with streams to try it on.
#[must_use]
pub fn signature_files() -> Vec<Vec<u8>> {
    let small = r#"dialect = "x"
[[token]]
name = "m"
role = "method"
equals = ["a", "b.c"]
[[token]]
name = "p"
role = ["element:params", "element:params.algo"]
regex = '''[a-c]+x.*'''
[[token]]
name = "k"
role = "key:params.login"
[[token]]
name = "v"
role = "value:worker"
regex = "(?i)0x[0-9a-f]{4}"
[[token]]
name = "n"
role = "element:result.[]"
equals = "mining.notify"
[[rule]]
name = "one"
message = ["m"]
any = [["p"], ["k", "v"]]
[[rule]]
name = "two"
dialect = "y"
message = ["n"]
said = ["m"]
"#;
    let said = [
        r#"{"method":"a","params":["zz","abcx1"]}"#,
        r#"{"method":"b.c","params":{"login":1,"algo":["ax"]},"worker":"0xBEEF"}"#,
        r#"{"method":"a"} {"result":[["mining.notify","x"],"y",4]}"#,
        r#"{"params":["abcx"]}"#,
    ];
    said.map(|said| [small.as_bytes(), &[0], said.as_bytes()].concat()).to_vec()
}

/// TLS handshakes and DNS questions.
fn names() -> Vec<Vec<u8>> {
    let extension = |kind: u8, body: &[u8]| [&[0, kind, 0, body.len() as u8], body].concat();
    let host = b"pool.example.com";
    let entry = [&[0, 0, host.len() as u8], host.as_slice()].concat();
    let list = [&[0, entry.len() as u8], entry.as_slice()].concat();
    let hello = |extensions: &[Vec<u8>]| {
        let extensions = extensions.concat();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([2, 9, 9, 0, 4, 0x13, 1, 0x13, 2, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let handshake = [&[1, 0, 0, body.len() as u8], body.as_slice()].concat();
        [&[22, 3, 1, 0, handshake.len() as u8], handshake.as_slice()].concat()
    };
    let question = |labels: &[&str]| {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            message.push(label.len() as u8);
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        [&(message.len() as u16).to_be_bytes(), message.as_slice()].concat()
    };
    let two = [question(&["a"]), question(&["Pool", "B", "c", "d", "e", "f", "example"])].concat();
    vec![
        hello(&[extension(0, &list)]),
        hello(&[extension(43, &[2, 3, 4]), extension(0, &list), extension(16, &[0, 0])]),
        hello(&[extension(43, &[2, 3, 4])]),
        hello(&[]),
        question(&["pool", "example", "com"]),
        two,
        b"a.b..c.D.e.f.g.h".to_vec(),
    ]
}

/// Records of every kind, with an excerpt.
fn records() -> Vec<Vec<u8>> {
    let record = |kind: Kind, verdict: Verdict, reason: Reason, excerpt: &[u8]| {
        let mut record = vec![0; size_of::<Event>()];
        let excerpt = &excerpt[..excerpt.len().min(EXCERPT)];
        record[offset_of!(Event, kind)] = kind as u8;
        record[offset_of!(Event, verdict)] = verdict as u8;
        record[offset_of!(Event, reason)] = reason as u8;
        record[offset_of!(Event, hook)] = Hook::SkbEgress as u8;
        let len = (excerpt.len() as u16).to_ne_bytes();
        record[offset_of!(Event, excerpt_len)..][..2].copy_from_slice(&len);
        record[offset_of!(Event, excerpt)..][..excerpt.len()].copy_from_slice(excerpt);
        record
    };
    let mut seeds: Vec<Vec<u8>> = openings()
        .iter()
        .map(|said| record(Kind::Stratum, Verdict::Blocked, Reason::Stratum, said))
        .collect();
    seeds.push(record(Kind::Egress, Verdict::Audited, Reason::NotAllowlisted, b""));
    seeds.push(record(Kind::Listen, Verdict::Allowed, Reason::Listen, b""));
    seeds.push(record(Kind::Connect, Verdict::Allowed, Reason::UnseenConnect, b""));
    seeds
}
