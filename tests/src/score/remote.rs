//! One session over the laboratory's network: the client a process of its own, so that an agent can say
//! whose it was, the server a thread in the test's, so that it can say what arrived.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use rustls::StreamOwned;
use serde::{Deserialize, Serialize};

use super::pattern::{Kind, Pattern, Saying, Script};
use super::peer::{Clock, End, Part};
use super::tls::{self, Keys};
use super::{Options, Set};
use crate::errno;
use crate::miner::Ended;
use crate::server::{Server, Stop};
use crate::sync::lock;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Which session, and how fast its time passes. Both sides need the same.
#[derive(Clone, Copy, Debug, Args)]
pub struct Plan {
    /// What kind of session.
    #[arg(long, value_enum)]
    pub pattern: Pattern,
    /// Seconds of the session that pass in one.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// How long it goes on, in seconds of its own.
    #[arg(long, default_value_t = 1200.0)]
    pub seconds: f64,
    /// Which one of its kind.
    #[arg(long, default_value_t = 0)]
    pub number: u32,
}

impl Plan {
    fn script(&self) -> Script {
        let Self { pattern, scale, seconds, number } = *self;
        pattern.script(number, &Options { set: Set::HeldOut, sessions: 1, scale, seconds })
    }

    fn part(&self, script: Vec<Saying>, ends: f64, over: &Stop) -> Part {
        let (clock, over) = (Clock::new(self.scale), over.clone());
        Part { script, begins: 0.0, ends, clock, over }
    }
}

/// A client's session.
#[derive(Clone, Debug, Args)]
pub struct Client {
    /// Where the server is.
    pub target: SocketAddr,
    /// The certificate to trust, DER.
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
    /// Keep one processor busy meanwhile, as mining would. Nothing is computed.
    #[arg(long)]
    pub busy: bool,
    /// The session.
    #[command(flatten)]
    pub plan: Plan,
}

impl Client {
    /// The arguments that make `sentinel-lab session` do this.
    pub fn to_args(&self) -> Vec<String> {
        let Plan { pattern, scale, seconds, number } = self.plan;
        let pattern = clap::ValueEnum::to_possible_value(&pattern);
        let pattern = pattern.map_or_else(String::new, |value| value.get_name().to_owned());
        let mut args = vec![
            self.target.to_string(),
            format!("--trust={}", self.trust.display()),
            format!("--pattern={pattern}"),
            format!("--scale={scale}"),
            format!("--seconds={seconds}"),
            format!("--number={number}"),
        ];
        args.extend(self.busy.then(|| "--busy".to_owned()));
        args
    }
}

/// What a client experienced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// The error's name if one came, such as `ECONNABORTED`.
    pub errno: Option<String>,
    /// This side's address; none if the connection was refused.
    pub local: Option<SocketAddr>,
    /// From connect() to the end.
    pub elapsed_ms: u64,
}

/// Plays the client's part.
///
/// # Errors
/// When the certificate cannot be read.
pub fn run(client: &Client) -> Result<Report> {
    let certificate = std::fs::read(&client.trust)
        .with_context(|| format!("{} cannot be read", client.trust.display()))?;
    let asks = !matches!(client.plan.pattern.kind(), Kind::Miner | Kind::Evader);
    let session = tls::client(&certificate, asks)?;
    let over = Stop::default();
    let burner = client.busy.then(|| burn(&over));
    let begun = Instant::now();
    let mut local = None;
    let outcome = TcpStream::connect_timeout(&client.target, CONNECT_WITHIN).and_then(|tcp| {
        tcp.set_nodelay(true)?;
        local = tcp.local_addr().ok();
        let part = client.plan.part(client.plan.script().client, client.plan.seconds, &over);
        Ok(part.act(&tcp, StreamOwned::new(session, &tcp)))
    });
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    over.request();
    let _ = burner.map(thread::JoinHandle::join);
    let name = |error: &io::Error| error.raw_os_error().map(|_| errno::name(error));
    let (ended, errno) = match outcome {
        Err(error) => (Ended::Refused, name(&error)),
        Ok((_, Err(error))) => (Ended::Cut, name(&error)),
        Ok((_, Ok(End::Closed))) => (Ended::Closed, None),
        Ok((_, Ok(End::Over))) => (Ended::Completed, None),
    };
    Ok(Report { ended, errno, local, elapsed_ms })
}

fn burn(over: &Stop) -> thread::JoinHandle<()> {
    let over = over.clone();
    thread::spawn(move || {
        while !over.requested() {
            for _ in 0..100_000 {
                std::hint::spin_loop();
            }
        }
    })
}

/// What the server saw of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Whole messages that arrived.
    pub messages: u32,
    /// How it ended: an error's name, `closed` or `over`; none while it is open.
    pub ended: Option<String>,
}

/// A server that plays its part in every connection.
#[derive(Debug)]
pub struct SessionServer {
    server: Server,
    seen: Arc<Mutex<Vec<Witness>>>,
}

impl SessionServer {
    /// Listens in the calling thread's namespace: call it through [`crate::netlab::Lab::in_peer`].
    /// Writes the certificate that its clients must trust to `trust`.
    ///
    /// # Errors
    /// When nothing can listen there, or the file cannot be written.
    pub fn start(listen: SocketAddr, plan: Plan, trust: &Path) -> Result<Self> {
        let keys = Keys::new()?;
        std::fs::write(trust, keys.certificate())?;
        let seen: Arc<Mutex<Vec<Witness>>> = Arc::default();
        let records = Arc::clone(&seen);
        let server = Server::start(&[listen], move |tcp, stop| {
            let number = {
                let mut records = lock(&records);
                records.push(Witness { messages: 0, ended: None });
                records.len() - 1
            };
            let (messages, ended) = match keys.server() {
                Ok(session) => {
                    // It is for the client to end.
                    let part = plan.part(plan.script().server, f64::INFINITY, stop);
                    serve(part, &tcp, StreamOwned::new(session, &tcp))
                }
                Err(error) => (0, error.to_string()),
            };
            if let Some(record) = lock(&records).get_mut(number) {
                *record = Witness { messages, ended: Some(ended) };
            }
        })?;
        Ok(Self { server, seen })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Never, while it lives.
    pub fn address(&self) -> Result<SocketAddr> {
        self.server.addresses().first().copied().context("the server has no address")
    }

    /// What it saw, one entry for each connection.
    pub fn seen(&self) -> Vec<Witness> {
        lock(&self.seen).clone()
    }
}

fn serve(part: Part, tcp: &TcpStream, stream: impl Read + Write) -> (u32, String) {
    let (messages, end) = part.act(tcp, stream);
    let ended = match end {
        Ok(End::Over) => "over".to_owned(),
        Ok(End::Closed) => "closed".to_owned(),
        Err(error) => errno::name(&error),
    };
    (messages, ended)
}
