//! What a guest boots into: two archives that the kernel unpacks over each other. One has the tools
//! and our binaries and is the same for every kernel, the other has modules and steps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::guest::Step;
use super::kernels::Cached;
use super::matrix::Kernel;
use super::processor::Processor;
use crate::process;
use crate::project;
use crate::setup;

const INIT: &str = include_str!("init.sh");
const SYSTEMD: &str = include_str!("systemd.sh");
const FOLDERS: [&str; 9] =
    ["bin", "proc", "sys", "dev", "run", "tmp", "etc", "usr/local/bin", "tests"];

/// What the tests read at run time, at the same place relative to `tests/`, where they start.
const DATA: [&str; 2] = ["tests/fixtures", "sentinel/signatures"];

/// Packs the tools and these binaries.
pub(super) fn base(processor: Processor, binaries: &[(String, PathBuf)]) -> Result<PathBuf> {
    let name = format!("guest-base-{}", processor.debian());
    let root = fresh(&name)?;
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = match processor {
        Processor::X86_64 => process::find("busybox"),
        Processor::Aarch64 => Some(setup::aarch64_busybox()?),
    };
    let busybox = busybox.context("busybox is missing: run `cargo xtask setup`")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    write(&root.join("init"), INIT)?;
    write(&root.join("systemd.sh"), SYSTEMD)?;
    write(&root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    write(&root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    // busybox's ip knows no namespaces, which people want who look around; the tests do without.
    if processor == Processor::X86_64 {
        write(&root.join("etc/shrc"), "alias ip=/usr/local/bin/ip\n")?;
        let ip = process::find("ip").context("ip is missing: run `cargo xtask setup`")?;
        add_with_libraries(&ip, &root)?;
    }
    for (name, path) in binaries {
        fs::copy(path, root.join("usr/local/bin").join(name))
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    for data in DATA {
        copy_folder(&project::root().join(data), &root.join(data))?;
    }
    pack(&root, &format!("{name}.cpio.gz"))
}

/// Packs what only this kernel and this boot need, and puts it behind the base. The files go to `/guest`.
pub(super) fn complete(
    base: &Path,
    (name, kernel): (&str, &Kernel),
    cached: &Cached,
    steps: &[Step],
    files: &[&Path],
) -> Result<PathBuf> {
    let root = fresh(&format!("guest-{name}"))?;
    copy_folder(&cached.modules, &root.join("modules"))?;
    for file in files {
        let to = root.join("guest");
        fs::create_dir_all(&to)?;
        fs::copy(file, to.join(file.file_name().unwrap_or_default()))?;
    }
    let script: String = steps.iter().map(Step::script).collect();
    let setting = format!("export SENTINEL_VM=1 SENTINEL_KERNEL={}\ncd /tests\n", kernel.name);
    let setting = format!("{setting}export SENTINEL_BIN=/usr/local/bin/sentinel\n");
    // Under software emulation a packet takes fifty times as long as on the host.
    let setting = format!("{setting}export SENTINEL_PACKETS=20000\n");
    write(&root.join("steps"), &format!("{setting}{script}"))?;
    let own = pack(&root, &format!("guest-{name}-own.cpio.gz"))?;
    let whole = project::scratch("")?.join(format!("guest-{name}.cpio.gz"));
    let mut bytes = fs::read(base)?;
    bytes.extend(fs::read(own)?);
    fs::write(&whole, bytes)?;
    Ok(whole)
}

fn fresh(name: &str) -> Result<PathBuf> {
    let root = project::scratch(name)?;
    fs::remove_dir_all(&root)?;
    project::scratch(name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// The real `ip`. Its libraries keep their paths.
fn add_with_libraries(program: &Path, root: &Path) -> Result<()> {
    let name = program.file_name().unwrap_or_default();
    fs::copy(program, root.join("usr/local/bin").join(name))?;
    let listed = process::output(Command::new("ldd").arg(program))?;
    for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        fs::copy(library, &to).with_context(|| format!("cannot copy {library}"))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn pack(root: &Path, name: &str) -> Result<PathBuf> {
    let archive = project::scratch("")?.join(name);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "set -e; find . | cpio -o -H newc -R 0:0 --quiet | gzip -1 > \"$ARCHIVE\""])
        .current_dir(root)
        .env("PATH", process::search_path())
        .env("ARCHIVE", &archive);
    process::output(&mut shell).context("cannot pack the initramfs")?;
    Ok(archive)
}
