//! The Debian package: executable, unit, settings and the node's policy, put together by `dpkg-deb`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::image::epoch;
use crate::build;
use crate::process;
use crate::project;
use crate::setup;
use crate::term;

/// Files of `deploy/` and where they go; what is below `/etc` stays as the administrator left it.
const FILES: [(&str, &str); 3] = [
    ("sentinel.yaml", "etc/sentinel/sentinel.yaml"),
    ("policies/node.yaml", "etc/sentinel/policies/node.yaml"),
    ("systemd/sentinel.service", "lib/systemd/system/sentinel.service"),
];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds the package and lists what is in it.
pub(super) fn build() -> Result<()> {
    if process::find("dpkg-deb").is_none() {
        bail!("dpkg-deb is not here, and packages for Debian are made by it: install dpkg");
    }
    term::say("building the static executable (the first time about 5 min)");
    let executable = build::shipped(setup::for_run()?)?;
    verify(&executable)?;
    let name = format!("sentinel_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture()?);
    let package = project::scratch("deb")?.join(name);
    print!("{}", pack(&executable, &package, "-Zxz")?);
    print!("{}", process::output(Command::new("dpkg-deb").arg("--contents").arg(package))?);
    Ok(())
}

/// The same of an executable that is there, for a guest: not compressed, since unpacking is emulated.
pub(super) fn for_guest(executable: &Path) -> Result<PathBuf> {
    let package = project::scratch("deb-guest")?.join("sentinel.deb");
    pack(executable, &package, "-Znone")?;
    Ok(package)
}

fn pack(executable: &Path, package: &Path, compression: &str) -> Result<String> {
    let tree = package.with_file_name("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    stage(&tree, executable)?;
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", compression, "--build"]).arg(&tree).arg(package);
    pack.env("SOURCE_DATE_EPOCH", epoch());
    process::output(&mut pack)
}

fn stage(tree: &Path, executable: &Path) -> Result<()> {
    let deploy = project::root().join("deploy");
    put(executable, &tree.join("usr/bin/sentinel"), 0o755)?;
    for (from, to) in FILES {
        put(&deploy.join(from), &tree.join(to), 0o644)?;
    }
    for script in SCRIPTS {
        put(&deploy.join("debian").join(script), &tree.join("DEBIAN").join(script), 0o755)?;
    }
    let conffiles = FILES.iter().filter(|(_, to)| to.starts_with("etc/"));
    let conffiles: String = conffiles.map(|(_, to)| format!("/{to}\n")).collect();
    fs::write(tree.join("DEBIAN/conffiles"), conffiles)?;
    let control = fs::read_to_string(deploy.join("debian/control"))?;
    let control = control
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", &architecture()?)
        .replace("@KILOBYTES@", &fs::metadata(executable)?.len().div_ceil(1024).to_string());
    fs::write(tree.join("DEBIAN/control"), control)?;
    Ok(())
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    // Whoever builds may have another umask.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

/// What systemd has to say of the unit, if it is here. It answers 0 also to keys that it does not know.
fn verify(executable: &Path) -> Result<()> {
    let Some(analyze) = process::find("systemd-analyze") else {
        term::say("skipped: the unit is not verified, systemd-analyze is not here");
        return Ok(());
    };
    let unit = fs::read_to_string(project::root().join("deploy/systemd/sentinel.service"))?;
    let unit = unit.replace("/usr/bin/sentinel", &executable.display().to_string());
    let copy = project::scratch("deb")?.join("sentinel.service");
    fs::write(&copy, unit)?;
    let output = Command::new(analyze).arg("verify").arg(copy).output()?;
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("systemd finds fault with the unit:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn architecture() -> Result<String> {
    let said = process::output(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(said.trim().to_owned())
}
