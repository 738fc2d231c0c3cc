//! `verifier`: how many instructions each kernel walks to prove each program safe.

mod snapshot;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::cli;
use crate::process;
use crate::project;
use crate::root;
use crate::setup;
use crate::term;
use crate::vm::{self, Boot, Layout, Machines, Step};
use snapshot::{Counts, Snapshot};

/// This machine, where a kernel's name is asked for.
pub(crate) const HOST: &str = "host";

/// Loading programs takes seconds, also in a guest without hardware help.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Measures, then compares or blesses.
pub(crate) fn verb(args: &cli::Verifier) -> Result<()> {
    let mut measured = Vec::new();
    if wants_host(&args.kernels) {
        measured.extend(on_this_machine()?);
    }
    let guests: Vec<_> = args.kernels.iter().filter(|name| *name != HOST).cloned().collect();
    if !guests.is_empty() || args.kernels.is_empty() {
        measured.extend(in_guests(&guests)?);
    }
    let mut snapshot = Snapshot::load()?;
    if args.bless {
        for (column, counts) in measured {
            snapshot.bless(&column, counts);
        }
        print!("{snapshot}");
        return snapshot.save();
    }
    let complaints: Vec<String> =
        measured.iter().flat_map(|(column, counts)| snapshot.complaints(column, counts)).collect();
    for (column, counts) in measured {
        snapshot.bless(&column, counts);
    }
    print!("{snapshot}");
    complaints.iter().for_each(|complaint| println!("{}", term::verdict(complaint, false)));
    if complaints.is_empty() {
        return Ok(());
    }
    bail!(
        "{} counts changed: look at them, then run `cargo xtask verifier --bless`",
        complaints.len()
    )
}

/// What the lines of a guest's measurement break of the snapshot.
pub(crate) fn compare(column: &str, lines: &[String]) -> Vec<String> {
    match Snapshot::load() {
        Ok(snapshot) => {
            snapshot.complaints(column, &snapshot::counts(lines.iter().map(String::as_str)))
        }
        Err(error) => vec![format!("{error:#}")],
    }
}

fn wants_host(kernels: &[String]) -> bool {
    kernels.is_empty() || kernels.iter().any(|name| name == HOST)
}

/// The host's column; none when the matrix has a kernel of that version already.
fn on_this_machine() -> Result<Option<(String, Counts)>> {
    let release = process::first_line("/proc/sys/kernel/osrelease");
    let column: Vec<&str> = release.split(['.', '-', '+']).take(2).collect();
    let column = column.join(".");
    if vm::names().contains(&column.as_str()) {
        term::say(format!("this machine's kernel {column} is measured in its guest only"));
        return Ok(None);
    }
    let toolchain = setup::for_run()?;
    build::release(toolchain, &["-p", "sentinel-tests", "--bin", "sentinel-verifier"])?;
    let text = process::output(&mut root::command(&project::release("sentinel-verifier"), &[])?)?;
    Ok(Some((column, snapshot::counts(text.lines()))))
}

fn in_guests(names: &[String]) -> Result<Vec<(String, Counts)>> {
    let mut machines = Machines::new(true)?;
    let step = Step::new("verifier", &["sentinel-verifier"]);
    let mut measured = Vec::new();
    for kernel in vm::select(names) {
        let Boot::Ran { outcomes, .. } =
            machines.boot(kernel, Layout::Pure, std::slice::from_ref(&step), TIMEOUT)?
        else {
            term::say(vm::gone(kernel));
            continue;
        };
        let outcome = outcomes.into_iter().next().context("the guest ran nothing")?;
        if outcome.code != Some(0) {
            bail!("the programs do not load on {}:\n{}", kernel.name, outcome.lines.join("\n"));
        }
        let counts = snapshot::counts(outcome.lines.iter().map(String::as_str));
        measured.push((kernel.name.to_owned(), counts));
    }
    Ok(measured)
}
