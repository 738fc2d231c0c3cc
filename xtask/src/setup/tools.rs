//! The tools that make and boot a guest.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::apt;
use crate::process;

/// A tool and the Debian package that has it.
const TOOLS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("ip", "iproute2"),
    ("gzip", "gzip"),
];

/// Makes sure that guests can be built and booted.
pub(crate) fn guest_tools() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the kernels of the matrix are for x86_64 only: run the vm rung on such a machine");
    }
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| !is_there(tool)).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !apt::is_here() {
        let tools: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
        bail!(
            "these tools are missing: {} (busybox must be static); install them",
            tools.join(", ")
        );
    }
    apt::install(&packages, &format!("{} (to boot guests)", packages.join(", ")), "20 s")
}

/// Makes sure that guests of another processor can be booted.
pub(crate) fn aarch64_guest_tools() -> Result<()> {
    with_packages(&["qemu-system-aarch64"], &["qemu-system-arm"], "guests of aarch64")
}

/// What runs containers for the tests, and the Debian package that has it.
const CONTAINERS: [(&str, &str); 3] =
    [("containerd", "containerd"), ("runc", "runc"), ("busybox", "busybox-static")];
/// Where the plugins that give pods their network are.
const PLUGINS: (&str, &str) = ("/usr/lib/cni/ptp", "containernetworking-plugins");

/// Makes sure that tests can run pods; without, those tests are skipped by name.
pub(crate) fn container_tools() -> Result<()> {
    let missing = CONTAINERS.iter().filter(|(tool, _)| !is_there(tool));
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if !Path::new(PLUGINS.0).exists() {
        packages.push(PLUGINS.1);
    }
    if packages.is_empty() {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("tests of pods need {}: install them", packages.join(", "));
    }
    apt::install(&packages, &format!("{} (to run pods)", packages.join(", ")), "30 s")
}

/// Makes sure that libFuzzer, which is C++, can be built.
pub(crate) fn fuzz_tools() -> Result<()> {
    if process::find("c++").is_some() || process::find("clang++").is_some() {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("no C++ compiler is here, and libFuzzer is C++: install g++ or clang++");
    }
    apt::install(&["g++"], "g++ (to build libFuzzer)", "20 s")
}

/// Makes sure that the image can be built.
pub(crate) fn image_tools() -> Result<()> {
    with_packages(&["buildah"], &["buildah"], "the image")
}

/// Makes sure that the image can be pushed to a registry.
pub(super) fn push_tools() -> Result<()> {
    with_packages(&["skopeo"], &["skopeo"], "pushing the image")
}

/// Makes sure that the image can be run as a node's runtime would.
pub(crate) fn node_tools() -> Result<()> {
    let packages = ["containerd", "runc", "iproute2"];
    with_packages(&["containerd", "ctr", "runc", "ip"], &packages, "a container runtime")
}

/// Makes sure that a package's parts can be compressed.
pub(super) fn package_tools() -> Result<()> {
    with_packages(&["xz"], &["xz-utils"], "the package")
}

/// Makes sure that a root file system can be made for a guest.
pub(super) fn disk_tools() -> Result<()> {
    let tools = ["debootstrap", "mke2fs"];
    with_packages(&tools, &["debootstrap", "e2fsprogs"], "a guest's root")
}

fn with_packages(tools: &[&str], packages: &[&str], what: &str) -> Result<()> {
    if tools.iter().all(|tool| process::find(tool).is_some()) {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("{what} needs {}: install what is missing", tools.join(", "));
    }
    apt::install(packages, &format!("{} (for {what})", packages.join(", ")), "20 s")
}

fn is_there(tool: &str) -> bool {
    match (tool, process::find(tool)) {
        (_, None) => false,
        ("busybox", Some(path)) => fs::read(path).is_ok_and(|bytes| is_static(&bytes)),
        _ => true,
    }
}

/// A program that needs libraries names its loader near its start.
fn is_static(elf: &[u8]) -> bool {
    let head = elf.get(..4096).unwrap_or(elf);
    !head.windows(4).any(|window| window == b"/ld-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(is_static(b"\x7fELF nothing"));
        assert!(!is_static(b"\x7fELF /lib64/ld-linux-x86-64.so.2"));
    }
}
