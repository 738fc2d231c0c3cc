//! A pool's name in a DNS question and in a TLS handshake: told of under alert, and under block the
//! packet that completes it reaches nobody, by the sniffer on the peer's side.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use sentinel_tests::netlab::{Lab, Subnet};
use sentinel_tests::sniffer::{Capture, Sniffer};
use serde_json::Value;

use crate::allowlist::{as_workload, says};
use crate::stage::{File, PEER, Stage};
use crate::trial;

const SOON: Duration = Duration::from_secs(5);
const FEED: &str = "# name: lab\npool.example\n";
/// Asked for, as it is told of, and whether a feed names it.
const NAMES: [(&str, &str, bool); 6] = [
    ("pool.example", "pool.example", true),
    ("Eu1.POOL.eXample", "eu1.pool.example", true),
    ("a.b.c.pool.example", "a.b.c.pool.example", true),
    ("notpool.example", "notpool.example", false),
    ("pool.example.org", "pool.example.org", false),
    ("example", "example", false),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    // An emulated machine takes seconds for each agent's start.
    let in_vm = std::env::var_os("SENTINEL_VM").is_some();
    for block in [false, true].into_iter().skip(usize::from(in_vm)) {
        let action = if block { "block" } else { "alert" };
        trials.push(trial(format!("names/{action}/udp"), move || udp(block)));
        for way in [Way::Dns, Way::Tls] {
            for cut in [Cut::Whole, Cut::Bytes, Cut::Splits] {
                let name = format!("names/{action}/{way:?}/{cut:?}").to_lowercase();
                trials.push(trial(name, move || stream(way, cut, block)));
            }
        }
    }
    trials
}

/// What the name is asked for in, over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Dns,
    Tls,
}

/// How the message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Whole,
    Bytes,
    /// In two, on either side of the name's first and last byte and in its middle.
    Splits,
}

impl Way {
    const fn port(self) -> u16 {
        match self {
            Self::Dns => 53,
            Self::Tls => 443,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
        }
    }

    /// The message, and where the name is complete in it.
    fn message(self, name: &str) -> Result<(Vec<u8>, usize)> {
        match self {
            Self::Dns => {
                let question = question(name)?;
                let message = prefixed::<2>(&question)?;
                // Type and class are behind the root's label, which ends a name.
                let end = message.len() - 4;
                Ok((message, end))
            }
            Self::Tls => {
                let hello = client_hello(name)?;
                let at = hello.windows(name.len()).position(|it| it == name.as_bytes());
                Ok((hello, at.context("no name in the message")? + name.len()))
            }
        }
    }
}

/// A question for an address (RFC 1035 section 4.1).
fn question(name: &str) -> Result<Vec<u8>> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len())?);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    Ok(message)
}

/// The bytes behind their length in `N` bytes, as TLS and DNS over TCP write it.
fn prefixed<const N: usize>(bytes: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(bytes.len())?.to_be_bytes();
    let length = length.last_chunk::<N>().context("a length has at most four bytes")?;
    Ok([length.as_slice(), bytes].concat())
}

/// A ClientHello as a browser's looks from outside (RFC 8446 section 4.1.2, RFC 6066 section 3):
/// other extensions stand before and behind the name.
pub fn client_hello(name: &str) -> Result<Vec<u8>> {
    let server_name = [&[0], prefixed::<2>(name.as_bytes())?.as_slice()].concat();
    let extensions = [
        [&[0x00, 0x17], prefixed::<2>(&[])?.as_slice()].concat(),
        [&[0x00, 0x0b], prefixed::<2>(&[1, 0])?.as_slice()].concat(),
        [&[0x00, 0x00], prefixed::<2>(&prefixed::<2>(&server_name)?)?.as_slice()].concat(),
        [&[0x00, 0x10], prefixed::<2>(&prefixed::<2>(b"\x02h2\x08http/1.1")?)?.as_slice()].concat(),
        [&[0x00, 0x2b], prefixed::<2>(&[4, 3, 4, 3, 3])?.as_slice()].concat(),
    ];
    let body = [
        [3, 3].as_slice(),
        &[0x5a; 32],
        &prefixed::<1>(&[0xa5; 32])?,
        &prefixed::<2>(&[0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b])?,
        &prefixed::<1>(&[0])?,
        &prefixed::<2>(&extensions.concat())?,
    ];
    let handshake = [&[1], prefixed::<3>(&body.concat())?.as_slice()].concat();
    Ok([&[22, 3, 1], prefixed::<2>(&handshake)?.as_slice()].concat())
}

fn stage(name: &str, block: bool) -> Result<(Stage, File)> {
    let file = File::new(name, FEED)?;
    let lab = Lab::with_subnet(name, Subnet::numbered(16))?;
    let action = if block { "block" } else { "alert" };
    let arguments = ["--mode", "enforce", "--names", action, "--feed", file.path()?];
    let stage = Stage::set_in(lab, name, &arguments)?;
    Ok((stage, file))
}

/// What the journal says of a name.
fn told(stage: &Stage, kind: &str, name: &str, verdict: &str) -> Result<Value> {
    let record = stage
        .agent
        .record(SOON, |record| says(record, "kind", kind) && says(record, "name", name))
        .with_context(|| format!("{kind} {name}"))?;
    ensure!(says(&record, "verdict", verdict), "{record}");
    ensure!(says(&record, "reason", "pool_name"), "{record}");
    let feed = record.get("feed").with_context(|| record.to_string())?;
    ensure!(says(feed, "name", "lab") && says(feed, "entry", "pool.example"), "{record}");
    let process = record.get("process").and_then(|process| process.get("pid"));
    ensure!(process.and_then(Value::as_u64) == Some(u64::from(std::process::id())), "{record}");
    Ok(record)
}

/// Nothing was told of a name that no feed names; called when all that is told has been.
fn silent(stage: &Stage) -> Result<()> {
    for record in stage.agent.journal()? {
        let name = record.get("name").and_then(Value::as_str).unwrap_or_default();
        let listed = NAMES.iter().any(|(_, told, listed)| *listed && *told == name);
        ensure!(name.is_empty() || listed, "told of {name}: {record}");
    }
    Ok(())
}

fn udp(block: bool) -> Result<()> {
    let (stage, _file) = stage(if block { "names-block-udp" } else { "names-alert-udp" }, block)?;
    let at = [stage.lab.subnet().v4(PEER).into(), stage.lab.subnet().v6(PEER).into()];
    let at: [SocketAddr; 2] = at.map(|ip: std::net::IpAddr| SocketAddr::new(ip, 53));
    let servers = stage.lab.in_peer(|| Ok(at.map(UdpSocket::bind)))?;
    for (server, at) in servers.into_iter().zip(at) {
        let server = server?;
        server.set_read_timeout(Some(Duration::from_millis(300)))?;
        for (asked, name, listed) in NAMES {
            let message = question(asked)?;
            as_workload(&stage, || {
                let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                // A drop is an error of the call, and what counts is what arrives.
                let _ = UdpSocket::bind(any)?.send_to(&message, at);
                Ok(())
            })?;
            let mut buffer = [0; 512];
            let arrived = server.recv(&mut buffer).is_ok();
            ensure!(arrived != (block && listed), "{asked} to {at}: arrived: {arrived}");
            if listed {
                let verdict = if block { "blocked" } else { "audited" };
                let record = told(&stage, "dns", name, verdict)?;
                ensure!(says(&record, "proto", "udp"), "{record}");
            }
        }
    }
    silent(&stage)?;
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// The pieces that a message is written in, for each try.
fn tries(cut: Cut, message: &[u8], name: &str, end: usize) -> Vec<Vec<Vec<u8>>> {
    let begin = end.saturating_sub(name.len());
    match cut {
        Cut::Whole => vec![vec![message.to_vec()]],
        Cut::Bytes => vec![message.iter().map(|byte| vec![*byte]).collect()],
        Cut::Splits => [1, 5, begin, begin + 1, begin + name.len() / 2, end - 1, end]
            .into_iter()
            .map(|at| message.split_at(at))
            .map(|(head, tail)| vec![head.to_vec(), tail.to_vec()])
            .collect(),
    }
}

fn stream(way: Way, cut: Cut, block: bool) -> Result<()> {
    let action = if block { "block" } else { "alert" };
    let (stage, _file) = stage(&format!("names-{action}-{way:?}-{cut:?}"), block)?;
    let at = SocketAddr::new(stage.lab.subnet().v4(PEER).into(), way.port());
    let server = stage.lab.in_peer(|| Ok(TcpListener::bind(at)?))?;
    for (asked, name, listed) in NAMES {
        let (message, end) = way.message(asked)?;
        for pieces in tries(cut, &message, asked, end) {
            let sniffer = Sniffer::start(&stage.lab)?;
            as_workload(&stage, || write(at, &pieces))?;
            std::thread::sleep(Duration::from_millis(30));
            let reached = longest(&sniffer.finish()?, way.port());
            if block && listed {
                ensure!(reached < end, "{asked}: {reached} bytes got out, its name ends at {end}");
            } else {
                ensure!(reached == message.len(), "{asked}: {reached} of {}", message.len());
            }
        }
        if listed {
            let verdict = if block { "blocked" } else { "audited" };
            let record = told(&stage, way.kind(), name, verdict)?;
            ensure!(says(&record, "proto", "tcp"), "{record}");
            ensure!(says(&record, "dst", &at.to_string()), "{record}");
        }
    }
    silent(&stage)?;
    drop(server);
    ensure!(stage.agent.stop()?.success());
    Ok(())
}

/// Writes the pieces, each in a segment of its own. The socket may die of it.
fn write(at: SocketAddr, pieces: &[Vec<u8>]) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_nodelay(true)?;
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(if pieces.len() > 2 { 1 } else { 10 }));
    }
    Ok(())
}

/// Payload bytes of the connection of which most got out.
fn longest(capture: &Capture, port: u16) -> usize {
    let streams = capture.streams_to(port);
    streams.iter().map(|stream| stream.bytes.len()).max().unwrap_or_default()
}
