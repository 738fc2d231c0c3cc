//! The commands: each ends in an exit code, and a failure in one sentence on standard error.

mod check;
mod feed;
mod policy;
mod replay;
mod run;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Cli, Command, FeedCommand, Format};
use crate::datapath::pin::{self, Removed};
use crate::status::StatusError;
use crate::{doctor, sockets, status};

/// Something failed.
const FAILED: u8 = 1;
/// A check found something.
const FOUND: u8 = 2;
/// Bad usage or bad configuration (`EX_USAGE`).
const USAGE: u8 = 64;

/// Runs the command that these arguments ask for.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments.format == Format::Json),
        Command::Status(arguments) => {
            tell(status::fetch(&arguments.state_dir), arguments.format, status::table)
        }
        Command::Sockets(arguments) => {
            tell(sockets::fetch(&arguments.state_dir), arguments.format, sockets::table)
        }
        Command::Unpin { folder } => unpin(&folder),
        Command::Policy(command) => policy::run(command),
        Command::Feed(FeedCommand::Check { files, format }) => feed::check(&files, format),
        Command::Replay(arguments) => replay::replay(&arguments),
    }
}

fn unpin(folder: &Path) -> ExitCode {
    match pin::remove(folder) {
        Ok(Removed { links: 0, maps: 0 }) => {
            print(&format!("nothing is pinned in {}\n", folder.display()))
        }
        Ok(Removed { links, maps }) => print(&format!(
            "removed {links} hooks and {maps} maps from {}: nothing is enforced from there any more\n",
            folder.display()
        )),
        Err(error) => fail(FAILED, &error),
    }
}

/// Help and version are no errors; everything else is bad usage.
fn explain(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match error.print() {
        Ok(()) if asked => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(USAGE),
        Err(_) => ExitCode::from(FAILED),
    }
}

/// What the running agent answered.
fn tell(
    answer: Result<Value, StatusError>,
    format: Format,
    table: impl Fn(&Value) -> String,
) -> ExitCode {
    match answer {
        Ok(value) if format == Format::Json => print(&format!("{value:#}\n")),
        Ok(value) => print(&table(&value)),
        Err(error) => fail(FAILED, &error),
    }
}

/// Prints what a check came to; the exit code says whether it found something.
fn conclude<T: Serialize>(
    report: &T,
    table: impl FnOnce(&T) -> String,
    format: Format,
    is_good: bool,
) -> ExitCode {
    let text = match format {
        Format::Json => match serde_json::to_string_pretty(report) {
            Ok(text) => text + "\n",
            Err(error) => return fail(FAILED, &error),
        },
        Format::Table => table(report),
    };
    let printed = print(&text);
    if is_good { printed } else { ExitCode::from(FOUND) }
}

/// A failure in one sentence.
fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("sentinel: {error}");
    ExitCode::from(code)
}

/// A reader that has heard enough is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(FAILED, &format!("cannot write the answer: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}
