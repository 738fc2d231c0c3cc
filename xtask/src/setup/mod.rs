//! `setup`: what is missing is installed, each with one line; what is there is left alone.

mod apt;
mod kubernetes;
mod toolchain;
mod tools;

use anyhow::Result;

pub(crate) use apt::explain;
pub(crate) use kubernetes::Kept as Kubernetes;
use kubernetes::kubernetes_tools;
pub(crate) use toolchain::Toolchain;
use tools::container_tools;
pub(crate) use tools::{fuzz_tools, guest_tools, image_tools, node_tools};

use crate::cli::{Purpose, Setup};
use crate::term;
use crate::vm;

/// Prepares the machine for what was asked.
pub(crate) fn verb(args: &Setup) -> Result<()> {
    for_run()?;
    if args.purpose == Purpose::Test {
        guest_tools()?;
        container_tools()?;
        kubernetes_tools()?;
        vm::fetch_all()?;
    }
    Ok(())
}

/// What the live rung needs beside the programs: a container runtime, an API server. Where that cannot be
/// had, its tests are skipped by name, but in CI, which is there to run them. A filter is about other tests
/// unless it names these.
pub(crate) fn for_live(filter: Option<&str>) -> Result<()> {
    let wanted = |tests: &str| filter.is_none_or(|filter| filter.contains(tests));
    let mut had = Vec::new();
    if wanted("pods") {
        had.push(("pods", container_tools()));
    }
    if wanted("kubernetes") {
        had.push(("kubernetes", kubernetes_tools()));
    }
    for (tests, had) in had {
        match had {
            Err(error) if std::env::var_os("CI").is_none() => {
                term::say(format!("the tests {tests}/ are skipped: {error:#}"));
            }
            had => had?,
        }
    }
    Ok(())
}

/// Makes sure that the BPF programs can be compiled, and says with which toolchain.
pub(crate) fn for_run() -> Result<Toolchain> {
    toolchain::ensure()
}
