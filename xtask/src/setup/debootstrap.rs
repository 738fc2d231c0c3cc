//! A root of Debian in a folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{apt, tools};
use crate::process;
use crate::project;
use crate::root;
use crate::term;
use crate::vm;

/// Makes one with these packages beside what every Debian has, whole or not at all; `what` is it for, and how long
/// does it take?
pub(crate) fn debootstrap(
    tree: &Path,
    suite: &str,
    packages: &str,
    (what, how_long): (&str, &str),
) -> Result<()> {
    if !root::is_root() {
        bail!("{what} is made by root: run this with sudo");
    }
    tools::disk_tools()?;
    let part = tree.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    let mirror = vm::mirror::of_this_machine()?;
    term::say(format!("making {what} (debootstrap, about {how_long})"));
    let log = project::log(&format!("debootstrap-{suite}"))?;
    let mut command = Command::new("debootstrap");
    command.env("PATH", process::search_path());
    command.args(["--variant=minbase", &format!("--include={packages}"), suite]);
    process::logged(command.arg(&part).arg(&mirror.main), &log)
        .map_err(|error| apt::explain(error, &log, what))?;
    fs::rename(&part, tree).with_context(|| format!("cannot keep {}", tree.display()))
}
