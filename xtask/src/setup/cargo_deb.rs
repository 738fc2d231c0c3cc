//! What makes Debian's package.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{apt, tools};
use crate::process;
use crate::project;
use crate::term;

/// The version that was tried.
const VERSION: &str = "3.8.0";

/// Finds it, or builds it: unoptimised, and with `xz` beside it instead of a library, within 40 s of a processor.
pub(crate) fn cargo_deb() -> Result<PathBuf> {
    tools::package_tools()?;
    if let Some(there) = process::find("cargo-deb") {
        return Ok(there);
    }
    let folder = project::cache("cargo-deb")?.join(VERSION);
    let program = folder.join("bin/cargo-deb");
    if program.exists() {
        return Ok(program);
    }
    term::say("building cargo-deb (cargo install, about 25 s)");
    let log = project::log("cargo-deb-install")?;
    let mut install = process::cargo();
    install.args(["install", "--locked", "cargo-deb", "--version", VERSION, "--no-track"]);
    install.args(["--debug", "--no-default-features", "--root"]).arg(&folder);
    install.arg("--target-dir").arg(project::target().join("cargo-deb"));
    process::logged(&mut install, &log).map_err(|error| apt::explain(error, &log, "cargo-deb"))?;
    if program.exists() { Ok(program) } else { bail!("cargo has installed no cargo-deb") }
}
