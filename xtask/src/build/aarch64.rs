//! The same for the other processor that the agent is for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Executables, TOOLCHAIN_VARIABLE, all_of, cargo, quiet, some_of};
use crate::process;
use crate::project;
use crate::setup::Toolchain;

/// The target, and who compiles and links C for it.
const TARGET: &str = "aarch64-unknown-linux-gnu";
const CROSS_COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Whether rustup has Rust's library for it.
pub(crate) fn has_aarch64() -> bool {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|path| {
        Path::new(path.trim()).join("lib/rustlib").join(TARGET).join("lib").exists()
    })
}

/// Programs and harnesses, static and optimised as what is shipped; with another library of Rust's by that
/// toolchain's compiler.
pub(crate) fn for_aarch64(toolchain: Toolchain, sysroot: Option<&Path>) -> Result<Executables> {
    all_of(|verb| cargo_for(toolchain, sysroot, verb))
}

/// Of them the agent alone.
pub(crate) fn agent_for_aarch64(toolchain: Toolchain, sysroot: Option<&Path>) -> Result<PathBuf> {
    let built = some_of(|verb| cargo_for(toolchain, sysroot, verb), &["sentinel"])?;
    Ok(built.path("sentinel")?.to_owned())
}

fn cargo_for(toolchain: Toolchain, sysroot: Option<&Path>, verb: &str) -> Command {
    let mut flags = "-C target-feature=+crt-static".to_owned();
    let mut command = cargo(toolchain);
    if let Some(sysroot) = sysroot {
        flags += &format!(" --sysroot={}", sysroot.display());
        command = Command::new("rustup");
        command.args(["run", toolchain.name(), "cargo"]).current_dir(project::root());
        command.env("PATH", process::search_path()).env(TOOLCHAIN_VARIABLE, toolchain.name());
        command.env_remove("AYA_BUILD_SKIP").env_remove("RUSTC").env_remove("CARGO");
    }
    command
        .args([verb, "--profile", "dist", "--target", TARGET, "--target-dir"])
        .arg(project::target().join("aarch64"))
        .args(quiet())
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", flags)
        .env("CC_aarch64_unknown_linux_gnu", CROSS_COMPILER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", CROSS_COMPILER)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}
