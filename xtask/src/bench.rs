//! `bench`: build a measuring binary in release, become it.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::cli::{Bench, BenchKind};
use crate::process;
use crate::project;
use crate::root;
use crate::setup;

/// Measures what was asked for.
pub(crate) fn verb(args: &Bench) -> Result<()> {
    match &args.what {
        BenchKind::Kernel { args } => in_kernel("kernel", args),
        BenchKind::Policy { args } => in_kernel("policy", args),
        BenchKind::Fleet { args } => fleet(args),
        BenchKind::Score { args } => score(args),
        BenchKind::Detect { args } => detect(args),
    }
}

/// As root also by the kernel's reader; nobody is asked for a password for that.
fn detect(args: &[String]) -> Result<()> {
    let toolchain = setup::for_run()?;
    build::release(toolchain, &["-p", "sentinel-tests", "--bin", "sentinel-bench"])?;
    let mut command = Command::new(project::release("sentinel-bench"));
    let readme = project::root().join("README.md");
    command.current_dir(project::root()).arg("detect").args(args).arg("--write").arg(readme);
    process::become_program(command)
}

fn in_kernel(what: &str, args: &[String]) -> Result<()> {
    let toolchain = setup::for_run()?;
    build::release(toolchain, &["-p", "sentinel-tests", "--bin", "sentinel-bench"])?;
    let args: Vec<String> = std::iter::once(what.to_owned()).chain(args.iter().cloned()).collect();
    process::become_program(root::command(&project::release("sentinel-bench"), &args)?)
}

/// The agent itself is what is measured.
fn fleet(args: &[String]) -> Result<()> {
    let toolchain = setup::for_run()?;
    build::release(toolchain, &["-p", "sentinel", "--bin", "sentinel"])?;
    in_kernel("fleet", args)
}

/// Needs neither root nor kernel programs.
fn score(args: &[String]) -> Result<()> {
    let mut cargo = build::host_cargo();
    cargo.args(["run", "-p", "sentinel-tests", "--bin", "sentinel-bench", "--", "score"]);
    cargo.args(args);
    process::become_program(cargo)
}
