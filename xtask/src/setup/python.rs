//! Python packages, in an environment of their own: the schemas of Kubernetes are in no suite of Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::apt;
use crate::process;
use crate::project;
use crate::term;

/// Schemas from 1.25 to 1.37.
const PACKAGE: &str = "kubernetes-validate==1.37.0";
const NAME: &str = "Kubernetes' schemas";

/// The interpreter that knows what Kubernetes takes.
pub(crate) fn schemas() -> Result<PathBuf> {
    let python = interpreter()?;
    let done = python.with_file_name("packages");
    if fs::read_to_string(&done).is_ok_and(|there| there == PACKAGE) {
        return Ok(python);
    }
    term::say(format!("fetching {NAME} (pip, 3 MB, about 10 s)"));
    let log = project::log("pip")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", PACKAGE]);
    process::logged(&mut pip, &log).map_err(|error| apt::explain(error, &log, NAME))?;
    fs::write(done, PACKAGE)?;
    Ok(python)
}

/// An interpreter with pip, which knows nothing else.
pub(super) fn interpreter() -> Result<PathBuf> {
    let folder = project::cache("")?.join("python");
    let python = folder.join("bin/python");
    // Without python3-venv an interpreter is made all the same, but no pip.
    if folder.join("bin/pip").exists() {
        return Ok(python);
    }
    if environment(&folder).is_err() {
        apt::install(&["python3", "python3-venv"], "python3-venv", "10 s")?;
        environment(&folder)?;
    }
    Ok(python)
}

fn environment(folder: &Path) -> Result<()> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(folder);
    process::logged(&mut make, &project::log("venv")?)
}
