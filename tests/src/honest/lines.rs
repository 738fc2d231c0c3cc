//! Honest line protocols: a JSON-lines log shipper and a key-value store in the manner of redis.

use std::io;

use super::Options;
use super::quotes;
use super::wire::{Checksum, Wire, wrong};
use crate::server::Stop;

/// A log collector: every line is acknowledged by its checksum.
pub(super) fn serve_log(mut wire: Wire, stop: &Stop) {
    while wire.wait(stop) {
        let Ok(line) = wire.line() else { return };
        let done = wire.send(format!("ok {}\n", Checksum::of(line))).and_then(|()| wire.rest());
        if done.is_err() {
            return;
        }
    }
}

/// Ships one line whose message quotes requests.
pub(super) fn ship_log(wire: &mut Wire, round: u32) -> io::Result<()> {
    let line = quotes::log_line(round);
    wire.ask(format!("{line}\n"))?;
    let receipt = wire.line()?;
    wire.expect("the log line", &receipt, &format!("ok {}", Checksum::of(line)))
}

/// A store that knows PING, SET and GET, inline or as an array of bulk strings.
pub(super) fn serve_store(mut wire: Wire, stop: &Stop) {
    let mut value = String::new();
    while wire.wait(stop) {
        if store_one(&mut wire, &mut value).and_then(|()| wire.rest()).is_err() {
            return;
        }
    }
}

fn store_one(wire: &mut Wire, value: &mut String) -> io::Result<()> {
    let mut words = command(wire)?.into_iter();
    match (words.next().as_deref(), words.next(), words.next()) {
        (Some("PING"), None, None) => wire.send("+PONG\r\n"),
        (Some("SET"), Some(_), Some(new)) => {
            *value = new;
            wire.send("+OK\r\n")
        }
        (Some("GET"), Some(_), None) => wire.send(format!("${}\r\n{value}\r\n", value.len())),
        _ => wire.send("-ERR unknown command\r\n"),
    }
}

fn command(wire: &mut Wire) -> io::Result<Vec<String>> {
    let line = wire.line()?;
    let Some(count) = line.strip_prefix('*') else {
        return Ok(line.splitn(3, ' ').map(str::to_owned).collect());
    };
    let count: usize = count.parse().map_err(|_| wrong("a bad array length"))?;
    (0..count.min(8)).map(|_| bulk(wire)).collect()
}

fn bulk(wire: &mut Wire) -> io::Result<String> {
    let line = wire.line()?;
    let len = line.strip_prefix('$').and_then(|len| len.parse::<usize>().ok());
    let len = len.filter(|len| *len < 1 << 20).ok_or_else(|| wrong("a bad bulk length"))?;
    let bytes = wire.exactly(len + 2)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Pings, stores a text that quotes a request, and reads it back.
pub(super) fn use_store(wire: &mut Wire, options: &Options) -> io::Result<()> {
    exchange(wire, "PING\r\n", "+PONG")?;
    if !options.hard {
        let set = format!("SET note seen: {}\r\n", quotes::V1);
        return exchange(wire, &set, "+OK");
    }
    // The bulk string puts the quoted request at the start of a line.
    let text = quotes::V1;
    let set = format!("*3\r\n$3\r\nSET\r\n$4\r\nnote\r\n${}\r\n{text}\r\n", text.len());
    exchange(wire, &set, "+OK")?;
    wire.ask("*2\r\n$3\r\nGET\r\n$4\r\nnote\r\n")?;
    let answer = bulk(wire)?;
    wire.expect("GET", &answer, text)
}

fn exchange(wire: &mut Wire, request: &str, wanted: &str) -> io::Result<()> {
    wire.ask(request)?;
    let answer = wire.line()?;
    wire.expect(request.trim_end(), &answer, wanted)
}
