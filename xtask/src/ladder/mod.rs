//! `test`: the rungs, cheapest first, and one table at the end.

mod checks;
mod guests;
mod here;
mod summary;
mod tally;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::{Rung, Test};
use crate::root;
use crate::vm::Layout;

pub(crate) use checks::{Checks, Lacking, installed};
pub(crate) use tally::Tally;

/// Which rungs to climb, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The rungs; all when none is named.
    pub(crate) rungs: Vec<Rung>,
    /// The kernels of the vm rung; all when none is named.
    pub(crate) kernels: Vec<String>,
    /// How their cgroups are laid out; in every way when nothing is said.
    pub(crate) layout: Option<Layout>,
    /// Whether to go on after a failure.
    pub(crate) keep_going: bool,
    /// How long a guest may take.
    pub(crate) timeout: Duration,
    /// A part of the names of the tests to run.
    pub(crate) filter: Option<String>,
}

/// What a rung did on a kernel.
#[derive(Debug)]
pub(crate) struct Row {
    rung: &'static str,
    kernel: String,
    state: State,
    seconds: f64,
}

/// How a rung ended.
#[derive(Debug)]
enum State {
    /// Tests ran.
    Ran(Tally),
    /// It did not run, and why; `excused` when it could not have run here at all.
    Skipped { why: String, excused: bool },
    /// It could not be built or started.
    Broken(String),
}

impl Row {
    fn skipped(rung: &'static str, kernel: String, why: impl Into<String>, excused: bool) -> Self {
        Self { rung, kernel, state: State::Skipped { why: why.into(), excused }, seconds: 0.0 }
    }

    /// A rung that could have run counts as failed where nobody has an excuse: in CI, or as root.
    fn failed(&self) -> bool {
        match &self.state {
            State::Ran(tally) => tally.failed > 0,
            State::Skipped { excused, .. } => !excused && strict(),
            State::Broken(_) => true,
        }
    }
}

/// Runs what the command line asks for.
pub(crate) fn verb(args: &Test) -> Result<()> {
    run(&Plan {
        rungs: args.rungs.clone(),
        kernels: args.kernels.clone(),
        layout: None,
        keep_going: args.keep_going,
        timeout: Duration::from_secs(args.timeout),
        filter: args.filter.clone(),
    })
}

/// Climbs the rungs of a plan and prints the summary.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let mut rungs = vec![Rung::Host, Rung::TestRun, Rung::Live, Rung::Deploy, Rung::Fuzz, Rung::Vm];
    // A filter is about tests, and the fuzzer has none: then it runs only when it is named.
    rungs.retain(|rung| match plan.rungs.is_empty() {
        true => *rung != Rung::Fuzz || plan.filter.is_none(),
        false => plan.rungs.contains(rung),
    });
    let mut rows: Vec<Row> = Vec::new();
    for rung in rungs {
        if !plan.keep_going && rows.iter().any(Row::failed) {
            rows.push(Row::skipped(name(rung), String::new(), "a rung before it failed", true));
            continue;
        }
        rows.extend(match rung {
            Rung::Host => vec![here::host(plan)],
            Rung::TestRun => vec![here::harness(name(rung), "test_run", plan)],
            Rung::Live => vec![here::harness(name(rung), "live", plan)],
            Rung::Deploy => vec![here::deploy(plan)],
            Rung::Fuzz => vec![here::fuzz()],
            Rung::Vm => guests::run(plan),
        });
    }
    summary::print(&rows);
    let failed: Vec<&str> = rows.iter().filter(|row| row.failed()).map(|row| row.rung).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            bail!("the {first} rung failed: its output is above, the logs are in target/xtask")
        }
    }
}

/// Whether a rung that was skipped needs an excuse.
fn strict() -> bool {
    std::env::var_os("CI").is_some() || root::is_root()
}

fn name(rung: Rung) -> &'static str {
    match rung {
        Rung::Host => "host",
        Rung::TestRun => "test-run",
        Rung::Live => "live",
        Rung::Deploy => "deploy",
        Rung::Fuzz => "fuzz",
        Rung::Vm => "vm",
    }
}
