//! A private apt: its own lists and sources, so that the machine's stay as they are. Needs no root.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::mirror;
use super::processor::Processor;
use crate::process;
use crate::project;
use crate::setup;
use crate::term;

/// Who signs Debian's lists.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SUITES: [&str; 2] = ["bookworm", "trixie-backports"];
const SECURITY_SUITES: [&str; 2] = ["bullseye-security", "bookworm-security"];

/// Debian's packages as the mirror has them today.
pub(super) struct Archive {
    config: PathBuf,
    architecture: &'static str,
    kernels: Vec<String>,
}

impl Archive {
    /// Fetches the lists of the suites that have our kernels for a processor.
    pub(super) fn open(processor: Processor) -> Result<Self> {
        if process::find("apt-get").is_none() {
            bail!(
                "the kernels come from Debian packages and apt-get is missing: run this on Debian"
            );
        }
        let folder = format!("apt-kernels-{}", processor.debian());
        let config = configure(&folder, &sources(processor)?)?;
        let archive = Self { config, architecture: processor.debian(), kernels: Vec::new() };
        term::say("asking Debian's mirror for today's kernels (apt, about 5 s)");
        let log = project::log("kernels-update")?;
        // A suite that the mirror dropped makes this fail although the others were fetched.
        let updated = process::logged(archive.apt("apt-get").arg("update"), &log);
        let mut search = archive.apt("apt-cache");
        let kernels = format!("^linux-(image|binary|modules)-[0-9].*{}$", processor.flavour());
        search.args(["search", "--names-only", &kernels]);
        let found = process::output(&mut search)?;
        let names = found.lines().filter_map(|line| line.split_whitespace().next());
        let kernels: Vec<String> = names.map(str::to_owned).collect();
        if kernels.is_empty() {
            let error =
                updated.err().unwrap_or_else(|| anyhow::anyhow!("its lists name no kernel"));
            return Err(setup::explain(error, &log, "the list of Debian's kernels"));
        }
        Ok(Self { kernels, ..archive })
    }

    /// The names of all cloud kernel packages.
    pub(super) fn kernels(&self) -> &[String] {
        &self.kernels
    }

    /// Downloads packages into a folder.
    pub(super) fn download(&self, packages: &[String], folder: &PathBuf) -> Result<()> {
        let log = project::log("kernels-download")?;
        let mut apt = self.apt("apt-get");
        let of = |package: &String| format!("{package}:{}", self.architecture);
        apt.arg("download").args(packages.iter().map(of)).current_dir(folder);
        process::logged(&mut apt, &log)
            .map_err(|error| setup::explain(error, &log, &packages.join(" and ")))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C.UTF-8");
        command.args(["-o", &format!("APT::Architectures=amd64,{}", self.architecture)]);
        command
    }
}

fn sources(processor: Processor) -> Result<String> {
    let mirror = mirror::of_this_machine()?;
    let source = |uri: &str, suite: &&str| {
        let architecture = processor.debian();
        format!("deb [arch={architecture} signed-by={KEYRING}] {uri} {suite} main\n")
    };
    let main = SUITES.iter().map(|suite| source(&mirror.main, suite));
    let security = SECURITY_SUITES.iter().map(|suite| source(&mirror.security, suite));
    Ok(main.chain(security).collect())
}

/// An apt of these sources, its lists in this folder of the cache.
pub(crate) fn configure(folder: &str, sources: &str) -> Result<PathBuf> {
    let folder = project::cache(folder)?;
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let at = folder.display();
    let config = format!(
        "Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
         Dir::State::lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\nDir::Cache \"{at}/cache\";\n\
         Acquire::Check-Valid-Until \"false\";\nAcquire::Languages \"none\";\nAcquire::Retries \"2\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\nAPT::Sandbox::User \"root\";\n"
    );
    let path = folder.join("apt.conf");
    for (name, text) in [("sources.list", sources), ("status", ""), ("apt.conf", &config)] {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {at}/{name}"))?;
    }
    Ok(path)
}
