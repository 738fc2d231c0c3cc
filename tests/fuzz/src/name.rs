//! Any bytes as a TLS handshake, as DNS questions and as a name: what is gathered is the same however
//! the stream is cut, it is what a plain parser of whole messages finds, and the hashes of a name's
//! ends are those of the ends.

use std::cell::RefCell;

use sentinel::signature::reading::Direct;
use sentinel_common::frame::{Frame, state};
use sentinel_common::limits::CHUNK;
use sentinel_common::names::{MAX_LABELS, NameKey, Suffixes, lower};
use sentinel_common::segment::{self, Part, Piece, Segment, Source, outcome};
use sentinel_common::signature::NO_RULE;
use sentinel_common::stream::{Calls, Reader};

use crate::BUILT_IN;

/// Checks one stream, and its first bytes as a name.
pub fn run(data: &[u8]) {
    suffixes(data.get(..data.len().min(80)).unwrap_or(data));
    for first in [Frame::new(state::OPENING, 0), Frame::DNS_STREAM] {
        let whole = names(first, [data]);
        assert_eq!(names(first, data.chunks(1)), whole, "byte by byte");
        assert_eq!(names(first, data.chunks(7)), whole, "in sevens");
        if first == Frame::DNS_STREAM {
            if let Some(name) = first_question(data) {
                assert_eq!(whole.first(), Some(&(Source::Dns, name)), "the first question");
            }
        } else if let Some(name) = server_name(data) {
            assert_eq!(whole, [(Source::Tls, name)], "the server's name");
        }
    }
}

/// The hash of every end of a name is that of the end alone.
fn suffixes(name: &[u8]) {
    let key = NameKey::new(0x5eed, 0x9e37_79b9);
    let name: Vec<u8> = name.iter().map(|byte| lower(*byte)).collect();
    let mut suffixes = Suffixes::new(key);
    name.iter().for_each(|byte| suffixes.push(*byte));
    let hashes = suffixes.hashes();
    let labels: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
    for count in 1..=labels.len().min(MAX_LABELS) {
        let end = labels[labels.len() - count..].join(&b'.');
        assert_eq!(hashes[count - 1], key.hash(&end), "{}", String::from_utf8_lossy(&end));
    }
}

/// The names that a stream asks for, each with where it was read.
fn names<'a>(first: Frame, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Source, Vec<u8>)> {
    let mut reader = Reader::framed(0, first);
    let name = RefCell::new(Vec::new());
    let judged = RefCell::new(Vec::new());
    for bytes in pieces {
        let gather = Gather {
            direct: Direct { signatures: &BUILT_IN.signatures, bytes },
            name: &name,
            judged: &judged,
        };
        let mut offset = 0;
        while offset < bytes.len() && !reader.is_stopped() {
            // Budgets are counted in bytes and looked at between steps: not what is compared here.
            reader.bytes = 0;
            let place = (offset as u32, bytes.len() as u32);
            let mut chunk = [0; CHUNK];
            let step = match Part::of(reader.frame()) {
                // Messages ask for no names.
                Part::Messages => return judged.into_inner(),
                Part::Run => segment::run(&mut reader, 0, place, &gather),
                Part::Header => segment::header(&mut reader, place, &mut chunk, &gather),
            };
            offset += reader.bytes as usize;
            if step.outcome() != outcome::NONE {
                return judged.into_inner();
            }
        }
    }
    judged.into_inner()
}

/// The shared steps, with a name that is put together as the kernel does it.
struct Gather<'a> {
    direct: Direct<'a>,
    name: &'a RefCell<Vec<u8>>,
    judged: &'a RefCell<Vec<(Source, Vec<u8>)>>,
}

impl Calls for Gather<'_> {
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64 {
        self.direct.act(place, cell, byte)
    }
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        self.direct.rule_matching(message, said, peer)
    }
}

impl Segment for Gather<'_> {
    fn feed(&self, frame: u64, last: u64) -> u64 {
        self.direct.feed(frame, last)
    }
    fn advance(&self, frame: u64, before: u64, now: u64) -> u64 {
        self.direct.advance(frame, before, now)
    }
    fn fill(&self, offset: u32, end: u32, chunk: &mut [u8; CHUNK]) -> Option<usize> {
        self.direct.fill(offset, end, chunk)
    }
    fn name(&self, offset: u32, len: u32, piece: Piece) {
        let mut name = self.name.borrow_mut();
        match piece {
            Piece::First => name.clear(),
            Piece::Label => name.push(b'.'),
            Piece::Further => {}
        }
        assert!(len <= segment::PIECE, "a piece of {len} bytes");
        name.extend(&self.direct.bytes[offset as usize..(offset + len) as usize]);
    }
    fn judge_name(&self, source: Source) -> u32 {
        self.judged.borrow_mut().push((source, self.name.borrow().clone()));
        NO_RULE
    }
}

/// A reader of bytes that gives up at their end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(front)
    }

    /// What stands behind a length of so many bytes.
    fn behind(&mut self, width: usize) -> Option<Cursor<'a>> {
        let len = self.take(width)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        self.take(len).map(Cursor)
    }
}

/// RFC 8446 section 4.1.2 and RFC 6066 section 3: the name in a whole handshake in a whole record,
/// where all lengths fit each other.
fn server_name(data: &[u8]) -> Option<Vec<u8>> {
    let mut records = Cursor(data);
    let [22, 3, _] = records.take(3)? else { return None };
    let mut record = records.behind(2)?;
    let [1] = record.take(1)? else { return None };
    let mut hello = record.behind(3)?;
    hello.take(34)?;
    hello.behind(1)?;
    hello.behind(2)?;
    hello.behind(1)?;
    let mut extensions = hello.behind(2)?;
    loop {
        let kind = extensions.take(2)?;
        let mut extension = extensions.behind(2)?;
        if kind == [0, 0] {
            let mut list = extension.behind(2)?;
            let [0] = list.take(1)? else { return None };
            let name = list.behind(2)?.0;
            return (!name.is_empty() && name.len() < 256).then(|| name.to_vec());
        }
        // An empty rest ends the extensions for ours, as it does here.
    }
}

/// RFC 1035 sections 4.1 and 4.2.2: the first question's name in a whole message over TCP.
fn first_question(data: &[u8]) -> Option<Vec<u8>> {
    let mut message = Cursor(data).behind(2)?;
    message.take(12)?;
    let mut labels = Vec::new();
    loop {
        let label = message.take(1)?[0];
        match label {
            0 => break,
            64.. => return None,
            len => labels.push(message.take(usize::from(len))?),
        }
    }
    (!labels.is_empty()).then(|| labels.join(&b'.'))
}
