//! `fuzz`: libFuzzer over the targets of `tests/fuzz`, built by the stable compiler.
//!
//! LLVM's coverage counters need no nightly compiler: `-C passes=sancov-module` is a codegen option
//! of stable rustc. Address sanitizers do, and are not missed: what is fuzzed is safe Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::build;
use crate::cli::Fuzz;
use crate::process::{self, Ending};
use crate::project;
use crate::setup;
use crate::term;

/// Counters for every edge, and the operands of comparisons, in every crate.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds that one input may take, and megabytes: more is a finding as well.
const TIMEOUT: &str = "-timeout=10";
const MEMORY: &str = "-rss_limit_mb=1024";

/// Where the ladder's search begins, so that another machine tries what this one tried, or less of
/// it. `cargo xtask fuzz` begins elsewhere each time: that is where new crashes are to be found.
const LADDER_SEED: u32 = 1;

/// A target as the binaries name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: String,
    max_len: usize,
}

/// Fuzzes what was asked for, one target after another.
pub(crate) fn verb(args: &Fuzz) -> Result<()> {
    let mut broken = Vec::new();
    let workshop = Workshop::open()?;
    for target in workshop.chosen(args.target.as_deref())? {
        if !workshop.run(&target, args.seconds, None)? {
            broken.push(target.name.clone());
        } else if args.bless {
            workshop.bless(&target)?;
        }
    }
    if broken.is_empty() { Ok(()) } else { bail!("broken: {}", broken.join(", ")) }
}

/// Fuzzes every target for a while; returns the names of those that hold and those that do not.
pub(crate) fn all(seconds: u64) -> Result<Vec<(String, bool)>> {
    let workshop = Workshop::open()?;
    let targets = workshop.chosen(None)?;
    targets
        .into_iter()
        .map(|target| {
            workshop.run(&target, seconds, Some(LADDER_SEED)).map(|holds| (target.name, holds))
        })
        .collect()
}

/// The built fuzzer, its seeds, and where things are.
struct Workshop {
    binary: PathBuf,
    targets: Vec<Target>,
}

impl Workshop {
    fn open() -> Result<Self> {
        setup::fuzz_tools()?;
        term::say("building the fuzzer with coverage counters (the first time about 4 min)");
        let folder = project::target().join("fuzz");
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut cargo = build::host_cargo();
        cargo
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", RUSTFLAGS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // A target that is named keeps the flags away from build scripts and macros.
            .args(["build", "--quiet", "--profile", "fuzz", "--target", &triple])
            .args(["-p", "sentinel-fuzz"])
            .args(["--no-default-features", "--features", "engine", "--bin", "sentinel-fuzz"]);
        process::check(&mut cargo)?;
        let built = build::host_tests(&["--test", "corpus"])?;
        let mut seeds = Command::new(built.path("sentinel-fuzz-seeds")?);
        let listed = process::output(seeds.arg(project::scratch("fuzz-seeds")?))?;
        let targets: Vec<Target> = listed.lines().filter_map(target).collect();
        let binary = folder.join(triple).join("fuzz/sentinel-fuzz");
        Ok(Self { binary, targets })
    }

    fn chosen(&self, name: Option<&str>) -> Result<Vec<Target>> {
        let Some(name) = name else { return Ok(self.targets.clone()) };
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        match self.targets.iter().find(|target| target.name == name) {
            Some(target) => Ok(vec![target.clone()]),
            None => bail!("{name} is no target: it is one of {}", names.join(", ")),
        }
    }

    fn fuzzer(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("SENTINEL_FUZZ_TARGET", &target.name)
            .args([TIMEOUT, MEMORY])
            .arg(format!("-max_len={}", target.max_len));
        command
    }

    /// Whether the target held for this long, from this seed, or from one of libFuzzer's choice.
    fn run(&self, target: &Target, seconds: u64, seed: Option<u32>) -> Result<bool> {
        let name = &target.name;
        let finds = project::scratch(&match seed {
            // What earlier searches found would lead this one elsewhere.
            Some(_) => format!("fuzz-{name}-ladder"),
            None => format!("fuzz-{name}"),
        })?;
        if seed.is_some() {
            fs::remove_dir_all(&finds)?;
            fs::create_dir_all(&finds)?;
        }
        let crashes = project::scratch("fuzz-crashes")?.join(format!("{name}-"));
        let mut command = self.fuzzer(target);
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}", crashes.display()))
            .args(["-print_final_stats=1", "-verbosity=1"])
            .args(seed.map(|seed| format!("-seed={seed}")))
            .arg(finds)
            .args([committed(name), project::scratch("fuzz-seeds")?.join(name)]);
        let log = project::log(&format!("fuzz-{name}"))?;
        let mut tail = Summary::default();
        // What is being tried when the time is over may take its own time on top, and a busy machine.
        let patience = Duration::from_secs(seconds * 2 + 120);
        let ending = process::watch(command, &log, Some(patience), |line| tail.take(line))?;
        match ending {
            Ending::Exited(status) if status.success() => {
                println!(
                    "fuzz {name}: {} inputs in {seconds} s, {} covered",
                    tail.runs, tail.edges
                );
                Ok(true)
            }
            _ => {
                println!("fuzz {name}: BROKEN; {}", tail.artifact);
                println!("{}", process::tail(&log));
                println!(
                    "move that file to tests/fuzz/crashes/{name}, mend what it shows, and say in a \
                     .md beside it what it was"
                );
                Ok(false)
            }
        }
    }

    /// Puts the smallest inputs that reach all that is reached into the committed corpus.
    fn bless(&self, target: &Target) -> Result<()> {
        let name = &target.name;
        let merged = project::scratch(&format!("fuzz-{name}-merged"))?;
        fs::remove_dir_all(&merged)?;
        fs::create_dir_all(&merged)?;
        let mut command = self.fuzzer(target);
        command.arg("-set_cover_merge=1").arg(&merged).args([
            project::scratch("fuzz-seeds")?.join(name),
            committed(name),
            project::scratch(&format!("fuzz-{name}"))?,
        ]);
        process::logged(&mut command, &project::log(&format!("fuzz-{name}-merge"))?)?;
        let folder = committed(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let mut bytes = 0;
        let mut files = 0;
        for entry in fs::read_dir(&merged)? {
            let entry = entry?;
            bytes += fs::copy(entry.path(), folder.join(entry.file_name()))?;
            files += 1;
        }
        println!("fuzz {name}: {files} inputs of {bytes} bytes are the corpus now");
        Ok(())
    }
}

/// The folder of a target's corpus in the repository.
fn committed(name: &str) -> PathBuf {
    let folder = project::root().join("tests/fuzz/corpus").join(name);
    // libFuzzer refuses a folder that is not there.
    let _ = fs::create_dir_all(&folder);
    folder
}

/// A line of `sentinel-fuzz-seeds`: name, tab, longest input.
fn target(line: &str) -> Option<Target> {
    let (name, max_len) = line.split_once('\t')?;
    Some(Target { name: name.to_owned(), max_len: max_len.parse().ok()? })
}

/// What libFuzzer says of a run.
#[derive(Debug, Default)]
struct Summary {
    runs: String,
    edges: String,
    artifact: String,
}

impl Summary {
    fn take(&mut self, line: &str) {
        if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
            self.runs = runs.trim().to_owned();
        } else if let Some((_, rest)) = line.split_once(" cov: ") {
            let edges = rest.split(' ').next().unwrap_or_default();
            self.edges = format!("{edges} edges");
        } else if line.contains("Test unit written to ") {
            let path = line.rsplit(' ').next().unwrap_or_default();
            self.artifact = format!("the input is {}", Path::new(path).display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fuzzer_says_is_understood() {
        let mut summary = Summary::default();
        for line in [
            "#2097152\tpulse  cov: 318 ft: 900 corp: 88/6kb lim: 256 exec/s: 500 rss: 40Mb",
            "artifact_prefix='x-'; Test unit written to x-crash-1",
            "stat::number_of_executed_units: 2100000",
        ] {
            summary.take(line);
        }
        assert_eq!((summary.runs.as_str(), summary.edges.as_str()), ("2100000", "318 edges"));
        assert_eq!(summary.artifact, "the input is x-crash-1");
        assert_eq!(target("stream\t1024"), Some(Target { name: "stream".into(), max_len: 1024 }));
        assert_eq!(target("stream"), None);
    }
}
