//! The disk of a guest that systemd runs: Debian's own root, made once and never written to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::project;
use crate::setup;

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
    let (tree, part) = (cache.join("root"), cache.join("root.img.part"));
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    setup::debootstrap(
        &tree,
        SUITE,
        PACKAGES,
        ("Debian's root for a guest that systemd runs", "1 min"),
    )?;
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
