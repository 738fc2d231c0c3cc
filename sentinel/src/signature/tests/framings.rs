//! A login inside everything that may stand around it, whatever the split.

use super::BUILT_IN;
use crate::signature::reading::{Found, read_all, read_on};
use sentinel_common::stream::Reader;

const LOGIN: &str =
    r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"me","pass":"x"}}"#;
const KEY: [u8; 4] = [0x8f, 0x01, 0xe2, 0x5c];

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Found> {
    read_all(&BUILT_IN.signatures, pieces)
}

/// Whether it is found: whole, byte by byte, and cut anywhere in two.
fn is_found(name: &str, bytes: &[u8]) -> bool {
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(1)), whole, "{name}, byte by byte");
    for cut in 1..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(read([one, two]), whole, "{name}, cut at {cut}");
    }
    whole.is_some()
}

/// A websocket frame; `first` is its first byte.
fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(mask | len as u8),
        len @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key.unwrap_or_default().iter().take(if key.is_some() { 4 } else { 0 }));
    let masked = payload.iter().zip(key.unwrap_or_default().into_iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

fn upgrade(after: &[u8]) -> Vec<u8> {
    let head = "GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    [head.as_bytes(), after].concat()
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("POST /json_rpc HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes(), body].concat()
}

fn chunks(body: &str, size: usize, extension: &str) -> Vec<u8> {
    let mut chunks = String::new();
    for piece in body.as_bytes().chunks(size) {
        let text = std::str::from_utf8(piece).unwrap();
        chunks.push_str(&format!("{:X}{extension}\r\n{text}\r\n", piece.len()));
    }
    (chunks + "0\r\n\r\n").into_bytes()
}

#[test]
fn preambles_hide_nothing() {
    let login = LOGIN.as_bytes();
    let address = [198, 51, 100, 7, 0x0d, 0x05];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("SOCKS5, no password", [&[5, 1, 0, 5, 1, 0, 1][..], &address].concat()),
        ("SOCKS5, a host's name", [&[5, 2, 0, 2, 5, 1, 0, 3, 3][..], b"a.b", &[1, 187]].concat()),
        ("SOCKS5, IPv6", [&[5, 1, 0, 5, 1, 0, 4][..], &[0x20; 16], &[1, 187]].concat()),
        (
            "SOCKS5, a password",
            [&[5, 1, 2, 1, 2][..], b"me", &[3], b"key", &[5, 1, 0, 1], &address].concat(),
        ),
        ("SOCKS4", [&[4, 1, 0x0d, 5, 198, 51, 100, 7][..], b"me\0"].concat()),
        ("SOCKS4a", [&[4, 1, 0x0d, 5, 0, 0, 0, 9][..], b"\0a.example\0"].concat()),
        ("PROXY 1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
        (
            "PROXY 2",
            [
                &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
                &[192, 0, 2, 1],
                &[192, 0, 2, 2],
                &[0, 1, 0, 2],
            ]
            .concat(),
        ),
        ("CONNECT", b"CONNECT a.example:3333 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("blank lines", b"\r\n\r\n\r\n".to_vec()),
        ("HTTP", post("Content-Length: 80\r\n", b"")),
    ];
    for (name, preamble) in &cases {
        assert!(is_found(name, &[preamble, login].concat()), "{name}");
        assert!(!is_found(name, &[preamble, &b"{\"a\":1} and more"[..]].concat()), "{name}");
    }
    for (name, preamble) in cases.iter().take(8) {
        let inner = post("Transfer-Encoding: chunked\r\n", chunks(LOGIN, 9, "").as_slice());
        assert!(is_found(name, &[preamble.as_slice(), &inner].concat()), "HTTP in {name}");
    }
}

#[test]
fn chunks_hide_nothing() {
    for size in [1, 7, 1000] {
        for extension in ["", ";a=b", " "] {
            let body = chunks(LOGIN, size, extension);
            let request = post("Transfer-Encoding: gzip, Chunked\r\n", &body);
            assert!(is_found("chunks", &request), "chunks of {size}");
        }
    }
    let second = [post("Content-Length: 7\r\n", b"{\"a\":1}"), post("", LOGIN.as_bytes())].concat();
    assert!(is_found("second", &second), "the second request on a connection");
    let polls = b"GET /getheight HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    assert!(is_found("polls", &[polls, post("", LOGIN.as_bytes())].concat()));
}

#[test]
fn websocket_frames_hide_nothing() {
    let login = LOGIN.as_bytes();
    let (one, two) = login.split_at(30);
    let long = format!("{}{LOGIN}", " ".repeat(300));
    for key in [None, Some(KEY), Some([0; 4])] {
        let cases = [
            ("text", frame(0x81, key, login)),
            ("binary", frame(0x82, key, login)),
            ("16-bit length", frame(0x81, key, long.as_bytes())),
            ("fragments", [frame(1, key, one), frame(0x80, key, two)].concat()),
            (
                "a ping between",
                [frame(1, key, one), frame(0x89, key, b"{\"x\""), frame(0x80, key, two)].concat(),
            ),
            (
                "an empty frame between",
                [frame(1, key, one), frame(0, key, b""), frame(0x80, key, two)].concat(),
            ),
            (
                "behind a compressed message",
                [frame(0xc1, key, b"\xaa\x56\x0a"), frame(0x81, key, login)].concat(),
            ),
        ];
        for (name, frames) in cases {
            assert!(is_found(name, &upgrade(&frames)), "{name}, key {key:?}");
        }
    }
    let pong = [frame(0x8a, Some(KEY), login), frame(0x81, Some(KEY), b"{}")].concat();
    assert!(!is_found("pong", &upgrade(&pong)), "a control frame is no message");
    let compressed = [frame(0x41, None, b"{"), frame(0x80, None, login)].concat();
    assert!(!is_found("compressed", &upgrade(&compressed)), "bytes that mean something else");
}

/// What is found in segments of a direction that nobody read from its first byte, one after another.
fn found_late(segments: &[Vec<u8>]) -> bool {
    let mut reader = Reader::waiting();
    segments.iter().any(|segment| {
        reader.begin_segment();
        read_on(&mut reader, &BUILT_IN.signatures, 0, segment).is_some()
    })
}

#[test]
fn a_websocket_is_read_from_any_frame_on() {
    let login = LOGIN.as_bytes();
    let (one, two) = login.split_at(30);
    let cut = frame(0x82, Some(KEY), LOGIN.repeat(2).as_bytes()).split_off(40);
    for key in [None, Some(KEY)] {
        let whole = frame(0x81, key, login);
        let (head, rest) = whole.split_at(1);
        let cases = [
            ("text", vec![whole.clone()]),
            ("data", vec![frame(0x82, key, login)]),
            ("a frame in two segments", vec![head.to_vec(), rest.to_vec()]),
            ("fragments", vec![frame(1, key, one), frame(0x80, key, two)]),
            ("behind another", vec![frame(0x81, key, b"{\"a\":1}"), whole.clone()]),
            ("behind the end of one", vec![cut.clone(), whole.clone()]),
            ("behind something else", vec![vec![0xee, 0x17, 0x80], whole.clone()]),
        ];
        for (name, segments) in cases {
            assert!(found_late(&segments), "{name}, key {key:?}");
        }
    }
    let compressed = [frame(0xc1, None, login), frame(0x80, None, login)];
    assert!(!found_late(&compressed), "bytes that mean something else");
    let binary = [vec![0x82, 0x30], [&[0; 48][..], login].concat()];
    assert!(!found_late(&binary), "a frame ends where it says");
    assert!(found_late(&[b"} \n".to_vec(), login.to_vec()]), "lines as before");
}

#[test]
fn documents_are_not_messages() {
    let quoted = format!("as the miner says:\n{LOGIN}\n");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{quoted}");
    let mail = format!("EHLO a\r\nMAIL FROM:<a@b>\r\nDATA\r\nSubject: x\r\n\r\n{quoted}");
    let chunked = post("Transfer-Encoding: chunked\r\n", &chunks(&quoted, 20, ""));
    let spoken = format!("USER a\r\n{LOGIN}");
    assert!(is_found("one line", spoken.as_bytes()), "a line and then a message is a preamble");
    for (name, text) in
        [("answer", answer.as_bytes()), ("mail", mail.as_bytes()), ("chunked", &chunked)]
    {
        assert!(!is_found(name, text), "{name}");
    }
}
