//! What is shipped: the image, the manifests and the package.

mod deb;
mod image;
mod manifests;
mod node;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::{Image, Manifests};

/// Builds the image; with `--try`, runs it as the DaemonSet would.
pub(crate) fn image(args: &Image) -> Result<()> {
    let archive = image::build(args.check)?;
    if args.try_it { node::start(&archive) } else { Ok(()) }
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
