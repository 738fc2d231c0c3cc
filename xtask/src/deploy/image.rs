//! The image: one static executable and nothing else, the same bytes from the same sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::process;
use crate::project;
use crate::setup;
use crate::term;

/// The image's name where nobody has pushed it.
pub(super) const NAME: &str = concat!("localhost/sentinel:", env!("CARGO_PKG_VERSION"));
/// Bytes that the executable may have.
const LARGEST: u64 = 20_000_000;

/// Builds executable and image; with `twice`, the image a second time in a storage of its own, to compare.
pub(super) fn build(twice: bool) -> Result<PathBuf> {
    let toolchain = setup::for_run()?;
    setup::image_tools()?;
    term::say("building the static executable (the first time about 5 min)");
    let executable = build::shipped(toolchain)?;
    let size = fs::metadata(&executable)?.len();
    if size > LARGEST {
        bail!("the executable has {size} bytes, above {LARGEST}: find out what has come in");
    }
    let scratch = project::scratch("image")?;
    let context = scratch.join("context");
    fs::create_dir_all(&context)?;
    fs::copy(&executable, context.join("sentinel"))
        .with_context(|| format!("cannot copy {}", executable.display()))?;
    let archive = scratch.join("sentinel.tar");
    let digest = pack(&context, &scratch.join("first"), &archive)?;
    if twice {
        let again = pack(&context, &scratch.join("second"), &scratch.join("again.tar"))?;
        if again != digest {
            bail!(
                "two builds of the image differ, {digest} and {again}: something in it tells the time"
            );
        }
        term::say("a second build has the same digest");
    }
    println!("{NAME}\n{digest}\n{} (executable {size} bytes)", archive.display());
    Ok(archive)
}

/// Builds the image in a storage of its own, writes it as an OCI archive, and tells its digest.
fn pack(context: &Path, storage: &Path, archive: &Path) -> Result<String> {
    // A storage that holds the image already would answer from it.
    if storage.exists() {
        fs::remove_dir_all(storage)?;
    }
    if archive.exists() {
        fs::remove_file(archive)?;
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
    let index = process::output(Command::new("tar").arg("xOf").arg(archive).arg("index.json"))?;
    let index: serde_json::Value = serde_json::from_str(&index)?;
    let digest = index.pointer("/manifests/0/digest").and_then(serde_json::Value::as_str);
    digest.map(str::to_owned).context("the archive of the image names no digest")
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
