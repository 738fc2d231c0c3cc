//! Debian's packages: which are there, and how to get the others.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::project;
use crate::root;
use crate::term;

/// What apt says when its lists are missing or old.
const STALE_LISTS: [&str; 4] = [
    "Unable to locate package",
    "no installation candidate",
    "404  Not Found",
    "Couldn't find any package",
];

/// What apt and cargo say when the network is not there.
const OFFLINE: [&str; 8] = [
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Cannot initiate the connection",
    "Connection timed out",
    "Network is unreachable",
    "failed to download from",
    "Unable to connect",
];

/// Whether this machine has Debian's package manager.
pub(crate) fn is_here() -> bool {
    process::find("apt-get").is_some() && process::find("dpkg-query").is_some()
}

/// Those of the packages that are not installed.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Package}\n"]).args(packages);
    // dpkg-query fails when it does not know one of them, and still lists the others.
    let text = query.output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let there =
        |package: &str| text.lines().any(|line| line.strip_prefix("installed ") == Some(package));
    packages.iter().copied().filter(|package| !there(package)).collect()
}

/// Installs packages, after one line that says what and how long.
pub(crate) fn install(packages: &[&str], what: &str, how_long: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !root::is_root() {
        bail!("{what} must be installed by root: run `sudo {command}`, then this again");
    }
    term::say(format!("installing {what} (apt, about {how_long})"));
    let log = project::log("apt-install")?;
    let Err(first) = try_install(packages, &log) else { return Ok(()) };
    if !mentions(&log, &STALE_LISTS) {
        return Err(explain(first, &log, what));
    }
    term::say("fetching apt's package lists (about 10 s)");
    let update_log = project::log("apt-update")?;
    process::logged(apt_get().arg("update"), &update_log)
        .map_err(|error| explain(error, &update_log, what))?;
    try_install(packages, &log).map_err(|error| explain(error, &log, what))
}

/// One sentence with the mend when a log shows that the network is not there.
pub(crate) fn explain(error: anyhow::Error, log: &Path, what: &str) -> anyhow::Error {
    if mentions(log, &OFFLINE) {
        return anyhow::anyhow!(
            "cannot fetch {what}, as the server does not answer: connect this machine to the network \
             (or set the proxy) and run this again; the log is {}",
            log.display()
        );
    }
    error.context(format!("cannot install {what}"))
}

fn mentions(log: &Path, signs: &[&str]) -> bool {
    let text = fs::read_to_string(log).unwrap_or_default();
    signs.iter().any(|sign| text.contains(sign))
}

fn try_install(packages: &[&str], log: &Path) -> Result<()> {
    let mut apt = apt_get();
    apt.args(["install", "-y", "--no-install-recommends"]).args(packages);
    process::logged(&mut apt, log)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_network_becomes_a_sentence() {
        let log = std::env::temp_dir().join(format!("xtask-apt-{}.log", std::process::id()));
        fs::write(&log, "Err: Temporary failure resolving 'mirror'\n").unwrap();
        let error = explain(anyhow::anyhow!("apt-get failed"), &log, "LLVM");
        assert!(error.to_string().starts_with("cannot fetch LLVM, as the server does not answer"));
        fs::write(&log, "dpkg: error processing\n").unwrap();
        let error = explain(anyhow::anyhow!("apt-get failed"), &log, "LLVM");
        assert_eq!(format!("{error:#}"), "cannot install LLVM: apt-get failed");
        fs::remove_file(&log).unwrap();
    }
}
