//! Where things are: the workspace, what cargo builds, what is kept between runs.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where host-only builds go, so that a build without BPF programs never invalidates the real one.
pub(crate) fn host_target() -> PathBuf {
    target().join("host")
}

/// A release binary of the workspace.
pub(crate) fn release(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// A folder for what is dear to fetch again; git ignores it.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    folder(root().join(".cache").join(name))
}

/// A folder under `target/xtask` for logs and short-lived files.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    folder(target().join("xtask").join(name))
}

/// The log file of a tool.
pub(crate) fn log(name: &str) -> Result<PathBuf> {
    Ok(scratch("")?.join(format!("{name}.log")))
}

fn folder(path: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&path).with_context(|| {
        format!("cannot create {}: make its parent writable for you", path.display())
    })?;
    Ok(path)
}
