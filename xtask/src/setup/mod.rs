//! `setup`: what is missing is installed, each with one line; what is there is left alone.

mod apt;
mod kubernetes;
mod toolchain;
mod tools;

use anyhow::Result;

pub(crate) use apt::explain;
pub(crate) use kubernetes::api_server;
use kubernetes::kubernetes_tools;
pub(crate) use toolchain::Toolchain;
use tools::container_tools;
pub(crate) use tools::{fuzz_tools, guest_tools, image_tools, node_tools};

use crate::cli::{Purpose, Setup};
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

/// Makes sure that the BPF programs can be compiled, and says with which toolchain.
pub(crate) fn for_run() -> Result<Toolchain> {
    toolchain::ensure()
}
