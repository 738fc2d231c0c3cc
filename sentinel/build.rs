//! Builds the kernel programs into `OUT_DIR/sentinel-ebpf`.

#[path = "build/programs.rs"]
mod programs;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

const TOOLCHAIN: &str = "SENTINEL_BPF_TOOLCHAIN";
const SKIP: &str = "AYA_BUILD_SKIP";

fn main() -> Result<()> {
    println!("cargo::rerun-if-env-changed={TOOLCHAIN}");
    println!("cargo::rerun-if-env-changed={SKIP}");
    println!("cargo::rerun-if-changed=../sentinel-common/src");
    println!("cargo::rerun-if-changed=../sentinel-ebpf/src/maps.rs");
    layout()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let object = out.join("sentinel-ebpf");
    if env::var_os(SKIP).is_some_and(|skip| skip == "1" || skip == "true") {
        // An empty object: `sentinel run` says in one sentence that this build has no programs.
        return Ok(fs::write(object, [])?);
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sentinel-ebpf");
    println!("cargo::rerun-if-changed={}", package.display());
    if env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|order| order != "little") {
        bail!("the programs are for processors with the low byte first");
    }
    let processor = env::var("CARGO_CFG_TARGET_ARCH").context("cargo has not set its target")?;
    let made = out.join("bpf");
    let output = programs::command(&package, &toolchain()?, &processor, &made)?.output();
    let output = output.context("cannot start rustup")?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("the programs do not compile:\n{words}");
    }
    words.lines().for_each(|line| println!("cargo::warning={line}"));
    let made = programs::object(&made);
    let made = fs::read(&made).with_context(|| format!("there is no {}", made.display()))?;
    Ok(fs::write(object, programs::without_debug(&made)?)?)
}

/// What maps hold is said by the contract's source and by the definitions of the maps: where a text is
/// another, what an agent before has left in its maps is taken for something else. Of what is learned of
/// names by those parts alone that are about it, so that it outlives most upgrades.
fn layout() -> Result<()> {
    let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sentinel-common/src");
    let maps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sentinel-ebpf/src/maps.rs");
    let maps = fs::read_to_string(maps)?;
    let mut all = FNV;
    let mut names = FNV;
    for file in sources(&common)? {
        let text = fs::read(&file)?;
        all = hash(all, &text);
        let name = file.strip_prefix(&common)?;
        if ["learn.rs", "names.rs", "address.rs"].iter().any(|one| name == Path::new(one)) {
            names = hash(names, &text);
        }
    }
    all = hash(all, maps.as_bytes());
    for map in ["LEARNED", "FQDNS", "RESOLVERS", "QUESTIONS"] {
        let begin = maps.find(&format!("pub static {map}:")).context("a map is gone")?;
        let definition = maps.get(begin..).and_then(|rest| rest.split(';').next());
        names = hash(names, definition.unwrap_or_default().as_bytes());
    }
    println!("cargo::rustc-env=SENTINEL_LAYOUT={all:016x}");
    println!("cargo::rustc-env=SENTINEL_NAMES_LAYOUT={names:016x}");
    Ok(())
}

/// Every source file below a folder, in an order that is always the same.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where FNV-1a begins.
const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(before: u64, text: &[u8]) -> u64 {
    text.iter().fold(before, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The rustup toolchain to build with: the one asked for, else the first that has a core library
/// for BPF or the sources to build one.
fn toolchain() -> Result<String> {
    if let Some(asked) = env::var_os(TOOLCHAIN) {
        return asked.into_string().ok().with_context(|| format!("{TOOLCHAIN} is not UTF-8"));
    }
    for (name, needs) in
        [("nightly", "lib/rustlib/src/rust/library"), ("bpf", "lib/rustlib/bpfel-unknown-none")]
    {
        if programs::sysroot(name).is_some_and(|sysroot| sysroot.join(needs).exists()) {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "no Rust toolchain for BPF is installed: run `cargo xtask setup`, or set {SKIP}=1 to build without the kernel programs"
    )
}
