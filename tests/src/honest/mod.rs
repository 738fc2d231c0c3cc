//! Honest programs: what they exchange looks like mining as text and is not.

mod bulk;
mod http;
mod lines;
mod quotes;
mod wire;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::errno;
use crate::server::Server;
use wire::{Wire, millis_since};

/// What an honest pair does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Pages and forms over HTTP that quote mining requests.
    Http,
    /// JSON log lines whose message quotes mining requests.
    Log,
    /// A key-value store in the manner of redis.
    Store,
    /// A bulk transfer with checksums.
    Bulk,
}

impl Service {
    /// Every service, for tests that go through all.
    pub const ALL: [Service; 4] = [Service::Http, Service::Log, Service::Store, Service::Bulk];

    /// The service's name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Service::Http => "http",
            Service::Log => "log",
            Service::Store => "store",
            Service::Bulk => "bulk",
        }
    }
}

/// One honest client's work.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to do.
    #[arg(value_enum)]
    pub service: Service,
    /// Where the server is.
    pub target: SocketAddr,
    /// How often to do it.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Milliseconds between rounds.
    #[arg(long, default_value_t = 10)]
    pub interval_ms: u64,
    /// Megabytes each way and round of a bulk transfer.
    #[arg(long, default_value_t = 4)]
    pub megabytes: usize,
    /// Quote requests where they are hardest to tell: on lines of their own.
    #[arg(long)]
    pub hard: bool,
    /// Go on until stdin ends, instead of a number of rounds.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

impl Options {
    /// Three rounds of a service.
    pub fn new(service: Service, target: SocketAddr) -> Options {
        let (rounds, interval_ms, megabytes) = (3, 10, 4);
        let (hard, until_stdin_ends) = (false, false);
        Options { service, target, rounds, interval_ms, megabytes, hard, until_stdin_ends }
    }

    /// The arguments that make `sentinel-lab honest` do the same.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![self.service.name().to_owned(), self.target.to_string()];
        let mut value = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        value("rounds", self.rounds.to_string());
        value("interval-ms", self.interval_ms.to_string());
        value("megabytes", self.megabytes.to_string());
        let flags = [("hard", self.hard), ("until-stdin-ends", self.until_stdin_ends)];
        args.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| format!("--{name}")));
        args
    }
}

/// What an honest client experienced.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// True if every round succeeded and there was one.
    pub ok: bool,
    /// Rounds begun.
    pub rounds: u32,
    /// Rounds that went well.
    pub rounds_ok: u32,
    /// Requests made, a failed connection counted as one.
    pub requests: u32,
    /// Requests answered as they should be.
    pub requests_ok: u32,
    /// Bytes sent.
    pub bytes_written: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// The first failure in words.
    pub error: Option<String>,
    /// The first failure's error name, if it has one.
    pub errno: Option<String>,
    /// From the first connect() to the end.
    pub elapsed_ms: u64,
}

/// Bytes counted over several connections.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    written: u64,
    asked: u32,
    answered: u32,
}

impl Tally {
    fn connect(&mut self, options: &Options) -> io::Result<Wire> {
        let connected = Wire::connect(options.target);
        self.asked += u32::from(connected.is_err());
        connected
    }

    fn take(&mut self, wire: &mut Wire) {
        self.read += std::mem::take(&mut wire.read);
        self.written += std::mem::take(&mut wire.written);
        self.asked += std::mem::take(&mut wire.asked);
        self.answered += std::mem::take(&mut wire.answered);
    }
}

/// A running honest server; dropped, it closes every connection.
#[derive(Debug)]
pub struct HonestServer(Server);

impl HonestServer {
    /// Listens in the calling thread's namespace: call it through [`crate::netlab::Lab::in_peer`].
    pub fn start(service: Service, listen: &[SocketAddr]) -> Result<HonestServer> {
        let serve = move |stream, stop: &crate::server::Stop| {
            let wire = Wire::new(stream);
            match service {
                Service::Http => http::serve(wire, stop),
                Service::Log => lines::serve_log(wire, stop),
                Service::Store => lines::serve_store(wire, stop),
                Service::Bulk => bulk::serve(wire, stop),
            }
        };
        Server::start(listen, serve).map(HonestServer)
    }

    /// Where the server listens, with the ports the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.0.addresses()
    }
}

/// Does the work; failures are counted, not returned.
pub fn run(options: &Options) -> Report {
    let begun = Instant::now();
    let mut client = Client::new();
    let mut report = Report::default();
    let over = end_of_work(options);
    while !over(report.rounds) {
        if report.rounds > 0 {
            thread::sleep(Duration::from_millis(options.interval_ms));
        }
        report.rounds += 1;
        match client.round(options, report.rounds) {
            Ok(()) => report.rounds_ok += 1,
            Err(error) if report.error.is_none() => {
                report.errno = error.raw_os_error().map(|_| errno::name(&error));
                report.error = Some(error.to_string());
            }
            Err(_) => {}
        }
    }
    report.ok = report.rounds > 0 && report.rounds == report.rounds_ok;
    report.requests = client.tally.asked;
    report.requests_ok = client.tally.answered;
    report.bytes_read = client.tally.read;
    report.bytes_written = client.tally.written;
    report.elapsed_ms = millis_since(begun);
    report
}

/// When to stop: after the rounds, or when stdin ends.
fn end_of_work(options: &Options) -> Box<dyn Fn(u32) -> bool> {
    let rounds = options.rounds;
    if !options.until_stdin_ends {
        return Box::new(move |done| done >= rounds);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        // Whatever comes is ignored; an error is an end too.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    Box::new(move |_| ended.load(Ordering::Relaxed))
}

struct Client {
    http: http::Client,
    wire: Option<Wire>,
    tally: Tally,
}

impl Client {
    fn new() -> Client {
        Client { http: http::Client::new(), wire: None, tally: Tally::default() }
    }

    /// One round; the connection is kept for the next unless something went wrong.
    fn round(&mut self, options: &Options, round: u32) -> io::Result<()> {
        if options.service == Service::Http {
            return self.http.round(options, round, &mut self.tally);
        }
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.tally.connect(options)?,
        };
        let result = match options.service {
            Service::Log => lines::ship_log(&mut wire, round),
            Service::Store => lines::use_store(&mut wire, options),
            Service::Bulk | Service::Http => bulk::exchange(&mut wire, options.megabytes),
        };
        self.tally.take(&mut wire);
        if result.is_ok() {
            self.wire = Some(wire);
        }
        result
    }
}
