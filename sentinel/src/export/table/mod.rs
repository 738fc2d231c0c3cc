//! Events for people: one row each on a wide terminal, two on a narrow one.
//!
//! What a row shows comes from processes and from the network, so nothing of it reaches the terminal
//! but printable characters.

use std::fmt::Write;

use sentinel_common::verdict::Verdict;

use crate::event::hook::{Finding, Hook, HookResult};
use crate::event::line::{Flow, Line, Losses, Policy, Process, Signatures, Suppressed, Workload};
use crate::event::socket::OpenSocket;
use crate::event::suspicion::Suspicion;
use crate::event::word::{Word, Words};

/// From this width on a row fits one line.
const WIDE: usize = 132;
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";

/// How rows look, and whether the header was shown.
#[derive(Debug)]
pub struct Table {
    width: usize,
    colour: bool,
    begun: bool,
}

impl Table {
    /// A table of this width.
    #[must_use]
    pub const fn new(width: usize, colour: bool) -> Self {
        Self { width, colour, begun: false }
    }

    /// A table as wide as the terminal at standard output, in colour unless `NO_COLOR` is set.
    #[must_use]
    pub fn for_terminal() -> Self {
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        let width = size.map_or(0, |size| usize::from(size.ws_col));
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(if width == 0 { WIDE } else { width }, !no_colour)
    }

    /// A line's rows, with the header before the first.
    pub fn render(&mut self, line: &Line) -> String {
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            text = self.header();
        }
        text + &match line {
            Line::Flow(flow) => self.flow(flow),
            Line::Suppressed(suppressed) => self.note(&suppressed.time, &describe(suppressed)),
            Line::Losses(losses) => self.note(&losses.time, &loss(losses)),
            Line::Policy(policy) => self.note(&policy.time, &judgement(policy)),
            // The set that the agent began with is no news.
            Line::Signatures(line) if line.set.set == 1 && line.error.is_none() => String::new(),
            Line::Signatures(line) => self.note(&line.time, &new_set(line)),
            Line::Hook(hook) => self.note(&hook.time, &on_hook(hook)),
            Line::Socket(open) => self.open_socket(open),
            Line::Suspicion(suspicion) => self.suspicion(suspicion),
        }
    }

    fn header(&self) -> String {
        let row = Row {
            time: "TIME",
            verdict: "VERDICT",
            reason: "REASON",
            who: "WHO",
            place: "WHERE",
            why: "WHY",
            workload: "WORKLOAD",
        };
        self.row(&row, BOLD, BOLD)
    }

    fn flow(&self, flow: &Flow) -> String {
        let verdict = flow.verdict.0.word();
        let colour = match verdict {
            "blocked" => RED,
            "audited" => YELLOW,
            _ => GREEN,
        };
        let row = Row {
            time: clock(&flow.time),
            verdict,
            reason: flow.reason.0.word(),
            who: &who(flow.process.as_ref()),
            place: flow.dst.as_deref().or(flow.src.as_deref()).unwrap_or("-"),
            why: &why(flow),
            workload: &workload(flow.workload.as_ref()),
        };
        self.row(&row, colour, "")
    }

    /// Only those that something speaks against: the rest is in the journal.
    fn open_socket(&self, open: &OpenSocket) -> String {
        if open.verdict.0 == Verdict::Allowed {
            return String::new();
        }
        let row = Row {
            time: clock(&open.time),
            verdict: open.verdict.0.word(),
            reason: open.reason.0.word(),
            who: &who(open.process.as_ref()),
            place: open.dst.as_deref().or(open.src.as_deref()).unwrap_or("-"),
            why: open.feed.as_deref().unwrap_or("open since before the start"),
            workload: &workload(open.workload.as_ref()),
        };
        self.row(&row, YELLOW, "")
    }

    fn suspicion(&self, suspicion: &Suspicion) -> String {
        let is_cut = suspicion.verdict.0 == Verdict::Blocked;
        let row = Row {
            time: clock(&suspicion.time),
            verdict: suspicion.verdict.0.word(),
            reason: suspicion.reason.0.word(),
            who: &who(suspicion.process.as_ref()),
            place: &suspicion.dst,
            why: &score(suspicion),
            workload: &workload(suspicion.workload.as_ref()),
        };
        self.row(&row, if is_cut { RED } else { YELLOW }, "")
    }

    fn row(&self, row: &Row<'_>, colour: &str, rest: &str) -> String {
        let Row { time, verdict, reason, who, place, why, workload } = row;
        let verdict = self.paint(&cell(verdict, 8), colour);
        let time = self.paint(&cell(time, 8), DIM);
        let plain = |text: &str| self.paint(text, rest);
        if self.width >= WIDE {
            let spare = self.width - 8 - 8 - 16 - 22 - 24 - 6;
            let why_width = (spare / 2).clamp(20, 44);
            let head =
                [cell(reason, 16), cell(who, 22), cell(place, 24), cell(why, why_width)].join(" ");
            let tail = cut(workload, spare.saturating_sub(why_width).max(8));
            return format!("{time} {verdict} {} {}\n", plain(&head), plain(&tail));
        }
        let first = cut(&format!("{} {who}", cell(reason, 16)), self.width.saturating_sub(18));
        let second = format!("{place}  {why}  {workload}");
        let second = cut(&second, self.width.saturating_sub(9));
        format!("{time} {verdict} {}\n         {}\n", plain(first.trim_end()), plain(&second))
    }

    fn note(&self, time: &str, text: &str) -> String {
        let time = self.paint(&cell(clock(time), 8), DIM);
        format!("{time} {}\n", self.paint(&printable(text), DIM))
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.colour && !colour.is_empty() {
            format!("{colour}{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

struct Row<'a> {
    time: &'a str,
    verdict: &'a str,
    reason: &'a str,
    who: &'a str,
    place: &'a str,
    why: &'a str,
    workload: &'a str,
}

fn who(process: Option<&Process>) -> String {
    process.map_or_else(|| "-".to_owned(), |process| format!("{}[{}]", process.comm, process.pid))
}

/// The pool by its name or its feed; dialect and rule, then who it works for.
fn why(flow: &Flow) -> String {
    let by = flow.feed.as_ref().map(|feed| format!("{} in {}", feed.entry, feed.name));
    match (&flow.name, by) {
        (Some(name), Some(by)) => return format!("{name} ({by})"),
        (Some(only), None) => return only.clone(),
        (None, Some(only)) => return only,
        (None, None) => {}
    }
    let Some(stratum) = &flow.stratum else {
        let rule = flow.rule.as_deref().or(flow.policy.as_deref());
        return rule.unwrap_or(flow.proto.as_str()).to_owned();
    };
    let mut text = stratum.dialect.clone().unwrap_or_else(|| "stratum".to_owned());
    if let Some(rule) = &stratum.rule {
        // Writing to a string does not fail.
        let _ = write!(text, "/{rule}");
    }
    if let Some(login) = stratum.login.as_deref().or(stratum.agent.as_deref()) {
        let _ = write!(text, " {}", shortened(login));
    }
    text
}

fn on_hook(hook: &Hook) -> String {
    let what = match (hook.finding.0, &hook.other) {
        (Finding::OtherProgram, Some(other)) => {
            return format!(
                "program {} `{}` of somebody else's is on the hook of `{}`",
                other.id, other.name, hook.program
            );
        }
        (Finding::CgroupGone, _) => "the cgroup that is watched is gone".to_owned(),
        (Finding::Unpinned, _) => format!("the pin of `{}` was taken away", hook.program),
        (Finding::Altered, _) => format!("somebody has written to the map `{}`", hook.program),
        (Finding::NotRefused, _) => {
            format!("`{}` let pass a connection that every policy refuses", hook.program)
        }
        (Finding::Detached | Finding::OtherProgram, _) => {
            format!("`{}` was detached", hook.program)
        }
    };
    match (hook.result.0, &hook.error) {
        (HookResult::Restored, _) => format!("{what}: it is restored"),
        (_, Some(why)) => format!("{what}, and stays so: {why}"),
        (_, None) => what,
    }
}

/// The score and what counted most in it.
fn score(suspicion: &Suspicion) -> String {
    let mut terms: Vec<_> = suspicion.terms.iter().collect();
    terms.sort_by(|one, other| (other.value * other.weight).total_cmp(&(one.value * one.weight)));
    let words =
        terms.iter().take(3).map(|term| format!("{} {:.1}", term.name.0.word(), term.value));
    format!("score {:.2}: {}", suspicion.score, words.collect::<Vec<_>>().join(", "))
}

/// A wallet is known by its ends.
fn shortened(login: &str) -> String {
    let letters: Vec<char> = login.chars().collect();
    match (letters.first_chunk::<8>(), letters.last_chunk::<4>()) {
        (Some(head), Some(tail)) if letters.len() > 16 => {
            format!("{}…{}", String::from_iter(head), String::from_iter(tail))
        }
        _ => login.to_owned(),
    }
}

fn workload(workload: Option<&Workload>) -> String {
    let Some(workload) = workload else { return "-".to_owned() };
    let container = workload.container.as_deref().map(|id| id.get(..12).unwrap_or(id));
    let name = workload.unit.as_deref().or(container).or(workload.cgroup.as_deref());
    name.map_or_else(|| format!("cgroup {}", workload.cgroup_id), str::to_owned)
}

fn describe(suppressed: &Suppressed) -> String {
    let to = suppressed.dst.as_ref().map_or_else(String::new, |dst| format!(" to {dst}"));
    let Word(reason) = suppressed.reason;
    format!(
        "{} more like it: {}{to} from cgroup {}",
        suppressed.count,
        reason.word(),
        suppressed.cgroup_id
    )
}

fn loss(losses: &Losses) -> String {
    format!("lost in the kernel: {} ({})", losses.count, losses.loss.0.word())
}

fn new_set(line: &Signatures) -> String {
    let Signatures { result, set, error, .. } = line;
    let why = error.as_deref().map_or_else(String::new, |error| format!(": {error}"));
    let (result, number, rules, states) = (result.0.word(), set.set, set.rules, set.states);
    format!("signatures {result}, set {number} ({rules} rules, {states} states) in force{why}")
}

fn judgement(policy: &Policy) -> String {
    let word = policy.result.0.word();
    let error = policy.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    format!("policy {word}, generation {}{error}", policy.generation)
}

/// The time of day of an RFC 3339 time.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

/// Text of exactly this width.
fn cell(text: &str, width: usize) -> String {
    format!("{:width$}", cut(text, width))
}

fn cut(text: &str, width: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= width {
        return text;
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    head + "…"
}

/// Neither control characters nor those that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '·' } else { c }).collect()
}

#[cfg(test)]
mod tests;
