//! One connection of the miner-like client, watched for its end at every step.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::{Options, millis};

/// A piece that waits longer may be joined with the next.
const DEPARTED_WITHIN: Duration = Duration::from_millis(200);

/// Why a session is over before its time.
#[derive(Debug)]
pub(super) enum End {
    Closed,
    Error(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Error(error)
    }
}

pub(super) struct Session<'a> {
    stream: TcpStream,
    options: &'a Options,
    unread: Vec<u8>,
    last_write: Instant,
    pub(super) local: SocketAddr,
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) lines: u32,
    pub(super) answers: u32,
    pub(super) notifications: u32,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: TcpStream, options: &'a Options) -> io::Result<Session<'a>> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        Ok(Session {
            local: stream.local_addr()?,
            stream,
            options,
            unread: Vec::new(),
            last_write: Instant::now(),
            written: 0,
            read: 0,
            lines: 0,
            answers: 0,
            notifications: 0,
        })
    }

    /// Milliseconds since the kernel last accepted bytes.
    pub(super) fn since_write(&self) -> u64 {
        millis(self.last_write.elapsed())
    }

    /// Sends text that holds this many lines, piece by piece.
    pub(super) fn say(&mut self, text: &str, lines: u32) -> Result<(), End> {
        for (index, piece) in self.options.segments.cut(text.as_bytes()).into_iter().enumerate() {
            if index > 0 {
                self.pause(self.options.delay())?;
            }
            self.write(piece)?;
            self.await_departure();
        }
        self.lines += lines;
        Ok(())
    }

    /// Waits until every line was answered, or until patience ends, which is no error.
    pub(super) fn await_answers(&mut self) -> Result<(), End> {
        let patience = Duration::from_millis(self.options.answer_ms);
        let deadline = Instant::now() + patience;
        while self.answers < self.lines {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.hear(left)?;
        }
        Ok(())
    }

    /// Listens to what the pool says unasked.
    pub(super) fn listen(&mut self, time: Duration) -> Result<(), End> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.hear(left)?;
        }
    }

    fn write(&mut self, mut piece: &[u8]) -> Result<(), End> {
        while !piece.is_empty() {
            let count = self.stream.write(piece)?;
            self.last_write = Instant::now();
            self.written += count as u64;
            piece = piece.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits until what was written has left, so that the kernel does not join it with the next
    /// piece, as it does when the device is slower than the program.
    fn await_departure(&self) {
        let deadline = Instant::now() + DEPARTED_WITHIN;
        while crate::sys::unsent_bytes(self.stream.as_fd()).is_ok_and(|count| count > 0)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Sleeps, but notices an error or the end at once; incoming data waits.
    fn pause(&mut self, time: Duration) -> Result<(), End> {
        if self.ready(PollFlags::RDHUP, time)? {
            return Err(self.stream.take_error()?.map_or(End::Closed, End::Error));
        }
        Ok(())
    }

    /// Reads what comes within the time given.
    fn hear(&mut self, within: Duration) -> Result<(), End> {
        if !self.ready(PollFlags::IN, within)? {
            return Ok(());
        }
        let mut buffer = [0; 16_384];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(End::Closed);
        }
        self.read += count as u64;
        self.unread.extend_from_slice(buffer.get(..count).unwrap_or_default());
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            self.sort(&line);
        }
        Ok(())
    }

    /// Tells answers from notifications. Lines that are no JSON are neither.
    fn sort(&mut self, line: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
        let has = |key| value.get(key).is_some();
        // EthProxy pushes work as an answer to a request 0 that nobody made.
        let pushed = value.get("id").is_some_and(|id| id == 0) && has("result");
        if (has("method") && !is_answer(&value)) || (pushed && self.answers >= self.lines) {
            self.notifications += 1;
        } else {
            self.answers += 1;
        }
    }

    /// Waits for the given event, an error or a hang-up; false if the time ran out.
    fn ready(&self, event: PollFlags, within: Duration) -> Result<bool, End> {
        let within = Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.stream, event)];
        match poll(&mut fds, Some(&within)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(End::Error(error.into())),
        }
    }
}

/// Whether a message with a method answers a request all the same: Grin gives the method back, Beam
/// and Iron Fish have words for it.
fn is_answer(value: &Value) -> bool {
    let method = value.get("method").and_then(Value::as_str).unwrap_or_default();
    let answers = ["result", "mining.subscribed", "mining.submitted"];
    value.get("result").is_some() || answers.contains(&method)
}
