//! What a miner-like client is to do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::segments::Segments;
use crate::transcript::{self, Dialect, Variant};

/// The address family of the client's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// AF_INET.
    V4,
    /// AF_INET6.
    V6,
    /// AF_INET6 to an IPv4 address in v4-mapped form.
    Mapped,
}

/// One miner-like session.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where the pool is.
    pub target: SocketAddr,
    /// What to speak.
    #[arg(long, value_enum, default_value_t = Dialect::StratumV1)]
    pub dialect: Dialect,
    /// The socket's family; the target's own if not given.
    #[arg(long, value_enum)]
    pub family: Option<Family>,
    /// How lines are cut into writes: `whole`, `bytes`, or offsets such as 5,9.
    #[arg(long, default_value = "whole")]
    pub segments: Segments,
    /// Milliseconds between writes of one line.
    #[arg(long, default_value_t = 1)]
    pub delay_ms: u64,
    /// How the requests are written.
    #[command(flatten)]
    pub variant: Variant,
    /// Send the whole opening without waiting for answers.
    #[arg(long)]
    pub pipelined: bool,
    /// Milliseconds to wait for each answer.
    #[arg(long, default_value_t = 1000)]
    pub answer_ms: u64,
    /// Shares to hand in after the opening.
    #[arg(long, default_value_t = 1)]
    pub submits: u32,
    /// Milliseconds to listen before each share and at the end.
    #[arg(long, default_value_t = 0)]
    pub hold_ms: u64,
    /// Leave out the opening, as a sensor that starts late would see it.
    #[arg(long)]
    pub no_opening: bool,
    /// Say this line instead of a dialect's; may be repeated. A line end is added.
    #[arg(long = "line")]
    pub lines: Vec<String>,
}

impl Options {
    /// A plain session: opening and one share, each line in one write.
    pub fn new(dialect: Dialect, target: SocketAddr) -> Options {
        Options {
            target,
            dialect,
            family: None,
            segments: Segments::Whole,
            delay_ms: 1,
            variant: Variant::default(),
            pipelined: false,
            answer_ms: 1000,
            submits: 1,
            hold_ms: 0,
            no_opening: false,
            lines: Vec::new(),
        }
    }

    /// The arguments that make `sentinel-lab miner` do the same.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![self.target.to_string()];
        let mut value = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        value("dialect", self.dialect.name());
        value("segments", self.segments.to_string());
        value("delay-ms", self.delay_ms.to_string());
        value("answer-ms", self.answer_ms.to_string());
        value("submits", self.submits.to_string());
        value("hold-ms", self.hold_ms.to_string());
        value("escapes", named(self.variant.escapes));
        value("spacing", named(self.variant.spacing));
        value("ids", named(self.variant.ids));
        value("leading", named(self.variant.leading));
        value("padding", self.variant.padding.to_string());
        self.family.into_iter().for_each(|family| value("family", named(family)));
        self.lines.iter().for_each(|line| value("line", line.clone()));
        let flags = [
            ("reversed", self.variant.reversed),
            ("crlf", self.variant.crlf),
            ("duplicate-method", self.variant.duplicate_method),
            ("pipelined", self.pipelined),
            ("no-opening", self.no_opening),
        ];
        args.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| format!("--{name}")));
        args
    }

    /// The address to connect to, in the family asked for.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let port = self.target.port();
        Ok(match (self.family, self.target.ip()) {
            (None, _) | (Some(Family::V4), IpAddr::V4(_)) => self.target,
            (Some(Family::V6), IpAddr::V6(_)) => self.target,
            (Some(Family::Mapped), IpAddr::V4(ip)) => (ip.to_ipv6_mapped(), port).into(),
            (Some(Family::Mapped), IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => self.target,
            (Some(family), ip) => bail!("{ip} cannot be reached by a {family:?} socket"),
        })
    }

    /// The lines before the shares.
    pub(super) fn opening(&self) -> Vec<String> {
        if !self.lines.is_empty() {
            return self.lines.iter().map(|line| format!("{line}\n")).collect();
        }
        if self.no_opening { Vec::new() } else { transcript::opening(self.dialect, &self.variant) }
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

fn named<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
}
