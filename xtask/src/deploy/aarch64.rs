//! The agent for aarch64: compiled, linked statically, and run under QEMU as far as that goes without a kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{capture, image};
use crate::build;
use crate::ladder::{Checks, installed};
use crate::process;
use crate::project;
use crate::setup;

/// The checks of it. Compiling all of it for one more processor takes minutes, so they run when they are named.
pub(super) const NAMES: [&str; 3] = [
    "aarch64/executable_is_static",
    "aarch64/checks_policies",
    "aarch64/replays_a_capture_as_x86_64_does",
];

/// Builds it, and has it do what needs no kernel.
pub(super) fn checks(checks: &mut Checks) {
    let [is_static, policies, replays] = NAMES;
    let Some(executable) = checks.prepare(&NAMES, build) else { return };
    checks.run(is_static, || {
        let head = process::output(Command::new("readelf").arg("-hW").arg(&executable))?;
        if !head.contains("AArch64") {
            bail!("{} is not for aarch64", executable.display());
        }
        image::is_static(&executable)?;
        let (said, _) = run(emulated(&executable).arg("--version"))?;
        if said.trim() == concat!("sentinel ", env!("CARGO_PKG_VERSION")) {
            return Ok(());
        }
        bail!("it says {said}")
    });
    checks.run(policies, || {
        let good = project::root().join("deploy/policies/node.yaml");
        let bad = project::scratch("aarch64")?.join("bad.yaml");
        fs::write(&bad, fs::read_to_string(&good)?.replace("kind:", "kin:"))?;
        let (said, code) = run(emulated(&executable).args(["policy", "check"]).arg(&good))?;
        if code != Some(0) {
            bail!("it refuses {}: {said}", good.display());
        }
        let (said, code) = run(emulated(&executable).args(["policy", "check"]).arg(&bad))?;
        if code == Some(2) { Ok(()) } else { bail!("it takes a misspelt policy: {said}") }
    });
    checks.run(replays, || {
        let file = project::scratch("aarch64")?.join("miner.pcap");
        fs::write(&file, capture::of_a_miner())?;
        let replay = ["replay", "--engine", "host", "--format", "json"];
        let there = run(emulated(&executable).args(replay).arg(&file))?;
        let shipped = build::shipped(setup::for_run()?)?;
        let here = run(Command::new(shipped).args(replay).arg(&file))?;
        if !here.0.contains("\"reason\":\"stratum\"") || here.1 != Some(2) {
            bail!("no miner is found here: {}", here.0);
        }
        if there == here { Ok(()) } else { bail!("{} there, {} here", there.0, here.0) }
    });
}

fn emulated(executable: &Path) -> Command {
    let mut command = Command::new("qemu-aarch64-static");
    command.arg(executable).env("PATH", process::search_path());
    command
}

/// What a program prints, and its exit code.
fn run(command: &mut Command) -> Result<(String, Option<i32>)> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8_lossy(&said).into_owned(), output.status.code()))
}

fn build() -> Result<PathBuf> {
    let toolchain = installed(setup::for_run())?;
    let sysroot = installed(setup::aarch64(toolchain))?;
    build::agent_for_aarch64(toolchain, sysroot.as_deref())
}
