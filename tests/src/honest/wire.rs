//! A counted, buffered connection and a checksum, shared by honest clients and servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::server::is_timeout;

/// How long honest programs wait for one another.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    pub(super) read: u64,
    pub(super) written: u64,
    /// Requests made, for clients.
    pub(super) asked: u32,
    /// Requests answered as they should be.
    pub(super) answered: u32,
}

impl Wire {
    pub(super) fn connect(target: SocketAddr) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire::new(stream))
    }

    pub(super) fn new(stream: TcpStream) -> Wire {
        Wire { stream, unread: Vec::new(), read: 0, written: 0, asked: 0, answered: 0 }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.written += bytes.as_ref().len() as u64;
        Ok(())
    }

    /// Checks an answer and counts it.
    pub(super) fn expect(&mut self, what: &str, got: &str, wanted: &str) -> io::Result<()> {
        if got != wanted {
            let got: String = got.chars().take(80).collect();
            return Err(wrong(format!("{what} was answered wrongly: {got:?}")));
        }
        self.answered += 1;
        Ok(())
    }

    /// Sends a request and counts it.
    pub(super) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.asked += 1;
        self.send(bytes)
    }

    /// Reads up to and with the next mark.
    pub(super) fn until(&mut self, mark: &[u8]) -> io::Result<String> {
        loop {
            let found = self.unread.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                let taken: Vec<u8> = self.unread.drain(..at + mark.len()).collect();
                return Ok(String::from_utf8_lossy(&taken).into_owned());
            }
            self.fill()?;
        }
    }

    /// Reads a line without its end.
    pub(super) fn line(&mut self) -> io::Result<String> {
        Ok(self.until(b"\n")?.trim_end().to_owned())
    }

    /// Reads exactly this many bytes.
    pub(super) fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.fill()?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += count as u64;
        self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    /// For servers, whose reads wake up every tick: waits until something arrives. False if the
    /// connection is over or the server should stop.
    pub(super) fn wait(&mut self, stop: &crate::server::Stop) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        while !stop.requested() {
            match self.fill() {
                Ok(()) => {
                    // From here on a request is under way and may take its time.
                    return self.stream.set_read_timeout(Some(PATIENCE)).is_ok();
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Gives up the connection at the end of a server's request, back to short reads.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(crate::server::TICK))
    }
}

/// FNV-1a, 64 bits.
#[derive(Clone, Copy)]
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) fn new() -> Checksum {
        Checksum(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn of(bytes: impl AsRef<[u8]>) -> String {
        let mut sum = Checksum::new();
        sum.add(bytes.as_ref());
        sum.text()
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Elapsed milliseconds for reports.
pub(super) fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An error about what the other side said.
pub(super) fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
