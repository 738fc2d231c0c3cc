//! The sources of the workspace in another folder, to see whether what is built from them tells where it was.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::project;

/// Copies what git would take.
pub(super) fn sources() -> Result<PathBuf> {
    let copy = project::scratch("elsewhere")?.join("a/longer/path/than/ours");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let mut list = Command::new("git");
    list.current_dir(project::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    for name in process::output(&mut list)?.lines() {
        let from = project::root().join(name);
        // What is deleted is listed until it is committed.
        if from.is_file() {
            let to = copy.join(name);
            fs::create_dir_all(to.parent().context("a file without a folder")?)?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(copy)
}
