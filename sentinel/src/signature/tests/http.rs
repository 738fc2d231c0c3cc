//! What an HTTP head and the body behind it tell, in every split.

use super::super::reading::read_all;
use super::BUILT_IN;

/// A stream, the dialect it is of, and whether its head alone tells.
const STREAMS: &[(&str, bool, &str)] = &[
    (
        "getwork",
        true,
        "POST / HTTP/1.1\r\nAuthorization: Basic dTpw\r\nX-Mining-Extensions: longpoll midstate rollntime\r\n\r\n{}",
    ),
    ("getwork", true, "POST / HTTP/1.1\nx-mining-extensions : midstate\nhost: p\n\n{}"),
    (
        "getwork",
        true,
        "HTTP/1.1 200 OK\r\nX-Stratum: stratum+tcp://pool.example.org:3333\r\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "getwork",
        false,
        "POST / HTTP/1.1\r\nContent-Length: 43\r\n\r\n{\"method\": \"getwork\", \"params\": [], \"id\":0}\r\n",
    ),
    (
        "getblocktemplate",
        false,
        "POST / HTTP/1.0\r\nHost: n\r\n\r\n{\"id\":0,\"method\":\"getblocktemplate\",\"params\":[]}",
    ),
    ("ergo", true, "GET /mining/candidate HTTP/1.1\r\nHost: n:9052\r\n\r\n"),
    ("ergo", true, "POST /mining/solution HTTP/1.1\r\nHost: n:9052\r\n\r\n{}"),
];

const LOOKALIKES: &[&str] = &[
    "JOB,STAGE,START,END\nbuild,1,2,3\n",
    "JOB,nightly,LOW\n",
    "JOBS,alice,LOW,1\n",
    "GET /JOB,alice,LOW, HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /mining/candidates HTTP/1.1\r\nHost: jobs.example.org\r\n\r\n",
    "GET /blog/mining/candidate HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /?q=x-mining-extensions:midstate HTTP/1.1\r\nReferer: x-stratum:1\r\n\r\n",
    "GET / HTTP/1.1\r\nX-Mining: yes\r\nX-Long-Polling: /lp\r\nUser-Agent: cgminer 3.7.2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-Roll: 1\r\n\r\n/mining/candidate HTTP/1.1\r\nx-stratum: 1\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 45\r\n\r\n{\"method\":\"getmininginfo\",\"params\":[],\"id\":1}",
];

fn dialect<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(&'static str, usize)> {
    let found = read_all(&BUILT_IN.signatures, pieces)?;
    Some((BUILT_IN.catalogue.rule(found.rule)?.dialect.as_str(), found.bytes))
}

#[test]
fn heads_and_bodies_tell() {
    for &(name, by_head, stream) in STREAMS {
        let bytes = stream.as_bytes();
        let whole = dialect([bytes]);
        let (found, read) = whole.unwrap_or_else(|| panic!("{stream} is not caught"));
        assert_eq!(found, name, "{stream}");
        let head = stream.find("\n\n").or(stream.find("\r\n\r\n")).unwrap();
        assert_eq!(read <= head + 4, by_head, "{stream} is caught at {read}");
        assert_eq!(dialect(bytes.chunks(1)), whole, "{stream} byte by byte");
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(dialect([front, back]), whole, "{stream} cut at {cut}");
        }
    }
}

#[test]
fn lines_of_values_tell() {
    for line in ["JOB,alice_1,MEDIUM,k3y\n", "JOB,bob,ESP32,,", "JOB,a,AVR,None"] {
        let bytes = line.as_bytes();
        let whole = dialect([bytes]);
        assert_eq!(whole.map(|(name, _)| name), Some("duino-coin"), "{line}");
        assert_eq!(dialect(bytes.chunks(1)), whole, "{line} byte by byte");
    }
}

#[test]
fn other_heads_do_not() {
    for stream in LOOKALIKES {
        assert_eq!(dialect([stream.as_bytes()]), None, "{stream}");
        assert_eq!(dialect(stream.as_bytes().chunks(1)), None, "{stream}");
    }
}
