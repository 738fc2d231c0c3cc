//! Whoever follows the README: `kubectl`, `helm` and `skopeo` as they are typed, where a clone of the project is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::process::program;

/// What is typed, and the variable that says where it is.
const PROGRAMS: [(&str, &str); 3] =
    [("kubectl", "SENTINEL_KUBECTL"), ("helm", "SENTINEL_HELM"), ("skopeo", "SENTINEL_SKOPEO")];
/// Where the README expects the image to be.
const IMAGE: &str = "target/xtask/image/sentinel.tar";

/// With a kubeconfig, and nothing of whoever runs the tests.
#[derive(Debug)]
pub struct Operator {
    kubeconfig: PathBuf,
    /// Whose certificates are believed beside the cluster's.
    trusted: Option<PathBuf>,
    /// Home, and where the project is.
    folder: TempDir,
}

pub(super) fn missing() -> Option<&'static str> {
    PROGRAMS
        .iter()
        .find(|(name, variable)| program(variable, name).is_none())
        .map(|(name, _)| *name)
}

impl Operator {
    pub(super) fn new(kubeconfig: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-operator-").tempdir()?;
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no project")?;
        symlink(project.join("deploy"), folder.path().join("deploy"))?;
        Ok(Self { kubeconfig, trusted: None, folder })
    }

    /// Has the image where `cargo xtask image` puts it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn has_image(&self, archive: &Path) -> Result<()> {
        let place = self.folder.path().join(IMAGE);
        fs::create_dir_all(place.parent().context("no folder")?)?;
        Ok(symlink(archive, place)?)
    }

    /// Has a registry's certificate believed.
    pub fn trust(&mut self, certificate: PathBuf) {
        self.trusted = Some(certificate);
    }

    /// A file beside the project.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join(name), text)?)
    }

    /// What a command prints; without its comment, and without a shell.
    ///
    /// # Errors
    /// When it does not end well: its complaint.
    pub fn types(&self, line: &str) -> Result<String> {
        let typed = line.split_once(" #").map_or(line, |(command, _)| command);
        let mut words = typed.split_whitespace();
        let name = words.next().unwrap_or_default();
        let known = PROGRAMS.iter().find(|(known, _)| *known == name);
        let (_, variable) = known.with_context(|| format!("`{name}` is not for an operator"))?;
        let mut command = Command::new(program(variable, name).context(name.to_owned())?);
        command.args(words).current_dir(self.folder.path());
        // Settings and caches are in the home folder.
        command.env("HOME", self.folder.path()).env("KUBECONFIG", &self.kubeconfig);
        if let Some(certificate) = &self.trusted {
            command.env("SSL_CERT_FILE", certificate);
        }
        let output = command.output().with_context(|| format!("{name} does not start"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{typed}: {complaint}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
