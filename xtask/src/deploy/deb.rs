//! The Debian package: executable, unit, settings and the node's policy, put together by `dpkg-deb`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::image::epoch;
use crate::build;
use crate::ladder::{Checks, Lacking, installed};
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

/// The checks of the package.
pub(super) const NAMES: [&str; 2] =
    ["package/holds_executable_unit_and_settings", "package/control_and_scripts"];
const UNIT: &str = "package/systemd_finds_no_fault_with_the_unit";

/// Builds the package and lists what is in it.
pub(super) fn build() -> Result<()> {
    let package = pack()?;
    match verify() {
        Err(error) if error.is::<Lacking>() => term::say(format!("skipped: {error}")),
        other => other?,
    }
    print!("{}", process::output(Command::new("dpkg-deb").arg("--contents").arg(package))?);
    Ok(())
}

/// What is in the package, how it is handled, and its unit.
pub(super) fn checks(checks: &mut Checks) {
    let [holds, is_told] = NAMES;
    if let Some(package) = checks.prepare(&NAMES, pack) {
        checks.run(holds, || contents(&package));
        checks.run(is_told, || control(&package));
    }
    checks.run(UNIT, verify);
}

/// The package, of the executable that is in the image too.
fn pack() -> Result<PathBuf> {
    if process::find("dpkg-deb").is_none() {
        return Err(
            Lacking("packages for Debian are made by dpkg-deb: install dpkg".to_owned()).into()
        );
    }
    let executable = build::shipped(installed(setup::for_run())?)?;
    let name = format!("sentinel_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture()?);
    let package = project::scratch("deb")?.join(name);
    print!("{}", put_together(&executable, &package, "-Zxz")?);
    Ok(package)
}

/// The same of an executable that is there, for a guest: not compressed, since unpacking is emulated.
pub(super) fn for_guest(executable: &Path) -> Result<PathBuf> {
    let package = project::scratch("deb-guest")?.join("sentinel.deb");
    put_together(executable, &package, "-Znone")?;
    Ok(package)
}

fn put_together(executable: &Path, package: &Path, compression: &str) -> Result<String> {
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
    fs::write(tree.join("DEBIAN/conffiles"), conffiles())?;
    let control = fs::read_to_string(deploy.join("debian/control"))?;
    let control = control
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", &architecture()?)
        .replace("@KILOBYTES@", &fs::metadata(executable)?.len().div_ceil(1024).to_string());
    fs::write(tree.join("DEBIAN/control"), control)?;
    Ok(())
}

fn conffiles() -> String {
    let kept = FILES.iter().filter(|(_, to)| to.starts_with("etc/"));
    kept.map(|(_, to)| format!("/{to}\n")).collect()
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    // Whoever builds may have another umask.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

/// Each file byte for byte, of root, with the rights that it shall have; and no other.
fn contents(package: &Path) -> Result<()> {
    let listing = process::output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    let mut files: Vec<String> = Vec::new();
    for line in listing.lines().filter(|line| !line.starts_with('d')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, .., path] = words.as_slice() else { bail!("what is `{line}`?") };
        files.push(format!("{mode} {owner} {path}"));
    }
    let mut expected = vec!["-rwxr-xr-x root/root ./usr/bin/sentinel".to_owned()];
    expected.extend(FILES.iter().map(|(_, to)| format!("-rw-r--r-- root/root ./{to}")));
    files.sort();
    expected.sort();
    if files != expected {
        bail!("the package holds {files:?}, not {expected:?}");
    }
    let unpacked = project::scratch("deb")?.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    process::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    for (from, to) in FILES {
        if fs::read(unpacked.join(to))? != fs::read(project::root().join("deploy").join(from))? {
            bail!("{to} is not deploy/{from}");
        }
    }
    let said = process::output(Command::new(unpacked.join("usr/bin/sentinel")).arg("--version"))?;
    if said.trim() != concat!("sentinel ", env!("CARGO_PKG_VERSION")) {
        bail!("the executable in the package says {said}");
    }
    Ok(())
}

/// What dpkg is told: the settings are the administrator's, and the scripts are ones that a shell reads.
fn control(package: &Path) -> Result<()> {
    let info =
        |name: &str| process::output(Command::new("dpkg-deb").arg("--info").arg(package).arg(name));
    let kept = info("conffiles")?;
    if kept != conffiles() {
        bail!("as the administrator left them stay {kept:?}");
    }
    for field in ["Package", "Version", "Architecture", "Maintainer", "Description"] {
        let said =
            process::output(Command::new("dpkg-deb").arg("--field").arg(package).arg(field))?;
        if said.trim().is_empty() || said.contains('@') && field != "Maintainer" {
            bail!("the package's {field} is {said:?}");
        }
    }
    for script in SCRIPTS {
        let folder = project::root().join("deploy/debian");
        process::output(Command::new("sh").arg("-n").arg(folder.join(script)))?;
        if info(script)? != fs::read_to_string(folder.join(script))? {
            bail!("{script} in the package is another");
        }
    }
    Ok(())
}

/// What systemd has to say of the unit. It answers 0 also to keys that it does not know.
fn verify() -> Result<()> {
    let Some(analyze) = process::find("systemd-analyze") else {
        let why = "the unit is not verified, systemd-analyze is not here";
        return Err(Lacking(why.to_owned()).into());
    };
    let unit = fs::read_to_string(project::root().join("deploy/systemd/sentinel.service"))?;
    // Any program that is there: whether ours is, systemd need not know.
    let unit = unit.replace("/usr/bin/sentinel", "/bin/true");
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
