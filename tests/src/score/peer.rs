//! The sessions themselves: two threads and a TLS connection each.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::net::sockopt::socket_cookie;
use rustls::StreamOwned;

use super::pattern::{Kind, Pattern, Saying};
use super::tls::Keys;
use super::{Options, sleep_until};
use crate::server::{Stop, is_timeout};

/// Every message begins with its own length and that of the answer it wants, four bytes each.
const HEADER: usize = 8;
/// The longest pause in which nobody looks whether the end has come.
const TICK: Duration = Duration::from_millis(50);
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(20);
const STACK: usize = 256 * 1024;

/// The time of the sessions, which is faster than that of the clock on the wall.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    begun: Instant,
    scale: f64,
}

impl Clock {
    pub(super) fn new(scale: f64) -> Self {
        Self { begun: Instant::now(), scale }
    }

    pub(super) const fn scale(&self) -> f64 {
        self.scale
    }

    /// Seconds of the sessions.
    pub(super) fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * self.scale
    }

    pub(super) fn wait_until(&self, seconds: f64) {
        sleep_until(self.begun + Duration::from_secs_f64(seconds / self.scale));
    }

    fn left(&self, seconds: f64) -> Duration {
        let left = ((seconds - self.now()) / self.scale).max(0.0);
        Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)
    }
}

/// All sessions of a run.
pub(super) struct Sessions {
    patterns: HashMap<u64, Pattern>,
    over: Stop,
    threads: Vec<JoinHandle<()>>,
    /// While it listens, its port's connections count as coming in.
    _listener: TcpListener,
}

impl Sessions {
    /// Opens them one after the other; each one's time begins with its opening.
    pub(super) fn start(options: &Options, clock: &Clock) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let keys = Keys::new()?;
        let over = Stop::default();
        let (mut patterns, mut threads) = (HashMap::new(), Vec::new());
        for number in 0..options.sessions {
            for pattern in Pattern::of(options.set) {
                let script = pattern.script(number, options);
                let client = TcpStream::connect(address)?;
                let (server, _) = listener.accept()?;
                patterns.insert(socket_cookie(&client)?, *pattern);
                let asks = !matches!(pattern.kind(), Kind::Miner | Kind::Evader);
                let (client_tls, server_tls) = keys.session(asks)?;
                let begins = clock.now();
                let place = |script| {
                    let (clock, over) = (clock.clone(), over.clone());
                    Part { script, begins, ends: f64::INFINITY, clock, over }
                };
                let (client_part, server_part) = (place(script.client), place(script.server));
                threads.push(spawn(client, move |tcp| {
                    client_part.act(&tcp, StreamOwned::new(client_tls, &tcp)).1
                })?);
                threads.push(spawn(server, move |tcp| {
                    server_part.act(&tcp, StreamOwned::new(server_tls, &tcp)).1
                })?);
            }
        }
        Ok(Self { patterns, over, threads, _listener: listener })
    }

    pub(super) fn has(&self, cookie: u64) -> bool {
        self.patterns.contains_key(&cookie)
    }

    pub(super) fn cookies(&self) -> impl Iterator<Item = u64> {
        self.patterns.keys().copied()
    }

    /// Ends all of them and tells which was which.
    pub(super) fn end(self) -> Vec<(u64, Pattern)> {
        self.over.request();
        for thread in self.threads {
            // A session that broke off is seen in its scores.
            let _ = thread.join();
        }
        self.patterns.into_iter().collect()
    }
}

/// A small stack: there are hundreds.
fn spawn(
    tcp: TcpStream,
    act: impl FnOnce(TcpStream) -> io::Result<End> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    tcp.set_nodelay(true)?;
    thread::Builder::new().stack_size(STACK).spawn(move || {
        if let Err(error) = act(tcp) {
            eprintln!("a session broke off: {error}");
        }
    })
}

/// One side's part.
pub(super) struct Part {
    pub(super) script: Vec<Saying>,
    /// When its time begins, and when it is over, by the clock.
    pub(super) begins: f64,
    pub(super) ends: f64,
    pub(super) clock: Clock,
    pub(super) over: Stop,
}

/// How a part came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its time was over.
    Over,
    /// The other side closed the connection.
    Closed,
}

impl Part {
    /// Plays it; how many whole messages came in, and how it ended.
    pub(super) fn act(
        self,
        tcp: &TcpStream,
        mut stream: impl Read + Write,
    ) -> (u32, io::Result<End>) {
        let mut heard = Heard::default();
        let end = self.play(tcp, &mut stream, &mut heard);
        (heard.messages, end)
    }

    fn play(
        &self,
        tcp: &TcpStream,
        stream: &mut (impl Read + Write),
        heard: &mut Heard,
    ) -> io::Result<End> {
        for saying in &self.script {
            let at = self.begins + saying.at;
            if let Some(end) = self.listen(tcp, stream, heard, at.min(self.ends))? {
                return Ok(end);
            }
            if self.is_over() {
                return Ok(End::Over);
            }
            say(tcp, stream, saying.size, saying.answer)?;
        }
        let end = self.listen(tcp, stream, heard, self.ends)?;
        Ok(end.unwrap_or(End::Over))
    }

    fn is_over(&self) -> bool {
        self.over.requested() || self.clock.now() >= self.ends
    }

    /// Answers what comes until a moment; says how it ended if it did before.
    fn listen(
        &self,
        tcp: &TcpStream,
        stream: &mut (impl Read + Write),
        heard: &mut Heard,
        until: f64,
    ) -> io::Result<Option<End>> {
        let mut buffer = [0; 16_384];
        while !self.over.requested() {
            let left = self.clock.left(until).min(TICK);
            if left.is_zero() {
                return Ok(None);
            }
            tcp.set_read_timeout(Some(left.max(Duration::from_micros(500))))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Some(End::Closed)),
                Ok(count) => {
                    heard.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    while let Some(answer) = heard.next() {
                        if answer > 0 {
                            say(tcp, stream, answer, 0)?;
                        }
                    }
                }
                Err(error) if is_timeout(&error) => {}
                // The other side was told first that all is over.
                Err(_) if self.over.requested() => return Ok(Some(End::Over)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Some(End::Closed));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(End::Over))
    }
}

/// What has come in and is not a whole message yet, and how many whole ones there were.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    messages: u32,
}

impl Heard {
    /// The answer that the next whole message wants.
    fn next(&mut self) -> Option<usize> {
        let word = |at: usize| {
            let bytes = self.bytes.get(at..)?.first_chunk()?;
            usize::try_from(u32::from_be_bytes(*bytes)).ok()
        };
        let (size, answer) = (word(0)?, word(4)?);
        if self.bytes.len() < size {
            return None;
        }
        self.bytes.drain(..size);
        self.messages += 1;
        Some(answer)
    }
}

/// One message, one write, one record. The first one waits for the rest of the handshake, which is
/// read.
fn say(tcp: &TcpStream, stream: &mut impl Write, size: usize, answer: usize) -> io::Result<()> {
    tcp.set_read_timeout(Some(PATIENCE))?;
    let size = size.max(HEADER);
    let mut message = vec![0; size];
    let words = [size, answer].map(|word| u32::try_from(word).unwrap_or(0).to_be_bytes()).concat();
    for (slot, byte) in message.iter_mut().zip(words) {
        *slot = byte;
    }
    stream.write_all(&message)?;
    stream.flush()
}
