//! How the kernel programs are compiled: for `build.rs`, and for who wants to compare two of them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// What would be another compiler, or has code made in pieces that the verifier has not seen.
const NOT_PASSED_ON: [&str; 5] =
    ["RUSTC", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_INCREMENTAL"];

/// The byte order of every processor that the agent is built for.
const TARGET: &str = "bpfel-unknown-none";

/// Cargo for the programs in `package`, with the registers of the processor whose kernel will run them.
///
/// `aya-build` does the same, but passes no flags on: the object names the file of every line, for the
/// verifier's log, and those names must not be where this machine happens to have them.
pub fn command(package: &Path, toolchain: &str, processor: &str, made: &Path) -> Result<Command> {
    let mut cargo = Command::new("rustup");
    cargo.args(["run", toolchain, "cargo", "build", "--quiet", "--package", "sentinel-ebpf"]);
    cargo.args(["--release", "--target", TARGET, "--target-dir"]).arg(made).current_dir(package);
    let workspace = fs::canonicalize(package.join(".."))?;
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set: set one")?;
    let mut places = vec![(workspace, "sentinel"), (cargo_home, "cargo")];
    if toolchain == "nightly" {
        // It has no core for BPF, only the sources of one.
        cargo.args(["-Z", "build-std=core"]);
        places.push((sysroot(toolchain).context("rustup has no nightly")?, "rust"));
    }
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{processor}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    for (place, name) in places {
        flags.push(format!("--remap-path-prefix={}=/usr/src/{name}", place.display()));
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // What cargo has set for the compiler of the agent is not for this one.
    for name in NOT_PASSED_ON {
        cargo.env_remove(name);
    }
    Ok(cargo)
}

/// What of an object is for a kernel: all but what is for debuggers, which is most of it. The verifier's log
/// takes the lines that it names from `.BTF.ext`.
pub fn without_debug(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    let mut has_names = false;
    for section in builder.sections.iter_mut() {
        let name = section.name.strip_prefix(b".rel").unwrap_or(&section.name);
        section.delete = name.starts_with(b".debug_");
        has_names |= matches!(section.data, SectionData::SectionString);
    }
    builder.delete_orphans();
    // The linker keeps sections' names among those of symbols, which is not how they are written here.
    if !has_names {
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = SHT_STRTAB;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// Where that cargo puts them.
pub fn object(made: &Path) -> PathBuf {
    made.join(TARGET).join("release/sentinel-ebpf")
}

/// Where a toolchain of rustup is.
pub fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let print = ["run", toolchain, "rustc", "--print", "sysroot"];
    let output = Command::new("rustup").args(print).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}
