//! `setup`: what is missing is installed, each with one line; what is there is left alone.

mod apiextensions;
mod apt;
mod cargo_deb;
mod debootstrap;
mod helm;
mod kept;
mod kubernetes;
mod python;
mod toolchain;
mod tools;
mod unpacked;

use anyhow::Result;

pub(crate) use apt::explain;
pub(crate) use cargo_deb::cargo_deb;
pub(crate) use debootstrap::debootstrap;
pub(crate) use helm::helm;
pub(crate) use kubernetes::Kept as Kubernetes;
use kubernetes::kubernetes_tools;
pub(crate) use python::schemas;
pub(crate) use toolchain::Toolchain;
use tools::container_tools;
pub(crate) use tools::{aarch64_guest_tools, fuzz_tools, guest_tools, image_tools, node_tools};
pub(crate) use unpacked::{aarch64, aarch64_busybox, promtool};

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
        operator_tools()?;
        vm::fetch_all()?;
    }
    Ok(())
}

/// What the live rung needs beside the programs: a container runtime, an API server. Where that cannot be
/// had, which is most often a mirror's fault, its tests are skipped by name. A filter is about other tests
/// unless it names these.
pub(crate) fn for_live(filter: Option<&str>) {
    type Bring = fn() -> Result<()>;
    let parts: [(&str, bool, Bring); 4] = [
        ("pods", true, container_tools),
        ("kubernetes", true, kubernetes_tools),
        ("kubernetes", true, operator_tools),
        // Its suite changes every day: it is built for who names its test.
        ("kubernetes/a_newer_server", false, apiextensions::apiextensions_server),
    ];
    for (tests, always, bring) in parts {
        if filter.map_or(!always, |filter| !filter.contains(tests)) {
            continue;
        }
        if let Err(error) = bring() {
            term::say(format!("the tests {tests}/ are skipped: {error:#}"));
        }
    }
}

/// What the README's reader types beside kubectl.
fn operator_tools() -> Result<()> {
    helm()?;
    tools::push_tools()
}

/// Makes sure that the BPF programs can be compiled, and says with which toolchain.
pub(crate) fn for_run() -> Result<Toolchain> {
    toolchain::ensure()
}
