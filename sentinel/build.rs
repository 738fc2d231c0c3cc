//! Builds the kernel programs into `OUT_DIR/sentinel-ebpf`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain, build_ebpf};

const TOOLCHAIN: &str = "SENTINEL_BPF_TOOLCHAIN";
const SKIP: &str = "AYA_BUILD_SKIP";

fn main() -> Result<()> {
    println!("cargo::rerun-if-env-changed={TOOLCHAIN}");
    println!("cargo::rerun-if-env-changed={SKIP}");
    println!("cargo::rerun-if-changed=../sentinel-common/src");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let object = out.join("sentinel-ebpf");
    if env::var_os(SKIP).is_some_and(|skip| skip == "1" || skip == "true") {
        // An empty object: `sentinel run` says in one sentence that this build has no programs.
        return Ok(fs::write(object, [])?);
    }
    let toolchain = toolchain()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sentinel-ebpf");
    let root = root.to_str().context("the path of sentinel-ebpf is not UTF-8")?;
    let package = Package { name: "sentinel-ebpf", root_dir: root, ..Default::default() };
    let toolchain = match toolchain.as_str() {
        "nightly" => Toolchain::Nightly,
        custom => Toolchain::Custom(custom),
    };
    build_ebpf([package], toolchain)
}

/// The rustup toolchain to build with: the one asked for, else the first that has a core library
/// for BPF or the sources to build one.
fn toolchain() -> Result<String> {
    if let Some(asked) = env::var_os(TOOLCHAIN) {
        return asked.into_string().ok().with_context(|| format!("{TOOLCHAIN} is not UTF-8"));
    }
    for (name, needs) in
        [("nightly", "lib/rustlib/src/rust/library"), ("bpf", "lib/rustlib/bpfel-unknown-none")]
    {
        let sysroot =
            Command::new("rustup").args(["run", name, "rustc", "--print", "sysroot"]).output();
        if let Ok(sysroot) = sysroot
            && sysroot.status.success()
            && Path::new(String::from_utf8_lossy(&sysroot.stdout).trim()).join(needs).exists()
        {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "no Rust toolchain for BPF is installed: run `cargo xtask setup`, or set {SKIP}=1 to build without the kernel programs"
    )
}
