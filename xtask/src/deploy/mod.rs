//! What is shipped: the image, the manifests and the package; and the rung that proves them.

mod aarch64;
mod capture;
mod deb;
mod elsewhere;
mod image;
mod manifests;
mod node;
mod programs;
mod reproducible;
/// The same file that `sentinel/build.rs` compiles the programs with.
#[path = "../../../sentinel/build/programs.rs"]
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::{Image, Manifests};
use crate::ladder::Checks;

/// Builds the image; with `--try`, runs it as the DaemonSet would.
pub(crate) fn image(args: &Image) -> Result<()> {
    let archive = image::build(args.check)?;
    if !args.try_it {
        return Ok(());
    }
    let mut checks = Checks::new(None);
    node::checks(&mut checks, &archive);
    if checks.end().failed > 0 {
        bail!("the image does not do what the README says")
    } else {
        Ok(())
    }
}

/// The image as an OCI archive, for who has a node to run it on.
pub(crate) fn image_archive() -> Result<PathBuf> {
    image::archive()
}

/// Renders the chart into `deploy/kubernetes`, or says whether that is what it holds.
pub(crate) fn manifests(args: &Manifests) -> Result<()> {
    manifests::verb(args.check)
}

/// The Debian package of an executable that is there, for a guest.
pub(crate) fn package(executable: &Path) -> Result<PathBuf> {
    deb::for_guest(executable)
}

/// Builds the Debian package.
pub(crate) fn deb() -> Result<()> {
    deb::build()
}

/// All of it, cheapest first.
pub(crate) fn rung(checks: &mut Checks) {
    manifests::checks(checks);
    if checks.names(&aarch64::NAMES) {
        aarch64::checks(checks);
    }
    if checks.names(&reproducible::NAMES) {
        reproducible::checks(checks);
    }
    programs::checks(checks);
    if let Some(archive) = image::checks(checks, &node::NAMES) {
        node::checks(checks, &archive);
    }
    deb::checks(checks);
}
