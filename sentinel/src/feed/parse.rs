//! A feed's text: its header, then one entry a line.

use std::fmt;

use super::entry::{Refusal, read};
use super::set::Builder;
use super::{FeedError, Source};
use crate::policy::Diagnostic;

/// Findings that are shown of a feed; the rest is counted.
const SHOWN: usize = 20;
/// Longest line, bytes.
const MAX_LINE: usize = 1024;
/// Longest value of the header, characters.
const MAX_VALUE: usize = 200;

/// Where a feed is from, by the comments at its beginning: `# name: …`, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What it calls itself.
    pub name: Option<String>,
    /// Where it can be had.
    pub source: Option<String>,
    /// What one may do with it.
    pub license: Option<String>,
    /// When it was brought up to date, in its own words.
    pub updated: Option<String>,
}

/// What is wrong with a feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first, with their places.
    pub shown: Vec<Diagnostic>,
    /// How many there are in all.
    pub total: usize,
}

impl std::error::Error for Findings {}

impl fmt::Display for Findings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.shown.iter().map(ToString::to_string).collect();
        write!(out, "{}", shown.join("\n"))?;
        match self.total.saturating_sub(self.shown.len()) {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

/// Reads a feed into the set that is being built.
pub(super) fn parse(source: &Source, builder: &mut Builder) -> Result<(), FeedError> {
    let mut header = Header::default();
    let mut in_header = true;
    let mut findings = Findings::default();
    let number = builder.begin();
    for (index, line) in source.text.split(|byte| *byte == b'\n').enumerate() {
        let refusal = match text(line) {
            Ok(text) => {
                let (entry, comment) = text.split_once('#').unwrap_or((text, ""));
                let entry = entry.trim_ascii();
                if in_header {
                    in_header = entry.is_empty();
                    header.take(comment);
                }
                if entry.is_empty() {
                    continue;
                }
                match read(entry, &mut |entry| builder.push(entry, number)) {
                    Ok(()) => None,
                    Err(refusal) => Some((refusal, entry)),
                }
            }
            Err(refusal) => Some((refusal, "")),
        };
        if let Some((refusal, entry)) = refusal {
            findings.add(&source.name, index, &refusal, entry);
        }
        builder.check()?;
    }
    if findings.total > 0 {
        return Err(findings.into());
    }
    builder.describe(&source.name, header);
    Ok(())
}

fn text(line: &[u8]) -> Result<&str, Refusal> {
    if line.len() > MAX_LINE {
        return Err(Refusal::LongLine(MAX_LINE));
    }
    // A byte order mark is no part of the first entry.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    std::str::from_utf8(line).map_err(|_| Refusal::NotUtf8)
}

impl Findings {
    fn add(&mut self, file: &str, index: usize, refusal: &Refusal, entry: &str) {
        self.total += 1;
        if self.shown.len() >= SHOWN {
            return;
        }
        let why = refusal.to_string();
        let (message, help) = match why.split_once("; ") {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (why, None),
        };
        let short: String = entry.chars().take(80).filter(|c| !c.is_control()).collect();
        let message = if short.is_empty() { message } else { format!("\"{short}\": {message}") };
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        self.shown.push(Diagnostic { file: file.to_owned(), line, column: 1, message, help });
    }
}

impl Header {
    fn take(&mut self, comment: &str) {
        let Some((key, value)) = comment.split_once(':') else { return };
        let slot = match key.trim().to_ascii_lowercase().as_str() {
            "name" => &mut self.name,
            "source" => &mut self.source,
            "license" => &mut self.license,
            "updated" => &mut self.updated,
            _ => return,
        };
        let clean = value.trim().chars().filter(|c| !c.is_control()).take(MAX_VALUE);
        let value: String = clean.collect();
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value);
        }
    }
}
