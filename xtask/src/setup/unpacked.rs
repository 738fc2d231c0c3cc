//! Files of Debian packages that are unpacked and not installed: Prometheus would run on this machine from then
//! on, and what is for another processor has no place in its folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Toolchain, apt};
use crate::build;
use crate::process;
use crate::project;
use crate::term;
use crate::vm;

/// The C compiler and library for aarch64, and who runs what they make.
const CROSS: [(&str, &str); 3] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("qemu-aarch64-static", "qemu-user-static"),
    ("", "libc6-dev-arm64-cross"),
];
const CROSS_LIBRARY: &str = "/usr/aarch64-linux-gnu/lib/libc.a";
const RUST_LIBRARY: &str = "libstd-rust-web-dev";

/// Prometheus' tool that reads metrics and rules.
pub(crate) fn promtool() -> Result<PathBuf> {
    if let Some(there) = process::find("promtool") {
        return Ok(there);
    }
    let folder = project::cache("")?.join("prometheus");
    unpack(&folder, "promtool", "prometheus", "amd64")?;
    Ok(folder.join("usr/bin/promtool"))
}

/// Makes sure that all of sentinel can be built for aarch64 and run, with rustup's own library where it is; otherwise
/// with Debian's compiler, and where its library for that processor is.
pub(crate) fn aarch64(toolchain: Toolchain) -> Result<Option<PathBuf>> {
    cross_tools()?;
    if build::has_aarch64() {
        return Ok(None);
    }
    if toolchain != Toolchain::Debian {
        bail!(
            "Rust's library for aarch64 is not here: `rustup target add aarch64-unknown-linux-gnu`"
        );
    }
    aarch64_sysroot().map(Some)
}

/// A static busybox for guests of that processor.
pub(crate) fn aarch64_busybox() -> Result<PathBuf> {
    let folder = project::cache("aarch64")?.join("busybox");
    unpack(&folder, "busybox for aarch64", "busybox-static:arm64", "arm64")?;
    Ok(folder.join("bin/busybox"))
}

/// Makes sure that C for aarch64 can be compiled, linked and run.
fn cross_tools() -> Result<()> {
    let there = |tool: &str| match tool {
        "" => Path::new(CROSS_LIBRARY).exists(),
        tool => process::find(tool).is_some(),
    };
    let missing = CROSS.iter().filter(|(tool, _)| !there(tool));
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("a build for aarch64 needs {}: install them", packages.join(", "));
    }
    apt::install(&packages, &format!("{} (for aarch64)", packages.join(", ")), "30 s")
}

/// A sysroot with Rust's own library for aarch64, of the version of Debian's compiler that is here.
fn aarch64_sysroot() -> Result<PathBuf> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Version}", RUST_LIBRARY]);
    let version = process::output(&mut query).context("Debian's Rust is not here")?;
    let folder = project::cache("aarch64")?.join(&version);
    unpack(
        &folder,
        "Rust's library for aarch64",
        &format!("{RUST_LIBRARY}:arm64={version}"),
        "arm64",
    )?;
    Ok(folder.join("usr"))
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
