//! The kernel programs: the same bytes wherever they are built, and for every processor the same but for what the
//! processor's registers are called.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{elsewhere, source};
use crate::build;
use crate::ladder::{Checks, installed};
use crate::process;
use crate::project;
use crate::setup;

/// The checks of the programs.
pub(super) const NAMES: [&str; 3] = [
    "programs/of_two_paths_are_the_same_bytes",
    "programs/are_in_the_executable_and_no_path_of_this_machine",
    "programs/for_aarch64_differ_in_probes_alone",
];

type Sections = BTreeMap<String, Vec<u8>>;

/// Builds them here, elsewhere, and for another processor.
pub(super) fn checks(checks: &mut Checks) {
    let [two_paths, shipped, aarch64] = NAMES;
    let Some(here) = checks.prepare(&NAMES, || compile(&project::root(), "x86_64", "here")) else {
        return;
    };
    checks.run(two_paths, || {
        let elsewhere = compile(&elsewhere::sources()?, "x86_64", "elsewhere")?;
        if fs::read(&here)? == fs::read(&elsewhere)? {
            return Ok(());
        }
        bail!("{} and {} differ", here.display(), elsewhere.display())
    });
    checks.run(aarch64, || {
        let there = compile(&project::root(), "aarch64", "aarch64")?;
        let differing = differing(&sections(&here)?, &sections(&there)?);
        let other = differing.iter().find(|name| !may_differ(name));
        other.map_or(Ok(()), |name| bail!("section {name} is another one for aarch64"))
    });
    checks.run(shipped, || {
        let executable = fs::read(build::shipped(setup::for_run()?)?)?;
        let object = source::without_debug(&fs::read(&here)?)?;
        if !contains(&executable, &object) {
            bail!("the executable holds other programs than {}", here.display());
        }
        let home = process::cargo_home().context("neither CARGO_HOME nor HOME is set")?;
        for path in [project::root(), home] {
            if contains(&executable, path.as_os_str().as_encoded_bytes()) {
                bail!("the executable names {}", path.display());
            }
        }
        Ok(())
    });
}

/// What a kprobe is given are the processor's registers, and one text names their type for all programs. What is
/// for debuggers is not loaded.
fn may_differ(section: &str) -> bool {
    let section = section.strip_prefix(".rel").unwrap_or(section);
    ["kprobe", ".BTF", ".debug_"].iter().any(|head| section.starts_with(head))
}

/// Sections of one that the other has not, or has with another content.
fn differing(one: &Sections, other: &Sections) -> Vec<String> {
    let names = one.keys().chain(other.keys());
    let mut names: Vec<String> =
        names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// The sections of an object with their contents, as binutils lists them.
fn sections(object: &Path) -> Result<Sections> {
    let bytes = fs::read(object)?;
    let listing = process::output(Command::new("readelf").arg("-SW").arg(object))?;
    let mut sections = Sections::new();
    for line in listing.lines().filter_map(|line| line.trim().strip_prefix('[')) {
        let Some((_, line)) = line.split_once(']') else { continue };
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, _, _, offset, size, ..] = words.as_slice() else { continue };
        let (Ok(offset), Ok(size)) =
            (usize::from_str_radix(offset, 16), usize::from_str_radix(size, 16))
        else {
            continue;
        };
        let content = bytes.get(offset..offset + size).unwrap_or_default();
        sections.insert((*name).to_owned(), content.to_owned());
    }
    if sections.contains_key("cgroup_skb/egress") {
        Ok(sections)
    } else {
        bail!("{} is no object with programs", object.display())
    }
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// The programs of the workspace at a place. What their compiler is helped by is built once for all of them; the
/// programs are not, as each place and processor has flags of its own.
fn compile(root: &Path, processor: &str, name: &str) -> Result<PathBuf> {
    let toolchain = installed(setup::for_run())?;
    let made = project::target().join("programs");
    let package = root.join("sentinel-ebpf");
    let mut command = source::command(&package, toolchain.name(), processor, &made)?;
    command.env("PATH", process::search_path());
    process::logged(&mut command, &project::log(&format!("programs-{name}"))?)?;
    let object = project::scratch("programs")?.join(name);
    fs::copy(source::object(&made), &object)?;
    Ok(object)
}
