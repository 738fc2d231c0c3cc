//! `lint`: what a reviewer should not have to say.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::cli::Lint;
use crate::process;
use crate::project;
use crate::term;
use crate::tidy;

/// Runs every check, also after one failed, and says which did.
pub(crate) fn verb(args: &Lint) -> Result<()> {
    let fmt: &[&str] = if args.fix { &["fmt", "--all"] } else { &["fmt", "--all", "--check"] };
    let checks = [
        ("format", process::check(process::cargo().args(fmt))),
        ("clippy", host_clippy()),
        ("clippy for BPF", bpf_clippy()),
        ("licences and sources", deny()),
        ("tidy", tidy::check()),
    ];
    let mut failed = Vec::new();
    for (name, result) in checks {
        if let Err(error) = result {
            term::error(&error.context(name));
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("these checks failed: {}", failed.join(", ")) }
}

/// The whole workspace as host code; the BPF crate builds there too.
fn host_clippy() -> Result<()> {
    let mut clippy = build::host_cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    process::check(&mut clippy)
}

/// The BPF crate for its own target: by nightly where it has the sources, else by Debian's clippy.
fn bpf_clippy() -> Result<()> {
    let (toolchain, build_std) =
        if nightly_has_source() { ("nightly", true) } else { ("bpf", false) };
    let mut probe = Command::new("rustup");
    probe.args(["run", toolchain, "cargo-clippy", "--version"]);
    if process::output(&mut probe).is_err() {
        term::say(
            "the BPF crate was checked as host code only: no clippy for its target \
             (`apt-get install rust-web-clippy` on Debian, or nightly with rust-src and clippy)",
        );
        return Ok(());
    }
    let mut clippy = Command::new("rustup");
    clippy
        .args(["run", toolchain, "cargo", "clippy", "--quiet", "--release", "-p", "sentinel-ebpf"])
        .args(["--target", "bpfel-unknown-none"]);
    if build_std {
        clippy.args(["-Z", "build-std=core"]);
    }
    clippy
        .args(["--", "-D", "warnings"])
        .current_dir(project::root())
        // aya-ebpf names registers by the architecture whose kernel will run the programs.
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH))
        .env("CARGO_TARGET_DIR", project::target().join("bpf-lint"));
    process::check(&mut clippy)
}

fn nightly_has_source() -> bool {
    let mut sysroot = Command::new("rustup");
    sysroot.args(["run", "nightly", "rustc", "--print", "sysroot"]);
    process::output(&mut sysroot).is_ok_and(|path| {
        project::root().join(path.trim()).join("lib/rustlib/src/rust/library").exists()
    })
}

/// Licences, sources and duplicates; then known vulnerabilities, whose list must be fetched.
fn deny() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        if env::var_os("CI").is_none() {
            term::say(
                "skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`, about 4 min)",
            );
            return Ok(());
        }
        term::say("building cargo-deny (cargo install, about 4 min)");
        let mut install = process::cargo();
        install.args(["install", "--locked", "cargo-deny"]).env_remove("CARGO_TARGET_DIR");
        process::logged(&mut install, &project::log("cargo-deny")?)?;
    }
    let mut offline = process::cargo();
    offline.args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]);
    process::check(&mut offline)?;
    let mut advisories = process::cargo();
    advisories.args(["deny", "check", "advisories"]);
    match process::output(&mut advisories) {
        Err(error) if error.to_string().contains("failed to fetch advisory database") => {
            term::say("skipped: the list of known vulnerabilities cannot be fetched here");
            Ok(())
        }
        other => other.map(drop),
    }
}
