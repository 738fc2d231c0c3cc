//! Files that are fetched or made once.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Whole or not at all.
pub(super) fn keep(made: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    fs::copy(made, &part).with_context(|| format!("no {}", made.display()))?;
    fs::rename(part, to).with_context(|| format!("cannot keep {}", to.display()))
}

/// Whether files, by name and SHA-256, are those that were tried.
pub(super) fn verify(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    for (name, expected) in files {
        let path = folder.join(name);
        let sum = process::output(Command::new("sha256sum").arg(&path))?;
        if sum.split_whitespace().next() != Some(*expected) {
            bail!("{} is not the file that was tried: it has another SHA-256", path.display());
        }
    }
    Ok(())
}
