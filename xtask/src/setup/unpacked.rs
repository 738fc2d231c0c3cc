//! Files of Debian packages that are unpacked and not installed: Prometheus would run on this machine from then on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt;
use crate::process;
use crate::project;
use crate::term;
use crate::vm;

/// Prometheus' tool that reads metrics and rules.
pub(crate) fn promtool() -> Result<PathBuf> {
    if let Some(there) = process::find("promtool") {
        return Ok(there);
    }
    let folder = project::cache("")?.join("prometheus");
    unpack(&folder, "promtool", "prometheus", "amd64")?;
    Ok(folder.join("usr/bin/promtool"))
}

/// Whole or not at all.
fn unpack(folder: &Path, what: &str, package: &str, architecture: &str) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("{what} comes from Debian's mirror, and apt-get is missing");
    }
    term::say(format!("fetching {what} (apt, about 15 s)"));
    let mirror = vm::mirror::of_this_machine()?;
    let source = |uri: &str, suite: &str| {
        let keyring = vm::archive::KEYRING;
        format!("deb [arch={architecture} signed-by={keyring}] {uri} {suite} main\n")
    };
    let sources = source(&mirror.main, "bookworm") + &source(&mirror.security, "bookworm-security");
    let config = vm::archive::configure(&format!("apt-{architecture}"), &sources)?;
    let scratch = project::scratch("unpacked")?.join(architecture);
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let log = project::log("unpacked")?;
    for arguments in [["update", "-q"], ["download", package]] {
        let mut command = Command::new("apt-get");
        command.args(["-o", "APT::Architectures=amd64,arm64"]).args(arguments);
        command.current_dir(&scratch).env("APT_CONFIG", &config).env("LC_ALL", "C.UTF-8");
        process::logged(&mut command, &log).map_err(|error| apt::explain(error, &log, what))?;
    }
    let fetched = fs::read_dir(&scratch)?.filter_map(Result::ok).map(|entry| entry.path());
    let fetched = fetched.last().with_context(|| format!("apt has fetched no {package}"))?;
    let part = folder.with_extension("part");
    process::check(Command::new("dpkg-deb").arg("-x").arg(fetched).arg(&part))?;
    fs::rename(&part, folder).with_context(|| format!("cannot keep {}", folder.display()))
}
