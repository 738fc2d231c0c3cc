//! `sentinel policy export`

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FOUND, Refusal, print};
use crate::cli::ExportFormat;
use crate::policy::{self, ExportError, Target};

pub(super) fn export(format: ExportFormat, files: &[PathBuf]) -> Result<ExitCode, Refusal> {
    let target = match format {
        ExportFormat::Networkpolicy => Target::NetworkPolicy,
        ExportFormat::Cilium => Target::Cilium,
    };
    let sources = policy::load(files).map_err(Refusal::usage)?;
    let exported = policy::export(&sources, target).map_err(|error| match error {
        ExportError::Invalid(_) => Refusal::usage(error),
        ExportError::Yaml(_) => Refusal::failed(error),
    })?;
    for lost in &exported.lost {
        eprintln!("sentinel: {}: {}: {}", lost.place, lost.policy, lost.what);
    }
    let printed = print(&exported.text);
    let is_whole = exported.lost.is_empty() || printed != ExitCode::SUCCESS;
    Ok(if is_whole { printed } else { ExitCode::from(FOUND) })
}
