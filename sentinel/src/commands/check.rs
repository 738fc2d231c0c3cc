//! `sentinel policy check`

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAILED, FOUND, USAGE, fail, print};
use crate::cli::Format;
use crate::policy;

pub(super) fn check(files: &[PathBuf], format: Format) -> ExitCode {
    let sources = match policy::load(files) {
        Ok(sources) => sources,
        Err(error) => return fail(USAGE, &error),
    };
    let findings = policy::check(&sources);
    let printed = match format {
        Format::Json => match serde_json::to_string_pretty(&findings) {
            Ok(text) => print(&(text + "\n")),
            Err(error) => return fail(FAILED, &error),
        },
        Format::Table if findings.is_empty() => {
            print(&format!("{} policy files, nothing wrong\n", sources.len()))
        }
        Format::Table => {
            print(&findings.iter().map(|finding| format!("{finding}\n")).collect::<String>())
        }
    };
    if findings.is_empty() { printed } else { ExitCode::from(FOUND) }
}
