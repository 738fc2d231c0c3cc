//! The whole executable of two folders: sources, what cargo builds and what it has fetched are elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::elsewhere;
use crate::build::{self, Place};
use crate::ladder::{Checks, installed};
use crate::process;
use crate::project;
use crate::setup;

/// All of it is compiled once more, which takes minutes: it runs when it is named.
pub(super) const NAMES: [&str; 1] = ["reproducible/executables_of_two_folders_are_the_same_bytes"];

/// Builds it here and there, and compares.
pub(super) fn checks(checks: &mut Checks) {
    let [same] = NAMES;
    checks.run(same, || {
        let toolchain = installed(setup::for_run())?;
        let here = build::shipped(toolchain)?;
        let folder = project::scratch("reproducible")?;
        let there = elsewhere()?.shipped(toolchain, &folder)?;
        let (ours, theirs) = (digest(&here)?, digest(&there)?);
        if fs::read(&here)? != fs::read(&there)? {
            bail!("{} is {ours}, {} is {theirs}", here.display(), there.display());
        }
        println!("{ours} in both folders");
        Ok(())
    });
}

/// What cargo has fetched is not fetched again: the same folder has another name.
fn elsewhere() -> Result<Place> {
    let target = project::scratch("elsewhere-target")?;
    let cargo_home = project::scratch("elsewhere")?.join("home");
    let ours = process::cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    if !cargo_home.exists() {
        symlink(ours, &cargo_home)?;
    }
    Ok(Place { root: elsewhere::sources()?, target, cargo_home })
}

fn digest(file: &Path) -> Result<String> {
    let said = process::output(Command::new("sha256sum").arg(file))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
