//! `sentinel feed check`

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::{USAGE, conclude, fail};
use crate::cli::Format;
use crate::feed::{self, Feed, FeedError, Tally};
use crate::policy::Diagnostic;

/// What is said of feeds.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The feeds that are good.
    feeds: Vec<Feed>,
    /// All of them together, each entry once; absent where one is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    together: Option<Tally>,
    /// What is wrong with the others, the first findings of each.
    findings: Vec<Diagnostic>,
    /// How many findings there are in all.
    total_findings: usize,
    /// Why all together cannot be used, beyond the findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn check(files: &[PathBuf], format: Format) -> ExitCode {
    let sources = match feed::load(files.is_empty(), files) {
        Ok(sources) => sources,
        Err(error) => return fail(USAGE, &error),
    };
    let mut answer = Answer::default();
    for source in &sources {
        match feed::compile(std::slice::from_ref(source)) {
            Ok(set) => answer.feeds.extend_from_slice(set.feeds()),
            Err(FeedError::Invalid(findings)) => {
                answer.total_findings += findings.total;
                answer.findings.extend(findings.shown);
            }
            Err(error) => answer.error = Some(format!("{}: {error}", source.name)),
        }
    }
    if answer.feeds.len() == sources.len() {
        match feed::compile(&sources) {
            Ok(set) => answer.together = Some(set.tally()),
            Err(error) => answer.error = Some(error.to_string()),
        }
    }
    conclude(&answer, Answer::table, format, answer.together.is_some())
}

impl Answer {
    fn table(&self) -> String {
        let mut lines: Vec<String> = self.feeds.iter().map(describe).collect();
        lines.extend(self.findings.iter().map(ToString::to_string));
        match self.total_findings.saturating_sub(self.findings.len()) {
            0 => {}
            more => lines.push(format!("and {more} more")),
        }
        lines.extend(self.error.clone());
        if let Some(together) = self.together.filter(|_| self.feeds.len() > 1) {
            lines.push(format!("together: {}", entries(together)));
        }
        lines.join("\n") + "\n"
    }
}

fn describe(feed: &Feed) -> String {
    let updated = feed.updated.as_ref().map_or_else(String::new, |it| format!(", updated {it}"));
    let source = feed.source.as_ref().map_or_else(String::new, |it| format!(", from {it}"));
    format!("{}: {}: {}{updated}{source}", feed.file, feed.name, entries(feed.entries))
}

fn entries(tally: Tally) -> String {
    let Tally { domains, addresses, prefixes } = tally;
    format!("{domains} domains, {addresses} addresses, {prefixes} prefixes")
}
