//! `kubectl`, as the README's reader types it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::program;

/// With a kubeconfig, and nothing of whoever runs the tests.
#[derive(Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    folder: PathBuf,
}

pub(super) fn find() -> Option<PathBuf> {
    program("SENTINEL_KUBECTL", "kubectl")
}

impl Kubectl {
    pub(super) fn new(kubeconfig: PathBuf, folder: &Path) -> Result<Self> {
        let program = find().context("no kubectl")?;
        Ok(Self { program, kubeconfig, folder: folder.to_owned() })
    }

    /// What it prints.
    ///
    /// # Errors
    /// When it does not end well: its complaint.
    pub fn run(&self, words: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(words.split_whitespace()).current_dir(&self.folder);
        // Its cache is in the home folder.
        command.env("HOME", &self.folder).env("KUBECONFIG", &self.kubeconfig);
        let output = command.output().context("kubectl does not start")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {words}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl apply -f` of a file with this text; the file stays.
    ///
    /// # Errors
    /// As for [`Kubectl::run`].
    pub fn apply(&self, options: &str, name: &str, text: &str) -> Result<String> {
        fs::write(self.folder.join(name), text)?;
        self.run(&format!("apply {options} -f {name}"))
    }
}
