//! The compiler and the linker for BPF programs.
//!
//! Two roads: rustup's nightly with rust-src (core is compiled on the way), or Debian's own Rust,
//! which brings a ready-made core for BPF. bpf-linker reads the compiler's LLVM bitcode, so its LLVM
//! must not be older than the compiler's.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::apt;
use crate::process;
use crate::project;
use crate::term;

const RUST_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const LLVM_PACKAGE: &str = "llvm-22-dev";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LLVM_MAJOR: u32 = 22;
const LINKER_VERSION: &str = "0.13.0";
const DEBIAN_NAME: &str = "bpf";

/// Which rustup toolchain compiles the BPF programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup's nightly with rust-src.
    Nightly,
    /// Debian's Rust, known to rustup as `bpf`.
    Debian,
}

impl Toolchain {
    /// The name that rustup knows it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Debian => DEBIAN_NAME,
        }
    }
}

/// Finds a toolchain that can build BPF programs, or makes one.
pub(crate) fn ensure() -> Result<Toolchain> {
    if process::find("rustup").is_none() {
        bail!("rustup is missing: install it as https://rustup.rs says, then run this again");
    }
    if nightly_has_source() && (linker_works() || nightly_linker()?) {
        return Ok(Toolchain::Nightly);
    }
    let compiler_there = debian_toolchain_is_linked();
    let linker_there = linker_works();
    if compiler_there && linker_there {
        return Ok(Toolchain::Debian);
    }
    if !apt::is_here() {
        bail!(
            "no Rust for BPF is here, and only Debian's can be installed for you: run \
             `rustup toolchain install nightly --component rust-src` and install bpf-linker, then run this again"
        );
    }
    let mut wanted = Vec::new();
    if !compiler_there {
        wanted.extend(RUST_PACKAGES);
    }
    if !linker_there {
        wanted.push(LLVM_PACKAGE);
    }
    apt::install(&apt::missing(&wanted), "Debian's Rust for BPF and LLVM 22", "30 s")?;
    if !compiler_there {
        link_debian_toolchain()?;
    }
    if !linker_there {
        build_linker()?;
    }
    Ok(Toolchain::Debian)
}

/// A nightly without bpf-linker: gets one, unless this machine cannot have one that reads its code.
fn nightly_linker() -> Result<bool> {
    if process::find("cargo-binstall").is_some() {
        term::say("fetching bpf-linker (cargo binstall, about 5 s)");
        let log = project::log("bpf-linker")?;
        let mut binstall = process::cargo();
        binstall.args(["binstall", "--no-confirm", "bpf-linker"]);
        return process::logged(&mut binstall, &log)
            .map(|()| true)
            .map_err(|error| apt::explain(error, &log, "bpf-linker"));
    }
    if !apt::is_here() {
        bail!(
            "bpf-linker is missing: install it (`cargo binstall bpf-linker`), then run this again"
        );
    }
    if nightly_llvm().is_none_or(|major| major > LLVM_MAJOR) {
        return Ok(false);
    }
    apt::install(&apt::missing(&[LLVM_PACKAGE]), "LLVM 22", "20 s")?;
    build_linker()?;
    Ok(true)
}

fn build_linker() -> Result<()> {
    term::say(format!("building bpf-linker {LINKER_VERSION} (cargo install, about 45 s)"));
    let log = project::log("bpf-linker")?;
    let mut install = process::cargo();
    install
        .args(["install", "bpf-linker", "--force", "--version", LINKER_VERSION])
        .args(["--no-default-features", "--features", "llvm-22"])
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    process::logged(&mut install, &log).map_err(|error| apt::explain(error, &log, "bpf-linker"))
}

fn link_debian_toolchain() -> Result<()> {
    term::say("naming Debian's Rust as the rustup toolchain `bpf` (at once)");
    let log = project::log("rustup-link")?;
    let mut link = Command::new("rustup");
    link.args(["toolchain", "link", DEBIAN_NAME, "/usr"]).env("PATH", process::search_path());
    process::logged(&mut link, &log)?;
    if debian_toolchain_is_linked() {
        return Ok(());
    }
    bail!(
        "Debian's Rust has no core for BPF although its packages are installed: reinstall them with \
         `apt-get install --reinstall {}`",
        RUST_PACKAGES.join(" ")
    )
}

fn linker_works() -> bool {
    process::find("bpf-linker").is_some_and(|linker| {
        Command::new(linker).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}

fn debian_toolchain_is_linked() -> bool {
    toolchains().into_iter().any(|path| {
        path.ends_with(DEBIAN_NAME)
            && path.join("bin/rustc").exists()
            && path.join("lib/rustlib/bpfel-unknown-none/lib").exists()
    })
}

/// A nightly folder alone is not enough: without rust-src there is no core to compile.
fn nightly_has_source() -> bool {
    nightly().is_some_and(|path| path.join("lib/rustlib/src/rust/library").exists())
}

fn nightly() -> Option<PathBuf> {
    let is_nightly = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == "nightly" || name == format!("nightly-{}-unknown-linux-gnu", env::consts::ARCH)
    };
    toolchains().into_iter().find(is_nightly)
}

fn nightly_llvm() -> Option<u32> {
    let text = process::output(Command::new(nightly()?.join("bin/rustc")).arg("-vV")).ok()?;
    llvm_major(&text)
}

fn llvm_major(version: &str) -> Option<u32> {
    let line = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

fn toolchains() -> Vec<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup"));
    let Some(rustup) = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(home) else {
        return Vec::new();
    };
    let entries = fs::read_dir(rustup.join("toolchains")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_compiler_is_read_from_its_version() {
        assert_eq!(llvm_major("rustc 1.97.0-nightly\nLLVM version: 22.1.4\n"), Some(22));
        assert_eq!(llvm_major("rustc 1.97.0-nightly\n"), None);
    }
}
