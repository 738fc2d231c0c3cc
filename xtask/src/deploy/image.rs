//! The image: one static executable and nothing else, the same bytes from the same sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::build;
use crate::ladder::{Checks, installed};
use crate::process;
use crate::project;
use crate::setup;
use crate::term;

/// The image's name where nobody has pushed it.
pub(super) const NAME: &str = concat!("localhost/sentinel:", env!("CARGO_PKG_VERSION"));
/// Bytes that the executable may have.
const LARGEST: u64 = 20_000_000;

/// The checks of the image.
pub(super) const NAMES: [&str; 3] = [
    "image/executable_is_static_and_below_20_MB",
    "image/twice_the_same_digest",
    "image/holds_the_executable_and_labels",
];

/// An image on disk.
struct Packed {
    archive: PathBuf,
    digest: String,
}

/// Builds executable and image; with `twice`, the image a second time in a storage of its own, to compare.
pub(super) fn build(twice: bool) -> Result<PathBuf> {
    let executable = executable()?;
    let packed = pack(&executable, "first", "sentinel.tar")?;
    if twice {
        same_again(&executable, &packed.digest)?;
        term::say("a second build has the same digest");
    }
    let (archive, size) = (packed.archive, fs::metadata(&executable)?.len());
    println!("{NAME}\n{}\n{} (executable {size} bytes)", packed.digest, archive.display());
    Ok(archive)
}

/// The image, for a node that is tested.
pub(super) fn archive() -> Result<PathBuf> {
    Ok(pack(&executable()?, "first", "sentinel.tar")?.archive)
}

/// The executable, the image twice, what is in it; and where it is, for who wants to run it.
pub(super) fn checks(checks: &mut Checks, wanted_by: &[&str]) -> Option<PathBuf> {
    let [is_small, twice, holds] = NAMES;
    let mut wanted = [&NAMES[..], wanted_by].concat();
    let executable = checks.prepare(&wanted, executable)?;
    checks.run(is_small, || is_static(&executable));
    wanted.retain(|name| *name != is_small);
    let packed = checks.prepare(&wanted, || pack(&executable, "first", "sentinel.tar"))?;
    checks.run(twice, || same_again(&executable, &packed.digest));
    checks.run(holds, || contents(&packed, &executable));
    Some(packed.archive)
}

/// What is shipped, refused where it has grown too large.
fn executable() -> Result<PathBuf> {
    let executable = build::shipped(installed(setup::for_run())?)?;
    let size = fs::metadata(&executable)?.len();
    if size > LARGEST {
        bail!("the executable has {size} bytes, above {LARGEST}: find out what has come in");
    }
    Ok(executable)
}

/// A program that needs a loader or a library has a segment that says so.
pub(super) fn is_static(executable: &Path) -> Result<()> {
    let segments = process::output(Command::new("readelf").arg("-lW").arg(executable))?;
    let needs = process::output(Command::new("readelf").arg("-dW").arg(executable))?;
    if segments.contains("INTERP") || needs.contains("(NEEDED)") {
        bail!("{} needs a loader or libraries", executable.display());
    }
    Ok(())
}

fn same_again(executable: &Path, digest: &str) -> Result<()> {
    let again = pack(executable, "second", "again.tar")?.digest;
    if again != digest {
        bail!(
            "two builds of the image differ, {digest} and {again}: something in it tells the time"
        );
    }
    Ok(())
}

/// Labels, entry point, and one layer with one file: the executable as it was built.
fn contents(packed: &Packed, executable: &Path) -> Result<()> {
    let manifest = json(&packed.archive, &packed.digest)?;
    let digest = |pointer: &str| {
        let found = manifest.pointer(pointer).and_then(Value::as_str);
        found.with_context(|| format!("the image has no {pointer}"))
    };
    let config = json(&packed.archive, digest("/config/digest")?)?;
    let label =
        |name: &str| config.pointer(&format!("/config/Labels/org.opencontainers.image.{name}"));
    let revision = git(&["rev-parse", "HEAD"]);
    let expected =
        [("title", "sentinel"), ("version", env!("CARGO_PKG_VERSION")), ("revision", &revision)];
    for (name, expected) in expected {
        if label(name).and_then(Value::as_str) != Some(expected) {
            bail!("the image's label {name} is {:?}, not {expected}", label(name));
        }
    }
    if config.pointer("/config/Entrypoint/0").and_then(Value::as_str) != Some("/usr/bin/sentinel") {
        bail!("the image does not begin with sentinel");
    }
    let layers = manifest.get("layers").and_then(Value::as_array).map_or(0, Vec::len);
    let layer = project::scratch("image")?.join("layer.tar.gz");
    fs::write(&layer, blob(&packed.archive, digest("/layers/0/digest")?)?)?;
    let listing = process::output(Command::new("tar").arg("tzf").arg(&layer))?;
    let files: Vec<&str> = listing.lines().filter(|line| !line.ends_with('/')).collect();
    if layers != 1 || files != ["usr/bin/sentinel"] {
        bail!("the image has {layers} layers, the first with {files:?}");
    }
    let unpacked = bytes(Command::new("tar").arg("xzOf").arg(&layer).arg("usr/bin/sentinel"))?;
    if unpacked != fs::read(executable)? {
        bail!("what is in the image is not the executable");
    }
    Ok(())
}

fn json(archive: &Path, digest: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&blob(archive, digest)?)?)
}

fn blob(archive: &Path, digest: &str) -> Result<Vec<u8>> {
    let name = format!("blobs/{}", digest.replace(':', "/"));
    bytes(Command::new("tar").arg("xOf").arg(archive).arg(name))
}

fn bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("cannot start tar")?;
    if output.status.success() { Ok(output.stdout) } else { bail!("the archive cannot be read") }
}

/// Builds the image in a storage of its own, and writes it as an OCI archive.
fn pack(executable: &Path, storage: &str, archive: &str) -> Result<Packed> {
    installed(setup::image_tools())?;
    let scratch = project::scratch("image")?;
    let (storage, archive) = (scratch.join(storage), scratch.join(archive));
    let context = scratch.join("context");
    fs::create_dir_all(&context)?;
    fs::copy(executable, context.join("sentinel"))
        .with_context(|| format!("cannot copy {}", executable.display()))?;
    // A storage that holds the image already would answer from it.
    if storage.exists() {
        fs::remove_dir_all(&storage)?;
    }
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    let buildah = |verb: &str| {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
        command.args(["--storage-driver", "vfs", verb]);
        command
    };
    let mut build = buildah("bud");
    build.args([
        "--isolation",
        "chroot",
        "--format",
        "oci",
        "--timestamp",
        &epoch(),
        "--tag",
        NAME,
    ]);
    build.args(["--build-arg", concat!("VERSION=", env!("CARGO_PKG_VERSION"))]);
    build.args(["--build-arg", &format!("REVISION={}", git(&["rev-parse", "HEAD"]))]);
    build.arg("--file").arg(project::root().join("deploy/Dockerfile")).arg(context);
    process::logged(&mut build, &project::log("buildah-build")?)?;
    let mut push = buildah("push");
    push.arg(NAME).arg(format!("oci-archive:{}:{NAME}", archive.display()));
    process::logged(&mut push, &project::log("buildah-push")?)?;
    let index = process::output(Command::new("tar").arg("xOf").arg(&archive).arg("index.json"))?;
    let index: Value = serde_json::from_str(&index)?;
    let digest = index.pointer("/manifests/0/digest").and_then(Value::as_str);
    let digest = digest.context("the archive of the image names no digest")?.to_owned();
    Ok(Packed { archive, digest })
}

/// The time that stands in the image: <https://reproducible-builds.org/specs/source-date-epoch/>, or that of the commit.
pub(super) fn epoch() -> String {
    std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| git(&["log", "-1", "--format=%ct"]))
}

/// What git says of the sources; `0` where they are not from it.
fn git(args: &[&str]) -> String {
    let said = process::output(Command::new("git").current_dir(project::root()).args(args));
    said.map_or_else(|_| "0".to_owned(), |text| text.trim().to_owned())
}
