//! `sentinel policy check`: policies, signatures and configurations, told apart by name and content, and
//! the feeds that configurations name.

mod feeds;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use feeds::Named;

use super::{USAGE, conclude, fail};
use crate::cli::Format;
use crate::config::{ConfigError, ConfigFile};
use crate::policy::{self, Diagnostic};
use crate::signature::{self, Bound, SignatureError, Stats, grouped};

/// Keys at the top of a policy, none of which a configuration has.
const POLICY_KEYS: [&str; 4] = ["apiVersion:", "kind:", "metadata:", "spec:"];

/// What was checked, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Report {
    /// Everything that is wrong.
    findings: Vec<Diagnostic>,
    /// Policy files.
    policies: usize,
    /// Configuration files.
    configurations: usize,
    /// Signature files.
    signatures: usize,
    /// Feeds that configurations name.
    feeds: usize,
    /// What the signatures come to, with the built-in ones; nothing when they are wrong or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<SetReport>,
}

/// What a signature set comes to.
#[derive(Debug, Serialize)]
struct SetReport {
    tokens: Use,
    states: Use,
    classes: Use,
    rules: Use,
}

/// How much of a bound is used.
#[derive(Debug, Serialize)]
struct Use {
    used: usize,
    room: usize,
    /// What the files add to the built-in set.
    added: usize,
}

/// Files by what is in them.
#[derive(Default)]
struct Sorted {
    policies: Vec<PathBuf>,
    signatures: Vec<PathBuf>,
    feeds: Vec<Named>,
    configurations: usize,
    leaves_built_in_out: bool,
    findings: Vec<Diagnostic>,
}

pub(super) fn check(paths: &[PathBuf], format: Format) -> ExitCode {
    match report(paths) {
        Ok(report) => conclude(&report, Report::text, format, report.findings.is_empty()),
        Err(message) => fail(USAGE, &message),
    }
}

fn report(paths: &[PathBuf]) -> Result<Report, String> {
    let mut sorted = Sorted::default();
    for path in paths {
        sorted.take(path)?;
    }
    for files in [&mut sorted.policies, &mut sorted.signatures] {
        // A folder may hold what a configuration in it names.
        let mut seen = HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
    }
    let policies = policy::load(&sorted.policies).map_err(|error| error.to_string())?;
    let users = signature::load(&sorted.signatures).map_err(|error| error.to_string())?;
    let mut findings = sorted.findings;
    findings.extend(policy::check(&policies));
    for named in &sorted.feeds {
        findings.extend(named.check()?);
    }
    let built_in = !sorted.leaves_built_in_out;
    let mut set = None;
    if !users.is_empty() || !built_in {
        match signature::check(&users, built_in) {
            Ok(compiled) => {
                let base = signature::compile(&signature::files(&[], built_in));
                let base = base.map(|base| base.catalogue.stats()).unwrap_or_default();
                set = Some(SetReport::new(compiled.catalogue.stats(), base));
            }
            Err(errors) => findings.extend(errors.iter().map(|error| {
                let all = users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>();
                finding(error, &all.join(", "))
            })),
        }
    }
    Ok(Report {
        findings,
        policies: policies.len(),
        configurations: sorted.configurations,
        signatures: users.len(),
        feeds: sorted.feeds.iter().map(|named| named.feeds.len()).sum(),
        set,
    })
}

impl Sorted {
    fn take(&mut self, path: &Path) -> Result<(), String> {
        let io = |error| format!("cannot read {}: {error}", path.display());
        if !path.is_dir() {
            return self.take_file(path);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            let is_ours = file.extension().is_some_and(|extension| {
                extension == "yaml" || extension == "yml" || extension == "toml"
            });
            if is_ours && file.is_file() {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(format!("{} holds no .yaml, .yml or .toml file", path.display()));
        }
        files.sort();
        files.iter().try_for_each(|file| self.take_file(file))
    }

    fn take_file(&mut self, path: &Path) -> Result<(), String> {
        if signature::is_signature_file(path) {
            self.signatures.push(path.to_owned());
        } else if is_configuration(path) {
            self.take_configuration(path)?;
        } else {
            self.policies.push(path.to_owned());
        }
        Ok(())
    }

    /// A configuration, and the policies, signatures and feeds that it names.
    fn take_configuration(&mut self, path: &Path) -> Result<(), String> {
        self.configurations += 1;
        let ConfigFile { policies, signatures, builtin_signatures, feeds, builtin_feed, .. } =
            match ConfigFile::read(path) {
                Ok(file) => file,
                Err(ConfigError::Invalid { path, line, column, message }) => {
                    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
                    self.findings.push(Diagnostic {
                        file: path.display().to_string(),
                        line: number(line),
                        column: number(column),
                        message,
                        help: None,
                    });
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            };
        self.feeds.push(Named {
            by: path.display().to_string(),
            policies: policies.clone(),
            builtin: builtin_feed != Some(false),
            feeds,
        });
        self.policies.extend(policies);
        self.signatures.extend(signatures);
        self.leaves_built_in_out |= builtin_signatures == Some(false);
        Ok(())
    }
}

/// Whether a YAML file is a configuration: it has nothing that only a policy has.
fn is_configuration(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let has_any = lines.clone().next().is_some();
    has_any && !lines.any(|line| POLICY_KEYS.iter().any(|key| line.starts_with(key)))
}

fn finding(error: &SignatureError, all: &str) -> Diagnostic {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let text = error.to_string();
    let (file, line, column) = error.place().map_or((all, 0, 0), |place| {
        (place.file.as_str(), number(place.line), number(place.column))
    });
    // The place is told in front of the message already.
    let prefix = format!("{file}:{line}:{column}: ");
    let message = text.strip_prefix(&prefix).unwrap_or(&text).to_owned();
    Diagnostic { file: file.to_owned(), line, column, message, help: None }
}

impl SetReport {
    fn new(stats: Stats, base: Stats) -> Self {
        let part = |bound: Bound| {
            let used = bound.of(stats);
            Use { used, room: bound.room(), added: used.saturating_sub(bound.of(base)) }
        };
        Self {
            tokens: part(Bound::Tokens),
            states: part(Bound::States),
            classes: part(Bound::Classes),
            rules: part(Bound::Rules),
        }
    }

    fn text(&self) -> String {
        let Self { tokens, states, classes, rules } = self;
        let parts =
            [("tokens", tokens), ("states", states), ("classes", classes), ("rules", rules)];
        let parts = parts.map(|(name, Use { used, room, added })| {
            format!("{name} {} of {} (+{})", grouped(*used), grouped(*room), grouped(*added))
        });
        parts.join(", ")
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text += &match finding {
                Diagnostic { line: 0, file, message, .. } => format!("{file}: {message}\n"),
                finding => format!("{finding}\n"),
            };
        }
        if let Some(set) = &self.set {
            text += &format!("{}\n", set.text());
        }
        if self.findings.is_empty() {
            let kinds = [
                (self.policies, "policy files"),
                (self.configurations, "configurations"),
                (self.signatures, "signature files"),
                (self.feeds, "feeds"),
            ];
            let counts: Vec<String> = kinds
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, name)| format!("{count} {name}"))
                .collect();
            text += &format!("{}, nothing wrong\n", counts.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests;
