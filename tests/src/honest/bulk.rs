//! Megabytes up and megabytes down, with a checksum each way.

use std::io;

use super::wire::{Checksum, Wire, wrong};
use crate::server::Stop;

const CHUNK: usize = 64 * 1024;
const MAX_MEGABYTES: usize = 4096;

/// Bytes that look like nothing in particular (xorshift).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, chunk: &mut [u8]) {
        for word in chunk.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            for (byte, new) in word.iter_mut().zip(self.0.to_le_bytes()) {
                *byte = new;
            }
        }
    }
}

/// Answers `PUT n` with the checksum of n megabytes, and `GET n` with n megabytes and theirs.
pub(super) fn serve(mut wire: Wire, stop: &Stop) {
    while wire.wait(stop) {
        if answer(&mut wire).and_then(|()| wire.rest()).is_err() {
            return;
        }
    }
}

fn answer(wire: &mut Wire) -> io::Result<()> {
    let line = wire.line()?;
    let megabytes = |count: &str| count.parse().ok().filter(|count| *count <= MAX_MEGABYTES);
    match line.split_once(' ').map(|(verb, count)| (verb, megabytes(count))) {
        Some(("PUT", Some(count))) => {
            let sum = receive(wire, count)?;
            wire.send(format!("{sum}\n"))
        }
        Some(("GET", Some(count))) => {
            let sum = transmit(wire, count)?;
            wire.send(format!("{sum}\n"))
        }
        _ => Err(wrong(format!("no such request: {line:?}"))),
    }
}

/// Sends and fetches this many megabytes.
pub(super) fn exchange(wire: &mut Wire, megabytes: usize) -> io::Result<()> {
    wire.ask(format!("PUT {megabytes}\n"))?;
    let sent = transmit(wire, megabytes)?;
    let sum = wire.line()?;
    wire.expect("the upload", &sum, &sent)?;
    wire.ask(format!("GET {megabytes}\n"))?;
    let received = receive(wire, megabytes)?;
    let sum = wire.line()?;
    wire.expect("the download", &sum, &received)
}

fn transmit(wire: &mut Wire, megabytes: usize) -> io::Result<String> {
    let (mut noise, mut sum, mut chunk) = (Noise(0x5eed), Checksum::new(), vec![0; CHUNK]);
    for _ in 0..megabytes * (1 << 20) / CHUNK {
        noise.fill(&mut chunk);
        sum.add(&chunk);
        wire.send(&chunk)?;
    }
    Ok(sum.text())
}

fn receive(wire: &mut Wire, megabytes: usize) -> io::Result<String> {
    let mut sum = Checksum::new();
    for _ in 0..megabytes * (1 << 20) / CHUNK {
        sum.add(&wire.exactly(CHUNK)?);
    }
    Ok(sum.text())
}
