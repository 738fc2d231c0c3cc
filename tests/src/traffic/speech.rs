//! What is said: the dialects, what only looks like them, and what has nothing to do with them.

use super::Turn;
use super::transport::Transport;
use crate::random::Random;
use crate::transcript::{self, Dialect, Escapes, Ids, Leading, Spacing, Variant};

/// What the miner says, its opening first.
#[must_use]
pub fn client(dialect: Dialect, variant: &Variant) -> Vec<u8> {
    transcript::opening(dialect, variant).concat().into_bytes()
}

/// What the pool says: its answers, notices, and work.
#[must_use]
pub fn pool(dialect: Dialect) -> Vec<u8> {
    transcript::pool(dialect, &Variant::default()).concat().into_bytes()
}

/// What a session says later on: a share.
#[must_use]
pub fn share(dialect: Dialect, variant: &Variant) -> Vec<u8> {
    transcript::submit(dialect, 7, variant).into_bytes()
}

/// A whole session.
#[must_use]
pub fn session(dialect: Dialect, variant: &Variant) -> Vec<Turn> {
    vec![
        Turn::client(client(dialect, variant)),
        Turn::server(pool(dialect)),
        Turn::client(share(dialect, variant)),
    ]
}

/// Ways to write that real programs and evaders use, each with its name.
#[must_use]
pub fn variants() -> Vec<(&'static str, Variant)> {
    let plain = Variant::default();
    vec![
        ("plain", plain),
        ("reversed keys", Variant { reversed: true, ..plain }),
        ("escaped letter", Variant { escapes: Escapes::MethodChar, ..plain }),
        ("escaped method", Variant { escapes: Escapes::Method, ..plain }),
        ("escaped keys", Variant { escapes: Escapes::Keys, ..plain }),
        ("escaped strings", Variant { escapes: Escapes::All, ..plain }),
        ("spaces", Variant { spacing: Spacing::Python, ..plain }),
        ("blanks everywhere", Variant { spacing: Spacing::Wide, ..plain }),
        ("string ids", Variant { ids: Ids::String, ..plain }),
        ("float ids", Variant { ids: Ids::Float, ..plain }),
        ("null ids", Variant { ids: Ids::Null, ..plain }),
        ("no ids", Variant { ids: Ids::Missing, ..plain }),
        ("empty lines first", Variant { leading: Leading::Newlines, ..plain }),
        ("blanks first", Variant { leading: Leading::Blanks, ..plain }),
        ("byte order mark", Variant { leading: Leading::Bom, ..plain }),
        ("decoy request first", Variant { leading: Leading::Decoy, ..plain }),
        ("CR LF", Variant { crlf: true, ..plain }),
        ("second method", Variant { duplicate_method: true, ..plain }),
        ("9,000 bytes first", Variant { padding: 9000, ..plain }),
    ]
}

/// A conversation of any kind.
#[must_use]
pub fn any(random: &mut Random) -> Vec<Turn> {
    let mut turns = match random.below(12) {
        0..=3 => mining(random),
        4..=6 => carried(random),
        7 => {
            vec![Turn::client(soup(random)), Turn::server(soup(random)), Turn::client(soup(random))]
        }
        8 => {
            let mut turns = vec![Turn::client(soup(random))];
            turns.extend(mining(random));
            turns
        }
        9 => vec![Turn::client(stranger(random)), Turn::server(stranger(random))],
        10 => {
            let mut first = stranger(random);
            first.extend(soup(random));
            vec![Turn::client(first), Turn::server(soup(random))]
        }
        _ => {
            let (len, answer) = (1 + random.below(400), 1 + random.below(400));
            vec![Turn::client(random.bytes(len)), Turn::server(random.bytes(answer))]
        }
    };
    if random.one_in(4) {
        flip(&mut turns, random);
    }
    if random.one_in(8) {
        turns.rotate_left(1);
    }
    turns
}

fn mining(random: &mut Random) -> Vec<Turn> {
    let dialect = random.pick(Dialect::all()).copied().unwrap_or(Dialect::StratumV1);
    let mut variants = variants();
    let at = random.below(variants.len());
    let (_, mut variant) = variants.swap_remove(at);
    if variant.padding > 0 {
        // Around the budgets, and seldom: long messages are most of the bytes.
        variant.padding = random.pick(&[100, 480, 520, 2000, 9000]).copied().unwrap_or(100);
    }
    let mut turns = session(dialect, &variant);
    if random.one_in(3) {
        let keep = 1 + random.below(turns.len());
        turns.truncate(keep);
    }
    turns
}

fn carried(random: &mut Random) -> Vec<Turn> {
    let turns = mining(random);
    let transport = random.pick(&Transport::ALL).copied().unwrap_or(Transport::HttpPost);
    transport.carry(&turns)
}

/// Bytes that the lexer finds hard, in any order.
fn soup(random: &mut Random) -> Vec<u8> {
    const WORDS: [&[u8]; 30] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\\",
        b"\\u006d",
        b"\\\"",
        b"\n",
        b"\r\n",
        b" ",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\"method\":",
        b"\"mining.subscribe\"",
        b"\"mining.notify\"",
        b"\"login\"",
        b"\"params\":[",
        b"\"params\":{",
        b"\"result\":[[\"mining.notify\",\"1\"],\"08\",4]",
        b"\"job_id\":\"1\"",
        b"\"agent\":\"XMRig/6\"",
        b"\"id\":1",
        b"null",
        b"{\"id\":1,",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        b"\x81\x85",
    ];
    let mut bytes = if random.one_in(2) { b"{".to_vec() } else { Vec::new() };
    for _ in 0..1 + random.below(50) {
        bytes.extend_from_slice(random.pick(&WORDS).copied().unwrap_or(b"{"));
    }
    bytes
}

/// How other protocols begin, and where that begins to be wrong.
fn stranger(random: &mut Random) -> Vec<u8> {
    const OPENINGS: [&[u8]; 20] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n{\"method\":\"getwork\",\"params\":[],\"id\":0}",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"met\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02{}",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n{\"id\":1}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n{\"id\":1}",
        b"PROXY UNKNOWN\r\n{",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
        b"\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x50",
        b"\x04\x01\x00\x50\x00\x00\x00\x01\x00a\x00{",
        b"\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03",
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x01a\x00\x00\x01\x00\x01",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x81\xfe\x00\x7e\x01\x02\x03\x04",
        b"\xc1\x07\x00",
        b"\x01\x21\x01\x01\x01\x01\x01\x01",
    ];
    let mut bytes = random.pick(&OPENINGS).copied().unwrap_or(b"GET").to_vec();
    if random.one_in(3) {
        bytes.truncate(1 + random.below(bytes.len()));
    }
    if random.one_in(3) {
        let len = random.below(64);
        bytes.extend(random.bytes(len));
    }
    bytes
}

/// Some bytes changed, some gone.
fn flip(turns: &mut [Turn], random: &mut Random) {
    for turn in turns {
        for _ in 0..random.below(4) {
            let at = random.below(turn.bytes.len());
            if random.one_in(4) {
                turn.bytes.truncate(at);
            } else if let Some(byte) = turn.bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}
