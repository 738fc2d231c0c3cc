//! The rules of the house that no compiler knows. They also run as a test of this crate.

mod functions;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::project;

/// What holds nothing of ours.
const FOREIGN: [&str; 3] = ["target", ".cache", ".git"];

/// The crates of the workspace.
const MEMBERS: [&str; 5] = ["sentinel", "sentinel-common", "sentinel-ebpf", "tests", "xtask"];

/// Checks every file of the workspace; the error names each broken rule.
pub(crate) fn check() -> Result<()> {
    let root = project::root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files)?;
    files.sort();
    let mut broken = Vec::new();
    for (path, text) in &files {
        broken.extend(rules::any_file(path, text));
        if is_rust_of_a_member(path) {
            broken.extend(rules::rust_file(path, text));
        }
    }
    for member in MEMBERS {
        broken.extend(rules::one_unsafe_file(member, &files));
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{} rules of the house are broken:\n  {}", broken.len(), broken.join("\n  "))
}

fn is_rust_of_a_member(path: &str) -> bool {
    path.ends_with(".rs") && MEMBERS.iter().any(|member| path.starts_with(&format!("{member}/")))
}

/// The readable files below a folder, by their path from the root.
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        // In a linked worktree `.git` is a file, which names where the repository is.
        if FOREIGN.iter().any(|foreign| name == *foreign) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if let (Ok(text), Ok(path)) = (fs::read_to_string(&path), path.strip_prefix(root)) {
            files.push((path.to_string_lossy().into_owned(), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_keeps_the_rules_of_the_house() {
        if let Err(error) = super::check() {
            panic!("{error:#}");
        }
    }
}
