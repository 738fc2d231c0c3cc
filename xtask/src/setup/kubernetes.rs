//! A real Kubernetes API server for the tests, with what runs a node. No registry has one as a package, so it is built once from
//! Debian's own source package, of a pinned version, and kept. Users of sentinel never need it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{apiextensions, apt, helm, kept};
use crate::process;
use crate::project;
use crate::term;
use crate::vm;

/// What builds it, and what brings its source together.
const TOOLS: [(&str, &str); 3] = [(GO, "golang-1.19-go"), ("rsync", "rsync"), ("make", "make")];
const GO: &str = "/usr/lib/go-1.19/bin/go";
const SUITE: &str = "bookworm";
const VERSION: &str = "1.20.5+really1.20.2-1.1+deb12u1";
/// What the server keeps its objects in, what people ask it with, and where images are pushed to. Unpacked: installed,
/// the first and the last would run on this machine from then on, and the other would be in the way of one that is there.
const UNPACKED: [Unpacked; 3] = [
    Unpacked {
        variable: "SENTINEL_ETCD",
        program: "etcd",
        package: "etcd-server",
        file: (
            "etcd-server_3.4.23-4+b4_amd64.deb",
            "3a9445d4560ad6de1c375756b2a17d97713df44cbd20a658c871fe108af7ef5d",
        ),
    },
    Unpacked {
        variable: "SENTINEL_KUBECTL",
        program: "kubectl",
        package: "kubernetes-client",
        file: (
            "kubernetes-client_1.20.5+really1.20.2-1.1+deb12u1_amd64.deb",
            "087c42dc26c847740043cdaa8b16db666be5591a1da957f822922aa1b677494e",
        ),
    },
    Unpacked {
        variable: "SENTINEL_REGISTRY",
        program: "docker-registry",
        package: "docker-registry",
        file: (
            "docker-registry_2.8.2+ds1-1_amd64.deb",
            "a9bd06c0e006854608f8469b4371743f40604ad90975532bb3b7ceeb72fe2913",
        ),
    },
];
/// The sources. Built with Go 1.18 or newer, the reflect2 in the first crashes at the first custom
/// resource, so that the second replaces it.
const FILES: [(&str, &str); 2] = [
    (
        "kubernetes_1.20.5+really1.20.2.orig.tar.gz",
        "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc",
    ),
    (
        "golang-github-modern-go-reflect2-dev_1.0.2-2_all.deb",
        "af150a5172cf4c19bb321a53e67103e7fb18d07c1baa1e816a235155265d3948",
    ),
];
/// What the server says of itself; an archive has no history to read it from.
const GIT_VERSION: &str = "KUBE_GIT_COMMIT='faecb196815e248d3ecfb03c680a4507229c2a56'\n\
    KUBE_GIT_TREE_STATE='archive'\nKUBE_GIT_VERSION='v1.20.2'\nKUBE_GIT_MAJOR='1'\nKUBE_GIT_MINOR='20'\n";

/// What is built: the server and what runs a node, by the variables that tests find them by.
const BUILT: [(&str, &str); 4] = [
    ("SENTINEL_KUBE_APISERVER", "kube-apiserver"),
    ("SENTINEL_KUBELET", "kubelet"),
    ("SENTINEL_KUBE_CONTROLLER_MANAGER", "kube-controller-manager"),
    ("SENTINEL_KUBE_SCHEDULER", "kube-scheduler"),
];

/// A program of one of Debian's packages.
struct Unpacked {
    variable: &'static str,
    program: &'static str,
    package: &'static str,
    /// The package's file, and its SHA-256.
    file: (&'static str, &'static str),
}

/// Where all of it is kept.
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn find() -> Result<Self> {
        Ok(Self(project::cache("kubernetes")?))
    }

    /// By the variables that tests find them by.
    pub(crate) fn programs(&self) -> Result<Vec<(&'static str, PathBuf)>> {
        let unpacked = UNPACKED.iter().map(|one| (one.variable, one.program));
        let all = BUILT.into_iter().chain(unpacked);
        let ours = all.map(|(variable, name)| (variable, self.0.join(name)));
        let others =
            [(helm::VARIABLE, helm::place()?), (apiextensions::VARIABLE, apiextensions::place()?)];
        Ok(ours.chain(others).collect())
    }

    /// Those that are to be built.
    fn unbuilt(&self) -> Vec<PathBuf> {
        let all = BUILT.iter().map(|(_, name)| self.0.join(name));
        all.filter(|path| !path.exists()).collect()
    }
}

/// Makes sure that tests can run an API server; without, those tests are skipped by name.
pub(crate) fn kubernetes_tools() -> Result<()> {
    let kept = Kept::find()?;
    let unbuilt = kept.unbuilt();
    let packed: Vec<_> = UNPACKED.iter().filter(|it| !kept.0.join(it.program).exists()).collect();
    if unbuilt.is_empty() && packed.is_empty() {
        return Ok(());
    }
    if !apt::is_here() {
        bail!("tests of Kubernetes need Debian's source of its API server, and apt-get is missing");
    }
    let folder = project::scratch("kubernetes")?;
    let archive = Archive::new(&folder)?;
    for one in packed {
        archive.program(one, &kept.0.join(one.program))?;
    }
    if !unbuilt.is_empty() {
        let missing = TOOLS.iter().filter(|(tool, _)| !is_there(tool));
        let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
        let what = format!("{} (to build an API server)", packages.join(", "));
        apt::install(&packages, &what, "30 s")?;
        archive.sources()?;
        unpack(&folder)?;
        build(&folder, &unbuilt)?;
    }
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn is_there(tool: &str) -> bool {
    if tool.starts_with('/') { Path::new(tool).exists() } else { process::find(tool).is_some() }
}

/// Debian's mirror, with lists of its own: what the machine is configured with stays as it is.
struct Archive<'a> {
    folder: &'a Path,
    config: PathBuf,
}

impl<'a> Archive<'a> {
    fn new(folder: &'a Path) -> Result<Self> {
        let mirror = vm::mirror::of_this_machine()?;
        let source = |kind: &str, uri: &str, suite: &str| {
            format!("{kind} [signed-by={}] {uri} {suite} main\n", vm::archive::KEYRING)
        };
        let sources = [
            source("deb", &mirror.main, SUITE),
            source("deb-src", &mirror.main, SUITE),
            source("deb-src", &mirror.security, &format!("{SUITE}-security")),
        ];
        let config = vm::archive::configure("apt-kubernetes", &sources.concat())?;
        let archive = Self { folder, config };
        term::say("asking Debian's mirror for Kubernetes (apt, about 10 s)");
        archive.run(&["update"])?;
        Ok(archive)
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let log = project::log("kubernetes-fetch")?;
        let mut command = Command::new("apt-get");
        command.args(["-o", "APT::Sandbox::User=root"]).args(arguments).current_dir(self.folder);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C.UTF-8");
        process::logged(&mut command, &log)
            .map_err(|error| apt::explain(error, &log, "Kubernetes' API server"))
    }

    fn program(&self, wanted: &Unpacked, to: &Path) -> Result<()> {
        self.run(&["download", wanted.package])?;
        kept::verify(self.folder, &[wanted.file])?;
        let unpacked = self.folder.join(wanted.package);
        let package = self.folder.join(wanted.file.0);
        process::check(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
        kept::keep(&unpacked.join("usr/bin").join(wanted.program), to)
    }

    fn sources(&self) -> Result<()> {
        term::say("fetching the source of Kubernetes' API server (apt, 34 MB, about 20 s)");
        self.run(&["source", "--download-only", &format!("kubernetes={VERSION}")])?;
        self.run(&["download", "golang-github-modern-go-reflect2-dev"])?;
        kept::verify(self.folder, &FILES)
    }
}

fn source(folder: &Path) -> PathBuf {
    folder.join("kubernetes-1.20.2")
}

fn unpack(folder: &Path) -> Result<()> {
    let source = source(folder);
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    let [archive, replacement] = FILES.map(|(name, _)| folder.join(name));
    process::check(Command::new("tar").arg("xf").arg(archive).arg("-C").arg(folder))?;
    let other = folder.join("reflect2");
    process::check(Command::new("dpkg-deb").arg("-x").arg(replacement).arg(&other))?;
    let part = "github.com/modern-go/reflect2";
    let old = source.join("vendor").join(part);
    for file in go_files(&old)? {
        fs::remove_file(file)?;
    }
    for file in go_files(&other.join("usr/share/gocode/src").join(part))? {
        let name = file.file_name().unwrap_or_default();
        fs::copy(&file, old.join(name))?;
    }
    Ok(())
}

fn go_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(files.filter(|path| path.extension().is_some_and(|extension| extension == "go")).collect())
}

fn build(folder: &Path, programs: &[PathBuf]) -> Result<()> {
    let names: Vec<_> = programs.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let how_long = "once, 6 to 15 min";
    term::say(format!("building {} from Debian's source ({how_long})", names.join(", ")));
    let source = source(folder);
    let version = folder.join("version");
    fs::write(&version, GIT_VERSION)?;
    let around = source.join(".go/src/k8s.io");
    fs::create_dir_all(&around)?;
    let inside = around.join("kubernetes");
    if !inside.exists() {
        std::os::unix::fs::symlink("../../..", &inside)?;
    }
    let go = Path::new(GO).parent().unwrap_or(Path::new("/"));
    let path = std::env::join_paths(
        std::iter::once(go.to_owned()).chain(std::env::split_paths(&process::search_path())),
    )?;
    let log = project::log("kubernetes-build")?;
    let mut make = Command::new("make");
    // The folder by the name that Go knows it by, which the link gives it.
    let what: Vec<String> = names.iter().map(|name| format!("cmd/{name}")).collect();
    make.arg(format!("WHAT={}", what.join(" "))).args(["GOGCFLAGS=", "GOFLAGS=-p=2"]);
    make.current_dir(&inside);
    make.env("PWD", &inside).env("PATH", path).env("GOPATH", source.join(".go"));
    make.env("GO111MODULE", "off").env("GOPROXY", "off").env("CGO_ENABLED", "0");
    make.env("GOCACHE", folder.join("cache")).env("KUBE_GIT_VERSION_FILE", &version);
    process::logged(&mut make, &log).context("cannot build Kubernetes")?;
    let made = source.join("_output/bin");
    names.iter().zip(programs).try_for_each(|(name, to)| kept::keep(&made.join(name), to))
}
