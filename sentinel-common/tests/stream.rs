//! Sequence numbers, budgets and lost places, and the layout that both sides share.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test fails")]

use sentinel_common::config::Switch;
use sentinel_common::flow::{Direction, Flow, Owner};
use sentinel_common::inspect::{Admission, Arrival, Opening, Start, admit, is_open};
use sentinel_common::lexer;
use sentinel_common::limits::{CHUNK, INSPECTION_BUDGET, MAX_RULES, MAX_STATES, MESSAGE_BUDGET};
use sentinel_common::place;
use sentinel_common::policy::TCP;
use sentinel_common::signature::{ACCEPTS, CELLS, NO_RULE, Rule, Signatures};
use sentinel_common::stream::{Calls, Reader, STARTED, read};

/// A set with one token, at the end of any key of level 1, and one rule that asks for it.
fn signatures() -> Box<Signatures> {
    // An unoptimised build takes a megabyte over the stack more than once.
    let roomy = std::thread::Builder::new().stack_size(16 << 20);
    let made = roomy.spawn(|| {
        Box::new(Signatures {
            rules_used: 1,
            reserved: 0,
            symbol_class: [3; 256],
            accepts: [0; MAX_STATES],
            rules: [Rule::UNUSED; MAX_RULES],
            next: [0; CELLS],
        })
    });
    let mut set = made.unwrap().join().unwrap();
    set.symbol_class[usize::from(lexer::SILENT)] = 0;
    set.symbol_class[usize::from(lexer::KEY)] = 1;
    set.symbol_class[usize::from(b'!')] = 2;
    set.accepts[2] = 1;
    set.rules[0] = Rule { message: 1, said: 0, peer: 0, dialect: 0, used: 1 };
    let classes = CELLS / MAX_STATES;
    // State 1: a key of level 1 has begun; state 2: it begins with '!'; state 3 is its silent twin.
    set.next[1] = 1;
    set.next[classes + 1] = 1;
    set.next[classes] = 1;
    set.next[classes + 2] = 2 | ACCEPTS;
    set.next[2 * classes] = 3;
    set.next[3 * classes] = 3;
    set
}

struct Direct<'a>(&'a Signatures);

impl Calls for Direct<'_> {
    fn act(&self, place: u64, cell: u64, byte: u64) -> u64 {
        place::act(place, cell, byte)
    }
    fn rule_matching(&self, message: u64, said: u64, peer: u64) -> u32 {
        self.0.rule_matching(message, said, peer)
    }
}

/// Reads as the kernel does: chunk by chunk, each followed by the budget.
fn feed(reader: &mut Reader, set: &Signatures, bytes: &[u8]) -> Option<u32> {
    for piece in bytes.chunks(CHUNK) {
        let mut chunk = [0; CHUNK];
        chunk[..piece.len()].copy_from_slice(piece);
        let rule = read(reader, set, 0, &chunk, piece.len(), &Direct(set));
        if rule != NO_RULE {
            return Some(reader.bytes);
        }
        reader.keep_to_budget();
    }
    None
}

#[test]
fn segments_are_placed_across_the_wrap() {
    let reader = Reader::at_start(5);
    assert_eq!(reader.already_read(5), Some(0));
    assert_eq!(reader.already_read(4), Some(1));
    assert_eq!(reader.already_read(0xffff_fffb), Some(10));
    assert_eq!(reader.already_read(6), None);
    assert_eq!(Reader::at_start(0xffff_ffff).already_read(3), None);
}

#[test]
fn reading_stops_at_the_completing_byte() {
    let set = signatures();
    let mut reader = Reader::at_start(0);
    assert_eq!(feed(&mut reader, &set, b"{\"x\":1,\"!\":2}"), Some(9));
    assert_eq!((reader.message, reader.said), (1, 1));
}

#[test]
fn a_message_forgets_the_one_before() {
    let mut set = signatures();
    set.rules_used = 0;
    let mut reader = Reader::at_start(0);
    assert_eq!(feed(&mut reader, &set, b"{\"!\":1}"), None);
    assert_eq!((reader.message, reader.said), (1, 1));
    assert_eq!(feed(&mut reader, &set, b"\n{"), None);
    assert_eq!((reader.message, reader.said), (0, 1));
}

#[test]
fn a_flow_that_says_nothing_is_let_go() {
    let set = signatures();
    let mut reader = Reader::at_start(0);
    let messages = b"{\"a\":1}\n".repeat(INSPECTION_BUDGET as usize / 8);
    assert_eq!(feed(&mut reader, &set, &messages), None);
    assert!(reader.is_stopped(), "between messages, at the budget");
    assert_eq!(feed(&mut reader, &set, b"{\"!\":1}"), None);
}

#[test]
fn a_message_under_way_at_the_budget_is_read_to_its_end() {
    let set = signatures();
    for padding in [INSPECTION_BUDGET, 5000, MESSAGE_BUDGET - 100] {
        let line =
            [b"{\"x\":\"".as_slice(), &vec![b'A'; padding as usize], b"\",\"!\":1}\n"].concat();
        let mut reader = Reader::at_start(0);
        assert!(feed(&mut reader, &set, &line).is_some(), "{padding} bytes of padding");
    }
    let line =
        [b"{\"x\":\"".as_slice(), &vec![b'A'; MESSAGE_BUDGET as usize], b"\",\"!\":1}\n"].concat();
    let mut reader = Reader::at_start(0);
    assert_eq!(feed(&mut reader, &set, &line), None);
    assert!(reader.is_stopped());
    let mut reader = Reader::at_start(0);
    let last = [b"{\"x\":\"".as_slice(), &[b'A'; 600], b"\"}\n{\"!\":1}"].concat();
    assert_eq!(feed(&mut reader, &set, &last), None, "the message after is beyond the budget");
    assert!(reader.is_stopped());
}

#[test]
fn a_lost_place_is_found_at_a_line() {
    let set = signatures();
    let mut reader = Reader::at_start(0);
    feed(&mut reader, &set, b"{\"x\":\"");
    reader.lose_place(100);
    assert_eq!(feed(&mut reader, &set, b"\",{\"!\":1}} {\"!\":1}"), None);
    assert!(feed(&mut reader, &set, b"\n{\"!\":1}").is_some());
    assert_eq!(reader.next_sequence, 100, "whoever feeds keeps the sequence");
}

#[test]
fn a_waiting_reader_takes_its_place_from_the_next_segment() {
    let set = signatures();
    let resumed = || Flow::resumed(Owner::default(), true);
    let arrive = |flow: &mut Flow, sequence: u32| {
        let (start, opening) = (Start::Unknown, Opening::Closed);
        let arrival = Arrival { sequence, len: 8, start, opening, protocol: TCP };
        admit(flow, Direction::Egress, Switch(0), &arrival)
    };
    let mut flow = resumed();
    assert_eq!(arrive(&mut flow, 77), Admission::Read(0));
    let [reader, _] = &mut flow.readers;
    assert_eq!((reader.started(), reader.already_read(77)), (STARTED, Some(0)));
    assert!(feed(reader, &set, b"{\"!\":1}").is_some(), "a segment that begins a message");

    let mut flow = resumed();
    assert_eq!(arrive(&mut flow, 0xffff_fff0), Admission::Read(0));
    let [reader, _] = &mut flow.readers;
    assert_eq!(feed(reader, &set, b"\"x\",{\"!\":1}} {\"!\":1}"), None, "the end of one");
    assert!(!reader.is_stopped());
    assert!(feed(reader, &set, b"\n{\"!\":1}").is_some());
    assert_eq!(arrive(&mut flow, 0xffff_ff00), Admission::Nothing);
}

#[test]
fn a_resumed_flow_is_open_and_belongs_to_its_owner() {
    let owner = Owner { tgid: 7, ..Owner::default() };
    let flow = Flow::resumed(owner, true);
    assert!(is_open(&flow));
    assert!(!is_open(&Flow::NEW));
    assert_eq!((flow.owner, flow.owned), (owner, 3));
}

#[test]
fn a_stopped_reader_stays_stopped() {
    let set = signatures();
    let mut reader = Reader::STOPPED;
    assert!(reader.is_stopped());
    assert_eq!(feed(&mut reader, &set, b"\n{\"!\":1}"), None);
    reader = Reader::at_start(0);
    reader.stop();
    assert_eq!(feed(&mut reader, &set, b"{\"!\":1}"), None);
}
