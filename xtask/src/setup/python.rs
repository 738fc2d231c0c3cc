//! Python packages, in an environment of their own: Helm and the schemas of Kubernetes are in no suite of Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::apt;
use crate::process;
use crate::project;
use crate::term;

/// Helm's own library, and Kubernetes' schemas from 1.25 to 1.37.
const PACKAGES: [&str; 2] = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0"];
const NAME: &str = "Helm's library and Kubernetes' schemas";

/// The interpreter that renders charts and knows what Kubernetes takes.
pub(crate) fn chart_tools() -> Result<PathBuf> {
    let folder = project::cache("")?.join("python");
    let (python, done) = (folder.join("bin/python"), folder.join("packages"));
    let wanted = PACKAGES.join("\n");
    if python.exists() && fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    term::say(format!("fetching {NAME} (pip, 75 MB, about 20 s)"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    if environment(&folder).is_err() {
        apt::install(&["python3", "python3-venv"], "python3-venv", "10 s")?;
        environment(&folder)?;
    }
    let log = project::log("pip")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"]).args(PACKAGES);
    process::logged(&mut pip, &log).map_err(|error| apt::explain(error, &log, NAME))?;
    fs::write(done, wanted)?;
    Ok(python)
}

fn environment(folder: &Path) -> Result<()> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(folder);
    process::logged(&mut make, &project::log("venv")?)
}
