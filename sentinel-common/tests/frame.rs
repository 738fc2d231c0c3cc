//! Names out of TLS handshakes and DNS questions, and nodes among themselves, whatever the split.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::cell::RefCell;

use sentinel_common::frame::{self, Frame, state};
use sentinel_common::limits::CHUNK;
use sentinel_common::segment::{self, Part, Piece, Segment, Source, Step, outcome};
use sentinel_common::signature::NO_RULE;
use sentinel_common::stream::{Calls, Reader};

/// A segment whose names are kept. Nothing here is read as a message.
struct Bytes<'a> {
    bytes: &'a [u8],
    name: &'a RefCell<Vec<u8>>,
    judged: &'a RefCell<Vec<(String, Source)>>,
}

impl Calls for Bytes<'_> {
    fn act(&self, place: u64, _: u64, _: u64) -> u64 {
        place
    }
    fn rule_matching(&self, _: u64, _: u64, _: u64) -> u32 {
        NO_RULE
    }
}

impl Segment for Bytes<'_> {
    fn feed(&self, frame: u64, last: u64) -> u64 {
        frame::feed(frame, last)
    }
    fn advance(&self, frame: u64, before: u64, now: u64) -> u64 {
        frame::advance(frame, before, now)
    }
    fn fill(&self, offset: u32, end: u32, chunk: &mut [u8; CHUNK]) -> Option<usize> {
        let bytes = &self.bytes[offset as usize..end as usize];
        let len = bytes.len().min(CHUNK);
        chunk[..len].copy_from_slice(&bytes[..len]);
        Some(len)
    }
    fn name(&self, offset: u32, len: u32, piece: Piece) {
        let mut name = self.name.borrow_mut();
        match piece {
            Piece::First => name.clear(),
            Piece::Label => name.push(b'.'),
            Piece::Further => {}
        }
        name.extend_from_slice(&self.bytes[offset as usize..(offset + len) as usize]);
    }
    fn judge_name(&self, source: Source) -> u32 {
        let name = String::from_utf8_lossy(&self.name.borrow()).into_owned();
        self.judged.borrow_mut().push((name, source));
        NO_RULE
    }
}

/// Reads pieces up to the first outcome; the names that were judged, and the outcome.
fn read(frame: Frame, pieces: &[&[u8]]) -> (Vec<(String, Source)>, u32) {
    let (name, judged) = (RefCell::default(), RefCell::default());
    let mut reader = Reader::framed(0, frame);
    let mut last = outcome::NONE;
    for bytes in pieces {
        let segment = Bytes { bytes, name: &name, judged: &judged };
        let end = bytes.len() as u32;
        let mut offset = 0;
        while offset < end {
            let before = reader.bytes;
            let mut chunk = [0; CHUNK];
            let step: Step = match Part::of(reader.frame()) {
                Part::Messages => return (judged.into_inner(), last),
                Part::Run => segment::run(&mut reader, 0, (offset, end), &segment),
                Part::Header => segment::header(&mut reader, (offset, end), &mut chunk, &segment),
            };
            last = step.outcome();
            if last != outcome::NONE {
                return (judged.into_inner(), last);
            }
            offset += reader.bytes - before;
        }
    }
    (judged.into_inner(), last)
}

/// The same whole, byte by byte, and in two pieces cut anywhere.
fn read_split(frame: Frame, bytes: &[u8]) -> (Vec<(String, Source)>, u32) {
    let whole = read(frame, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(frame, &single), whole, "byte by byte");
    for cut in 1..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(read(frame, &[one, two]), whole, "cut at {cut}");
    }
    whole
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// A ClientHello with these extensions, its lengths right.
fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let listed: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), sized(body)].concat())
        .collect();
    let mut body = [&[3, 3][..], &[7; 32], &[32], &[9; 32]].concat();
    body.extend(sized(&[0x13, 1, 0x13, 2]));
    body.extend([1, 0]);
    body.extend(sized(&listed));
    let handshake = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[0x16, 3, 1][..], &sized(&handshake)].concat()
}

fn server_name(name: &str) -> Vec<u8> {
    sized(&[&[0][..], &sized(name.as_bytes())].concat())
}

const OPENING: Frame = Frame::new(state::OPENING, 0);

#[test]
fn a_handshake_names_its_server() {
    let padding = (21, vec![0; 300]);
    let name = (0, server_name("xmr.pool.Example.org"));
    for extensions in [vec![name.clone()], vec![padding.clone(), name.clone(), padding.clone()]] {
        let (names, outcome) = read_split(OPENING, &hello(&extensions));
        assert_eq!(names, [("xmr.pool.Example.org".to_owned(), Source::Tls)]);
        assert_eq!(outcome, outcome::STOP, "nothing more is to be read");
    }
    for nobody in [vec![], vec![padding]] {
        let (names, outcome) = read_split(OPENING, &hello(&nobody));
        assert_eq!(names, [(String::new(), Source::Nameless)]);
        assert_eq!(outcome, outcome::STOP);
    }
    let server_hello = [0x16, 3, 3, 0, 50, 2, 0, 0, 46];
    assert_eq!(read_split(OPENING, &server_hello), (vec![], outcome::STOP));
}

/// The same handshake, in records of at most so many bytes.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    hello[5..].chunks(size).flat_map(|part| [&[0x16, 3, 3][..], &sized(part)].concat()).collect()
}

#[test]
fn a_handshake_goes_on_in_the_next_record() {
    let name = "xmr.pool.Example.org";
    let whole = hello(&[(21, vec![0; 40]), (0, server_name(name)), (21, vec![0; 9])]);
    for size in 1..whole.len() - 5 {
        let (names, outcome) = read_split(OPENING, &in_records(&whole, size));
        assert_eq!(names, [(name.to_owned(), Source::Tls)], "records of {size}");
        assert_eq!(outcome, outcome::STOP);
    }
    let nobody = in_records(&hello(&[(21, vec![0; 40])]), 7);
    assert_eq!(read_split(OPENING, &nobody).0, [(String::new(), Source::Nameless)]);
    // Empty records say nothing; anything else between two parts ends the handshake.
    let mut parted = in_records(&whole, 100);
    parted.splice(105..105, [0x16, 3, 3, 0, 0]);
    assert_eq!(read_split(OPENING, &parted).0, [(name.to_owned(), Source::Tls)]);
    parted[105] = 0x17;
    assert_eq!(read_split(OPENING, &parted), (vec![], outcome::STOP));
}

fn question(name: &str) -> Vec<u8> {
    let mut message = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1].to_vec();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    // EDNS: a root name, OPT, and no data.
    message.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    message
}

#[test]
fn a_question_names_its_host() {
    let message = question("eu.Pool.example.org");
    let frame = Frame::dns(message.len() as u64 - 12);
    let (names, outcome) = read_split(frame, &message);
    assert_eq!(names, [("eu.Pool.example.org".to_owned(), Source::Dns)]);
    assert_eq!(outcome, outcome::NONE);
}

#[test]
fn questions_follow_each_other_over_tcp() {
    let stream = [sized(&question("one.example")), sized(&question("two.sub.example"))].concat();
    let (names, _) = read_split(Frame::DNS_STREAM, &stream);
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one.example", "two.sub.example"]);
}

#[test]
fn broken_names_end_reading() {
    let mut compressed = question("a.example");
    compressed[12] = 0xc0;
    let mut long = question("a.example");
    long[12] = 60;
    for message in [compressed, long] {
        let frame = Frame::dns(message.len() as u64 - 12);
        assert_eq!(read_split(frame, &message), (vec![], outcome::STOP));
    }
}

#[test]
fn nodes_are_told_by_their_first_message() {
    let version = [&[0xf9, 0xbe, 0xb4, 0xd9][..], b"version\0\0\0\0\0", &[0; 8]].concat();
    assert_eq!(read_split(OPENING, &version).1, outcome::PEER_BITCOIN);
    let mut levin = [&[1, 0x21][..], &[1; 6], &226_u64.to_le_bytes(), &[1]].concat();
    levin.extend(1001_u32.to_le_bytes());
    levin.extend([0; 12]);
    assert_eq!(read_split(OPENING, &levin).1, outcome::PEER_MONERO);
    let mut other = version.clone();
    other[5] = b'x';
    assert_eq!(read_split(OPENING, &other).1, outcome::STOP);
    levin[17] ^= 0x55;
    levin[19] = 1;
    assert_eq!(read_split(OPENING, &levin).1, outcome::STOP);
    assert_eq!(read_split(OPENING, &[1, 0x21, 1, 2, 1, 1, 1, 1]).1, outcome::STOP);
}

#[test]
fn anything_ends_somewhere() {
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..40)
            .map(|_| {
                seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (seed >> 56) as u8 & if seed >> 55 & 1 == 0 { 0x17 } else { 0xff }
            })
            .collect();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for frame in [
            OPENING,
            Frame::DNS_STREAM,
            Frame::new(state::WEBSOCKET, 0),
            Frame::new(state::CHUNK, 0),
        ] {
            let (whole, split) = (read(frame, &[&bytes]), read(frame, &single));
            assert_eq!(whole, split, "{bytes:02x?}");
        }
    }
}
