//! HTTP/1.1, as much as two programs of ours need: a page, a page that quotes requests, a form.

use std::io;

use super::quotes;
use super::wire::{Checksum, Wire, wrong};
use super::{Options, Tally};
use crate::server::Stop;

/// Serves requests on one connection until the client leaves.
pub(super) fn serve(mut wire: Wire, stop: &Stop) {
    while wire.wait(stop) {
        if answer(&mut wire).and_then(|()| wire.rest()).is_err() {
            return;
        }
    }
}

fn answer(wire: &mut Wire) -> io::Result<()> {
    let head = wire.until(b"\r\n\r\n")?;
    let body = wire.exactly(content_length(&head)?)?;
    let mut words = head.split(' ');
    let route = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, text) = match route {
        ("GET", "/health") => ("200 OK", "text/plain", "ok\n".to_owned()),
        ("GET", "/docs") => ("200 OK", "text/html", quotes::page()),
        ("GET", "/docs/block") => ("200 OK", "text/html", quotes::block_page()),
        ("POST", "/tickets") => ("201 Created", "application/json", receipt(&body)),
        _ => ("404 Not Found", "text/plain", "no such page\n".to_owned()),
    };
    wire.send(format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))
}

fn receipt(body: &[u8]) -> String {
    format!("{{\"received\":{},\"checksum\":\"{}\"}}", body.len(), Checksum::of(body))
}

/// A shop's client: one connection held open over all rounds, and a fresh one per round.
pub(super) struct Client {
    held: Option<Wire>,
}

impl Client {
    pub(super) fn new() -> Client {
        Client { held: None }
    }

    /// A page over the held connection, then a ticket and a health check over a fresh one.
    pub(super) fn round(
        &mut self,
        options: &Options,
        round: u32,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let mut held = match self.held.take() {
            Some(held) => held,
            None => tally.connect(options)?,
        };
        let result = pages(&mut held, options.hard);
        tally.take(&mut held);
        result?;
        self.held = Some(held);
        let mut fresh = tally.connect(options)?;
        let result = ticket(&mut fresh, round);
        tally.take(&mut fresh);
        result
    }
}

fn pages(wire: &mut Wire, hard: bool) -> io::Result<()> {
    get(wire, "/docs", &quotes::page())?;
    if hard {
        get(wire, "/docs/block", &quotes::block_page())?;
    }
    Ok(())
}

fn ticket(wire: &mut Wire, round: u32) -> io::Result<()> {
    let body = quotes::ticket(round);
    wire.ask(format!(
        "POST /tickets HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    let answer = response(wire)?;
    wire.expect("/tickets", &answer, &receipt(body.as_bytes()))?;
    get(wire, "/health", "ok\n")
}

fn get(wire: &mut Wire, path: &str, wanted: &str) -> io::Result<()> {
    wire.ask(format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: shop/1.0\r\n\r\n"))?;
    let answer = response(wire)?;
    wire.expect(path, &answer, wanted)
}

fn response(wire: &mut Wire) -> io::Result<String> {
    let head = wire.until(b"\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 20") {
        return Err(wrong(format!("the server said {:?}", head.lines().next())));
    }
    let body = wire.exactly(content_length(&head)?)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn content_length(head: &str) -> io::Result<usize> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    match fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        None => Ok(0),
        Some((_, value)) => value.trim().parse().map_err(|_| wrong("a bad Content-Length")),
    }
}
