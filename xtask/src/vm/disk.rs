//! The disk of a guest that systemd runs: Debian's own root, made once and never written to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::mirror;
use crate::process;
use crate::project;
use crate::root;
use crate::setup;
use crate::term;

/// Beside what every Debian has.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,kmod,iproute2";
const SUITE: &str = "bookworm";
/// Sparse: it takes what is in it.
const SIZE: &str = "900M";

/// The disk's image.
pub(super) fn image() -> Result<PathBuf> {
    let cache = project::cache("systemd")?;
    let image = cache.join("root.img");
    if image.exists() {
        return Ok(image);
    }
    if !root::is_root() {
        bail!("a root file system is made by root: run this with sudo");
    }
    setup::disk_tools()?;
    let (tree, part) = (cache.join("root.part"), cache.join("root.img.part"));
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let mirror = mirror::of_this_machine()?;
    term::say("making Debian's root for a guest that systemd runs (debootstrap, about 1 min)");
    let log = project::log("debootstrap")?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.env("PATH", process::search_path());
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]);
    process::logged(debootstrap.arg(&tree).arg(&mirror.main), &log)
        .map_err(|error| setup::explain(error, &log, "Debian's root"))?;
    for packed in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        fs::remove_dir_all(tree.join(packed))?;
    }
    pack(&tree, &part)?;
    fs::remove_dir_all(&tree)?;
    fs::rename(part, &image)?;
    Ok(image)
}

fn pack(tree: &Path, image: &Path) -> Result<()> {
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.env("PATH", process::search_path());
    mke2fs.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]);
    process::output(mke2fs.arg(tree).arg(image).arg(SIZE)).map(drop)
}
