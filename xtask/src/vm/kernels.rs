//! Kernels on this machine: fetched once, kept as an image, a few modules and a name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::archive::Archive;
use super::matrix::Kernel;
use super::modules;
use super::processor::Processor;
use crate::process;
use crate::project;
use crate::term;

/// A kernel that is ready to boot.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) processor: Processor,
    /// What `uname -r` will say.
    pub(super) release: String,
    /// The image.
    pub(super) image: PathBuf,
    /// The folder with its modules, named in the order in which they are to be loaded.
    pub(super) modules: PathBuf,
}

/// Gets kernels, and asks the mirror at most once for each processor.
#[derive(Default)]
pub(super) struct Fetcher {
    archives: Vec<(Processor, Archive)>,
}

impl Fetcher {
    /// The kernel, fetched if need be; none when the mirror no longer has it.
    pub(super) fn get(&mut self, kernel: &Kernel) -> Result<Option<Cached>> {
        if let Some(cached) = cached(kernel)? {
            return Ok(Some(cached));
        }
        let known = |it: &(Processor, Archive)| it.0 == kernel.processor;
        if !self.archives.iter().any(known) {
            self.archives.push((kernel.processor, Archive::open(kernel.processor)?));
        }
        let found = self.archives.iter().find(|it| known(it));
        let (_, archive) = found.context("the mirror was asked in vain")?;
        let Some(packages) = kernel.newest(archive.kernels()) else {
            return Ok(None);
        };
        term::say(format!("fetching kernel {}: {} (about 5 s)", kernel.name, packages.join(" ")));
        let part = project::cache("kernels")?.join(format!("{}.part", kernel.name));
        let home = home(kernel)?;
        remove(&part)?;
        remove(&home)?;
        fs::create_dir_all(&part)?;
        archive.download(&packages, &part)?;
        unpack(&part).with_context(|| format!("kernel {} has an unknown shape", kernel.name))?;
        fs::rename(&part, &home)?;
        cached(kernel)
    }
}

/// The kernel if it is here and complete.
pub(super) fn cached(kernel: &Kernel) -> Result<Option<Cached>> {
    let home = home(kernel)?;
    let stamp = fs::read_to_string(home.join("stamp")).unwrap_or_default();
    let Some(release) = stamp.strip_prefix(&modules::stamp()) else { return Ok(None) };
    Ok(Some(Cached {
        processor: kernel.processor,
        release: release.trim().to_owned(),
        image: home.join("vmlinuz"),
        modules: home.join("modules"),
    }))
}

fn home(kernel: &Kernel) -> Result<PathBuf> {
    Ok(project::cache("kernels")?.join(kernel.name))
}

/// Turns the packages in a folder into image, modules and stamp; everything else goes.
fn unpack(folder: &Path) -> Result<()> {
    let tree = folder.join("tree");
    for package in entries(folder, |name| name.ends_with(".deb")) {
        process::output(Command::new("dpkg").arg("-x").arg(&package).arg(&tree))?;
        fs::remove_file(package)?;
    }
    let roots = ["lib/modules", "usr/lib/modules"].map(|path| tree.join(path));
    let all = roots.iter().flat_map(|root| entries(root, |_| true));
    let modules = all.into_iter().next().context("it has no folder of modules")?;
    let boot = entries(&tree.join("boot"), |name| name.starts_with("vmlinuz"));
    let image = boot.into_iter().next().unwrap_or_else(|| modules.join("vmlinuz"));
    fs::copy(&image, folder.join("vmlinuz")).context("it has no image")?;
    let kept = folder.join("modules");
    fs::create_dir_all(&kept)?;
    modules::gather(&modules, &kept)?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy();
    fs::remove_dir_all(&tree)?;
    fs::write(folder.join("stamp"), format!("{}{release}\n", modules::stamp()))?;
    Ok(())
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| wanted(&entry.file_name().to_string_lossy()));
    named.map(|entry| entry.path()).collect()
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
