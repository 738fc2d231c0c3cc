//! The rungs on this machine's own kernel.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::{Checks, Plan, Row, State, Tally};
use crate::build;
use crate::deploy;
use crate::fuzz;
use crate::process::{self, Ending};
use crate::project;
use crate::root;
use crate::setup;
use crate::term;

/// Everything that needs neither root nor a BPF toolchain.
pub(super) fn host(plan: &Plan) -> Row {
    term::say("rung host: unit and integration tests (the first time about 1 min)");
    timed("host", || {
        let mut tests = build::host_cargo();
        tests.arg("test").args(build::HOST_PACKAGES).arg("--");
        let mut tally = climb(tests, "host", plan.filter.as_deref(), &[])?;
        if project::root().join("tests/src/lib.rs").exists() {
            let mut fixtures = build::host_cargo();
            // xtask has no library to test: with it cargo takes what it has built already.
            fixtures.args(["test", "-p", "sentinel-tests", "-p", "xtask", "--lib", "--"]);
            tally.add(climb(fixtures, "host-tests", plan.filter.as_deref(), &[])?);
        }
        Ok(tally)
    })
}

/// One harness of the tests crate, with the real programs in this kernel.
pub(super) fn harness(rung: &'static str, test: &str, plan: &Plan) -> Row {
    if !root::is_root() {
        let why = format!("needs root (run: {})", root::TEST_AS_ROOT);
        return Row::skipped(rung, kernel(), why, false);
    }
    timed(rung, || {
        let toolchain = setup::for_run()?;
        if test == "live" {
            setup::for_live(plan.filter.as_deref());
        }
        term::say(format!("rung {rung}: building the programs and their tests"));
        let built = build::standalone(toolchain)?;
        let mut tests = Command::new(built.path(test)?);
        tests
            .current_dir(project::root().join("tests"))
            .env("SENTINEL_BIN", built.path("sentinel")?)
            .env("SENTINEL_LAB", built.path("sentinel-lab")?)
            .envs(setup::Kubernetes::find()?.programs()?);
        // Where buildah cannot be had, the test with a node is skipped by name.
        if test == "live" && wants_node(plan) {
            match deploy::image_archive() {
                Ok(archive) => drop(tests.env("SENTINEL_IMAGE", archive)),
                Err(error) => term::say(format!("no image: {error:#}")),
            }
        }
        climb(tests, rung, plan.filter.as_deref(), &["--test-threads=1"])
    })
}

/// Whether the test with a kubelet is among those that are asked for.
fn wants_node(plan: &Plan) -> bool {
    let name = "kubernetes/a_kubelet_runs_the_daemonset";
    plan.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
}

/// What is under `deploy/`, put together and tried as users would.
pub(super) fn deploy(plan: &Plan) -> Row {
    term::say(
        "rung deploy: chart, image, package (the static executable takes about 5 min the first time)",
    );
    timed("deploy", || {
        let mut checks = Checks::new(plan.filter.as_deref());
        deploy::rung(&mut checks);
        Ok(checks.end())
    })
}

/// Seconds that each target gets on this rung.
const FUZZ_SECONDS: u64 = 20;

/// A short while of libFuzzer for each target.
pub(super) fn fuzz() -> Row {
    if let (false, Err(error)) = (root::is_root(), setup::fuzz_tools()) {
        return Row::skipped("fuzz", kernel(), format!("{error:#}"), false);
    }
    term::say(format!("rung fuzz: {FUZZ_SECONDS} s of libFuzzer for each target"));
    timed("fuzz", || {
        let mut tally = Tally::default();
        for (name, holds) in fuzz::all(FUZZ_SECONDS)? {
            tally.passed += usize::from(holds);
            tally.failed += usize::from(!holds);
            tally.notable.extend((!holds).then(|| format!("failed: fuzz {name}")));
        }
        Ok(tally)
    })
}

/// Runs tests, passes its lines on and counts.
fn climb(mut command: Command, log: &str, filter: Option<&str>, args: &[&str]) -> Result<Tally> {
    command.args(args).args(filter);
    let mut tally = Tally::default();
    let ending = process::watch(command, &project::log(log)?, None, |line| {
        tally.take(line);
        println!("{line}");
    })?;
    let success = matches!(ending, Ending::Exited(status) if status.success());
    Ok(tally.end(log, success))
}

fn timed(rung: &'static str, climb: impl FnOnce() -> Result<Tally>) -> Row {
    let start = Instant::now();
    let state = match climb() {
        Ok(tally) => State::Ran(tally),
        Err(error) => State::Broken(format!("{error:#}")),
    };
    Row { rung, kernel: kernel(), state, seconds: start.elapsed().as_secs_f64() }
}

fn kernel() -> String {
    process::first_line("/proc/sys/kernel/osrelease")
}
