//! `sentinel policy …`

mod diff;
mod explain;
mod export;
mod in_force;
mod learn;
mod whose;

use std::process::ExitCode;

use super::{FAILED, FOUND, USAGE, check, fail, print};
use crate::cli::{Format, PolicyCommand};
use crate::policy::Diagnostic;

pub(super) fn run(command: PolicyCommand) -> ExitCode {
    let done = match command {
        PolicyCommand::Check { files, format } => return check::check(&files, format),
        PolicyCommand::Explain(arguments) => explain::explain(&arguments),
        PolicyCommand::Diff(arguments) => diff::diff(&arguments),
        PolicyCommand::Learn(arguments) => learn::learn(&arguments),
        PolicyCommand::Export { format, files } => export::export(format, &files),
    };
    done.unwrap_or_else(|Refusal { code, message }| fail(code, &message))
}

/// Why there is no answer.
#[derive(Debug)]
struct Refusal {
    code: u8,
    message: String,
}

impl Refusal {
    fn usage(message: impl ToString) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    fn failed(message: impl ToString) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    fn findings(findings: &[Diagnostic]) -> Self {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Self::usage(lines.join("\n"))
    }
}

/// An answer in JSON or as text; `found` is whether it is one of exit code 2.
fn answer<T: serde::Serialize>(
    answer: &T,
    format: Format,
    found: bool,
    text: impl FnOnce(&T) -> String,
) -> Result<ExitCode, Refusal> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(answer).map_err(Refusal::failed)? + "\n",
        Format::Table => text(answer),
    };
    let printed = print(&text);
    Ok(if found && printed == ExitCode::SUCCESS { ExitCode::from(FOUND) } else { printed })
}

/// Columns, each as wide as its widest cell; the last one is not filled up.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
