//! The Debian package: executable, unit, settings and the node's policy, put together by `cargo deb`, and taken apart
//! by `dpkg-deb`.

use std::fs;
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
/// What cargo-deb writes by itself.
const COPYRIGHT: &str = "usr/share/doc/sentinel/copyright";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// The checks of the package.
pub(super) const NAMES: [&str; 3] = [
    "package/holds_executable_unit_and_settings",
    "package/control_and_scripts",
    "package/twice_the_same_bytes",
];
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
    let [holds, is_told, twice] = NAMES;
    if let Some(package) = checks.prepare(&NAMES, pack) {
        checks.run(holds, || contents(&package));
        checks.run(is_told, || control(&package));
        checks.run(twice, || same_again(&package));
    }
    checks.run(UNIT, verify);
}

/// The package, of the executable that is in the image too.
fn pack() -> Result<PathBuf> {
    let executable = build::shipped(installed(setup::for_run())?)?;
    let name = format!("sentinel_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture()?);
    let package = project::scratch("deb")?.join(name);
    put_together(&executable, &package, &[])?;
    Ok(package)
}

/// The same of an executable that is there, for a guest: packed anew without compression, since unpacking is emulated.
pub(super) fn for_guest(executable: &Path) -> Result<PathBuf> {
    let folder = project::scratch("deb-guest")?;
    let (made, tree, package) =
        (folder.join("made.deb"), folder.join("tree"), folder.join("sentinel.deb"));
    put_together(executable, &made, &["--fast"])?;
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    process::output(Command::new("dpkg-deb").arg("--raw-extract").arg(made).arg(&tree))?;
    let mut again = Command::new("dpkg-deb");
    again.args(["--root-owner-group", "-Znone", "--build"]).arg(&tree).arg(&package);
    process::output(&mut again)?;
    Ok(package)
}

/// `cargo deb` by what `sentinel/Cargo.toml` says, with an executable that was built already: it takes the one that
/// is where cargo would have put it.
fn put_together(executable: &Path, package: &Path, options: &[&str]) -> Result<()> {
    if process::find("dpkg-deb").is_none() {
        let why = "what is in a package for Debian is seen by dpkg-deb: install dpkg";
        return Err(Lacking(why.to_owned()).into());
    }
    let cargo_deb = installed(setup::cargo_deb())?;
    let target = project::scratch("deb-target")?;
    let place = target.join(build::STATIC_TARGET).join("release/sentinel");
    put(executable, &place)?;
    let mut pack = Command::new(cargo_deb);
    pack.args(["deb", "--quiet", "--package", "sentinel", "--no-build", "--no-strip"]);
    pack.args(["--target", build::STATIC_TARGET]).args(options).arg("--output").arg(package);
    pack.current_dir(project::root()).env("PATH", process::search_path());
    pack.env("CARGO_TARGET_DIR", target).env("SOURCE_DATE_EPOCH", epoch());
    process::logged(&mut pack, &project::log("cargo-deb")?)
}

fn conffiles() -> String {
    let kept = FILES.iter().filter(|(_, to)| to.starts_with("etc/"));
    kept.map(|(_, to)| format!("/{to}\n")).collect()
}

fn put(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file without a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// A second package is the same bytes.
fn same_again(package: &Path) -> Result<()> {
    let first = fs::read(package)?;
    if fs::read(pack()?)? == first {
        Ok(())
    } else {
        bail!("two packages of one executable differ")
    }
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
    let mut expected = vec!["-rwxr-xr-x 0/0 ./usr/bin/sentinel".to_owned()];
    let others = FILES.iter().map(|(_, to)| *to).chain([COPYRIGHT]);
    expected.extend(others.map(|to| format!("-rw-r--r-- 0/0 ./{to}")));
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
    let executable = build::shipped(setup::for_run()?)?;
    if fs::read(unpacked.join("usr/bin/sentinel"))? != fs::read(executable)? {
        bail!("the executable in the package is another");
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
        if said.trim().is_empty() {
            bail!("the package's {field} is {said:?}");
        }
    }
    let version =
        process::output(Command::new("dpkg-deb").arg("--field").arg(package).arg("Version"))?;
    if version.trim() != env!("CARGO_PKG_VERSION") {
        bail!("the package's version is {version}");
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
