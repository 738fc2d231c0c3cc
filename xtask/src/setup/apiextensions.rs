//! The part of a newer API server that knows kinds that are defined, and CEL. Debian has its source in sid alone,
//! with the Go that it wants: it is built there, in a folder that goes afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{debootstrap, kept};
use crate::process;
use crate::project;
use crate::term;

const SUITE: &str = "sid";
const GO: &str = "/usr/lib/go-1.26";
const PACKAGES: &str = "golang-1.26-go,golang-k8s-apiextensions-apiserver-dev";
const SOURCE: &str = "k8s.io/apiextensions-apiserver";
/// The variable that tests find it by.
pub(super) const VARIABLE: &str = "SENTINEL_APIEXTENSIONS";
const NAME: &str = "apiextensions-apiserver";

/// Where it is, whether it is there or not.
pub(super) fn place() -> Result<PathBuf> {
    Ok(project::cache("kubernetes")?.join(NAME))
}

/// Builds it, unless it is there.
pub(super) fn apiextensions_server() -> Result<()> {
    let place = place()?;
    if place.exists() {
        return Ok(());
    }
    let tree = project::scratch(SUITE)?.join("root");
    if !tree.exists() {
        debootstrap(&tree, SUITE, PACKAGES, ("a root of Debian's sid with Go", "4 min"))?;
    }
    build(&tree)?;
    kept::keep(&tree.join(NAME), &place)?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))
}

fn build(tree: &Path) -> Result<()> {
    term::say(format!("building {NAME} (about 3 min)"));
    let mut chroot = Command::new("chroot");
    let go = format!("{GO}/bin/go");
    chroot.arg(tree).args([&*go, "build", "-p", "2", "-o", &format!("/{NAME}"), SOURCE]);
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    // Without /proc it does not find where it is.
    chroot
        .env("GOROOT", GO)
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("CGO_ENABLED", "0");
    process::logged(&mut chroot, &project::log("apiextensions-build")?)
}
