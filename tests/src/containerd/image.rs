//! An image made of programs of this machine, as an OCI layout in a tar file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// Writes an image with these programs, and the libraries that they need, into a tar file.
pub(super) fn write(
    folder: &Path,
    name: &str,
    programs: &[(PathBuf, &str)],
    config: &Value,
) -> Result<PathBuf> {
    let root = folder.join("root");
    for place in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(place))?;
    }
    for (program, within) in programs {
        copy(program, &root, Path::new(within))?;
        for library in libraries(program)? {
            copy(&library, &root, &library)?;
        }
    }
    let blobs = folder.join("layout/blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let layer = folder.join("layer.tar");
    tar(&root, &layer)?;
    let (layer, size) = keep(&blobs, &layer)?;
    let text = |value: &Value, name: &str| -> Result<(String, u64)> {
        let path = folder.join(name);
        fs::write(&path, value.to_string())?;
        keep(&blobs, &path)
    };
    let config = json!({"architecture": "amd64", "os": "linux",
        "config": config, "rootfs": {"type": "layers", "diff_ids": [layer]}});
    let (config, config_size) = text(&config, "config")?;
    let kind = |what: &str| format!("application/vnd.oci.image.{what}");
    let manifest = json!({"schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
        "config": {"mediaType": kind("config.v1+json"), "digest": config, "size": config_size},
        "layers": [{"mediaType": kind("layer.v1.tar"), "digest": layer, "size": size}]});
    let (manifest, size) = text(&manifest, "manifest")?;
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": kind("manifest.v1+json"), "digest": manifest, "size": size,
        "annotations": {"io.containerd.image.name": name}}]});
    let layout = folder.join("layout");
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let image = folder.join("image.tar");
    tar(&layout, &image)?;
    Ok(image)
}

fn copy(file: &Path, root: &Path, within: &Path) -> Result<()> {
    let to = root.join(within.strip_prefix("/").unwrap_or(within));
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(file, &to).with_context(|| format!("{} cannot be copied", file.display()))?;
    Ok(())
}

/// What the dynamic loader would load; nothing for a static program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd does not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn tar(folder: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    let status = command.arg("-C").arg(folder).arg("-cf").arg(to).arg(".").status()?;
    ensure!(status.success(), "tar failed: {status}");
    Ok(())
}

/// Moves a file to its place by its digest; the digest and the size.
fn keep(blobs: &Path, file: &Path) -> Result<(String, u64)> {
    let output =
        Command::new("sha256sum").arg(file).output().context("sha256sum does not start")?;
    let text = String::from_utf8(output.stdout)?;
    let digest = text.split_whitespace().next().context("sha256sum said nothing")?.to_owned();
    let size = fs::metadata(file)?.len();
    fs::rename(file, blobs.join(&digest))?;
    Ok((format!("sha256:{digest}"), size))
}
