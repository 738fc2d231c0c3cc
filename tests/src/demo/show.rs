//! What the audience reads: numbered steps, one line each; colours on a terminal only.

use std::io::{IsTerminal, stdout};

use serde_json::Value;

use super::Attempt;
use crate::honest;
use crate::miner::{Ended, Family, Options, Segments};

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const DIM: &str = "2";

/// Where a step's text begins.
const INDENT: usize = 16;

pub(super) struct Show {
    number: usize,
}

impl Show {
    pub(super) fn new() -> Show {
        Show { number: 0 }
    }

    pub(super) fn title(&self, text: &str) {
        println!("{}\n", paint(BOLD, text));
    }

    pub(super) fn part(&self, text: &str) {
        println!("\n{}", paint(BOLD, text));
    }

    pub(super) fn step(&mut self, who: &str, text: &str) {
        self.number += 1;
        println!(" {:>2}  {who:<10} {text}", self.number);
    }

    pub(super) fn honest(&mut self, who: &str, report: &honest::Report, how: &str) {
        let counts = format!("{} of {} requests answered", report.requests_ok, report.requests);
        let bytes = report.bytes_read + report.bytes_written;
        let text = match &report.error {
            None => format!("{}, {bytes} bytes: {how}", paint(GREEN, &counts)),
            Some(error) => format!("{}; the first failure: {error}", paint(RED, &counts)),
        };
        self.step(who, &text);
    }

    pub(super) fn attempt(&mut self, options: &Options, attempt: &Attempt) {
        let pieces = match options.segments {
            Segments::Bytes => ", byte by byte",
            _ => "",
        };
        let mapped = if options.family == Some(Family::Mapped) { ", v4-mapped" } else { "" };
        let what = format!("{} to {}{pieces}{mapped}", options.dialect.name(), options.target);
        self.step("miner", &format!("{what}: {}", outcome(attempt)));
        let width = INDENT;
        println!(
            "{:width$}{}",
            "",
            paint(
                DIM,
                &format!(
                    "the pool received {} complete requests (sniffer on the pool's side: {} payload bytes)",
                    attempt.requests, attempt.on_wire
                )
            )
        );
    }

    /// The journal's event of a catch, in full or in one line.
    pub(super) fn event(&mut self, event: Option<&Value>, full: bool) {
        let Some(event) = event else {
            self.step("journal", &paint(RED, "no event of this catch"));
            return;
        };
        let part = |pointer| match event.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "?".to_owned(),
        };
        self.step(
            "journal",
            &format!(
                "{} {} by pid {} ({}) to {}: {}",
                part("/verdict"),
                part("/stratum/dialect"),
                part("/process/pid"),
                part("/process/comm"),
                part("/dst"),
                part("/reason")
            ),
        );
        if full {
            let width = INDENT;
            for line in format!("{event:#}").lines() {
                println!("{:width$}{}", "", paint(DIM, line));
            }
        }
    }

    pub(super) fn keep(&self, hint: &str) {
        println!("\n    kept running; Ctrl-C ends it. {hint}\n");
    }

    pub(super) fn verdict(&self, blocked: bool, untouched: bool, counts: &str) {
        let word = |yes| if yes { paint(GREEN, "yes") } else { paint(RED, "NO") };
        println!("\n{} {}", paint(BOLD, "miner blocked:          "), word(blocked));
        println!("{} {} ({counts})", paint(BOLD, "honest client untouched:"), word(untouched));
    }
}

/// One line of the agent's own output, as it comes.
pub(super) fn from_agent(line: &str) {
    println!("     {} {line}", paint(DIM, "sentinel |"));
}

/// What the miner experienced.
fn outcome(attempt: &Attempt) -> String {
    let report = &attempt.report;
    let errno = report.errno.as_deref().unwrap_or("no error");
    let noticed = report.noticed_ms.unwrap_or(report.elapsed_ms);
    match report.ended {
        Ended::Completed => {
            let jobs = format!("{} answers from the pool", report.answers);
            format!("served ({jobs}, {} bytes sent)", report.bytes_written)
        }
        Ended::Cut => paint(RED, &format!("connection cut after {noticed} ms: {errno}")),
        Ended::Closed => paint(RED, &format!("connection closed after {noticed} ms")),
        Ended::Refused => paint(RED, &format!("connection refused after {noticed} ms: {errno}")),
        Ended::Unanswered => {
            paint(RED, &format!("no answer; it was still waiting after {} ms", report.elapsed_ms))
        }
    }
}

/// Colours text if someone looks at it.
fn paint(code: &str, text: &str) -> String {
    if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
