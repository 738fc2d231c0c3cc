//! What cargo is asked to build, and where it put it.

mod aarch64;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process;
use crate::project;
use crate::setup::Toolchain;
use crate::term;

pub(crate) use aarch64::{agent_for_aarch64, for_aarch64, has_aarch64};

/// The target of binaries that run in a guest without any library.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Says to `sentinel/build.rs` which rustup toolchain compiles the BPF programs.
const TOOLCHAIN_VARIABLE: &str = "SENTINEL_BPF_TOOLCHAIN";

/// Cargo for anything that contains the BPF programs.
pub(crate) fn cargo(toolchain: Toolchain) -> Command {
    let mut command = process::cargo();
    command.env(TOOLCHAIN_VARIABLE, toolchain.name()).env_remove("AYA_BUILD_SKIP");
    command
}

/// Cargo for host-only work: no BPF toolchain is needed, and the real build stays untouched.
pub(crate) fn host_cargo() -> Command {
    let mut command = process::cargo();
    command.env("AYA_BUILD_SKIP", "1").env("CARGO_TARGET_DIR", project::host_target());
    command
}

/// The packages of the host rung. Whoever builds for it names the same: cargo gives what several need the features
/// that all of them ask for, and would compile it again for others.
pub(crate) const HOST_PACKAGES: [&str; 5] =
    ["--workspace", "--exclude", "sentinel-ebpf", "--exclude", "sentinel-tests"];

/// Tests of the host rung, not run, with the programs that cargo builds for them; nothing is to be done after it.
pub(crate) fn host_tests(which: &[&str]) -> Result<Executables> {
    let mut command = host_cargo();
    command.args(["test", "--no-run", "--quiet"]).args(HOST_PACKAGES).args(which);
    Ok(Executables(executables(command.arg("--message-format=json-render-diagnostics"))?))
}

/// Builds release binaries of the workspace; cargo's own output tells the progress.
pub(crate) fn release(toolchain: Toolchain, what: &[&str]) -> Result<()> {
    process::check(cargo(toolchain).args(["build", "--release"]).args(quiet()).args(what))
}

/// Executables by their names: the programs and the test harnesses.
#[derive(Debug, Default)]
pub(crate) struct Executables(pub(crate) Vec<(String, PathBuf)>);

impl Executables {
    /// Where this one is.
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_path());
        found.with_context(|| format!("cargo has built no `{name}`"))
    }
}

/// What is built together, statically linked and as it is shipped: the same runs here, in guests and elsewhere. The
/// features of what several of them need are of all of them.
const TOGETHER: [&str; 4] = ["-p", "sentinel", "-p", "sentinel-tests"];
/// The harnesses among it.
const HARNESSES: [&str; 4] = ["--test", "test_run", "--test", "live"];

/// Builds all of it.
pub(crate) fn standalone(toolchain: Toolchain) -> Result<Executables> {
    let here = Place::here()?;
    all_of(|verb| here.cargo(toolchain, verb))
}

/// Builds these programs of it.
pub(crate) fn programs(toolchain: Toolchain, names: &[&str]) -> Result<Executables> {
    Place::here()?.programs(toolchain, names)
}

/// Programs and harnesses, by a cargo that is told how and where to by its verb.
fn all_of(cargo: impl Fn(&str) -> Command) -> Result<Executables> {
    let mut found = executables(cargo("build").args(TOGETHER).arg("--bins"))?;
    let mut tests = cargo("test");
    tests.arg("--no-run").args(TOGETHER).args(HARNESSES);
    for (name, path) in executables(&mut tests)? {
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, path));
        }
    }
    Ok(Executables(found))
}

/// Of it these programs alone, by such a cargo.
fn some_of(cargo: impl Fn(&str) -> Command, names: &[&str]) -> Result<Executables> {
    let mut build = cargo("build");
    build.args(TOGETHER).args(names.iter().flat_map(|name| ["--bin", name]));
    Ok(Executables(executables(&mut build)?))
}

/// The executable that is shipped: that of [`standalone`] without its symbols.
pub(crate) fn shipped(toolchain: Toolchain) -> Result<PathBuf> {
    Place::here()?.shipped(toolchain, &project::scratch("shipped")?)
}

/// Where sources are, and what of the machine around them could get into an executable.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) cargo_home: PathBuf,
}

impl Place {
    fn here() -> Result<Self> {
        let cargo_home = process::cargo_home();
        let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set: set one")?;
        Ok(Self { root: project::root(), target: project::target(), cargo_home })
    }

    /// Builds the executable, and leaves it without its symbols in a folder.
    pub(crate) fn shipped(&self, toolchain: Toolchain, folder: &Path) -> Result<PathBuf> {
        let built = self.programs(toolchain, &["sentinel"])?;
        let stripped = folder.join("sentinel");
        let mut strip = Command::new("strip");
        process::check(strip.arg("-o").arg(&stripped).arg(built.path("sentinel")?))?;
        Ok(stripped)
    }

    fn programs(&self, toolchain: Toolchain, names: &[&str]) -> Result<Executables> {
        some_of(|verb| self.cargo(toolchain, verb), names)
    }

    fn cargo(&self, toolchain: Toolchain, verb: &str) -> Command {
        let mut flags = vec!["-C target-feature=+crt-static".to_owned()];
        // Relocations of an executable at any address are a megabyte otherwise.
        flags.push("-C link-arg=-Wl,-z,pack-relative-relocs".to_owned());
        // Of two that a path begins with, the later counts.
        let places =
            [(&self.root, "sentinel"), (&self.target, "target"), (&self.cargo_home, "cargo")];
        for (place, name) in places {
            flags.push(format!("--remap-path-prefix={}=/usr/src/{name}", place.display()));
        }
        let mut command = cargo(toolchain);
        command
            .args([verb, "--profile", "dist", "--target", STATIC_TARGET])
            .args(quiet())
            .arg("--message-format=json-render-diagnostics")
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_HOME", &self.cargo_home)
            .env("RUSTFLAGS", flags.join(" "))
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }
}

/// Cargo's progress is for somebody who waits; warnings and errors are shown in any case.
fn quiet() -> Option<&'static str> {
    (!term::live()).then_some("--quiet")
}

/// Runs cargo and gathers the executables that it names.
fn executables(command: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().context("cannot start cargo: is it in PATH?")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut found = Vec::new();
    for line in BufReader::new(stdout).lines() {
        found.extend(executable(&line?));
    }
    if !child.wait()?.success() {
        bail!("the programs and their tests do not build: see above");
    }
    Ok(found)
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_with_an_executable_count() {
        let artifact =
            r#"{"reason":"compiler-artifact","target":{"name":"live"},"executable":"/t/live-1"}"#;
        assert_eq!(executable(artifact), Some(("live".to_owned(), PathBuf::from("/t/live-1"))));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"aya"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: not json"), None);
    }
}
