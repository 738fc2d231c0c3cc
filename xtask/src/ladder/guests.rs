//! The vm rung: the harnesses and the verifier's counts on every kernel of the matrix.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::{Plan, Row, State, Tally};
use crate::root;
use crate::setup;
use crate::term;
use crate::verifier;
use crate::vm::{self, Boot, Guest, Kernel, Machines, Outcome, Step};

const RUNG: &str = "vm";
const VERIFIER: &str = "verifier";

/// Boots the kernels of the plan, as many at a time as there are processors for.
pub(super) fn run(plan: &Plan) -> Vec<Row> {
    let start = Instant::now();
    let broken = |error: Error| {
        let seconds = start.elapsed().as_secs_f64();
        let state = State::Broken(format!("{error:#}"));
        vec![Row { rung: RUNG, kernel: String::new(), state, seconds }]
    };
    match setup::guest_tools().and_then(|()| setup::for_run()) {
        Ok(_) => {}
        // Only root can install what is missing, and the error says how.
        Err(error) if !root::is_root() => {
            return vec![Row::skipped(RUNG, String::new(), format!("{error:#}"), false)];
        }
        Err(error) => return broken(error),
    }
    let mut machines = match Machines::new(true) {
        Ok(machines) => machines,
        Err(error) => return broken(error),
    };
    let steps = steps(plan.filter.as_deref());
    let mut rows: Vec<Row> = Vec::new();
    for together in vm::select(&plan.kernels).chunks(at_once()) {
        if !plan.keep_going && rows.iter().any(Row::failed) {
            let why = "a kernel before it failed";
            let skipped = |kernel: &&Kernel| Row::skipped(RUNG, kernel.name.to_owned(), why, true);
            rows.extend(together.iter().map(skipped));
            continue;
        }
        rows.extend(run_together(&mut machines, together, &steps, plan));
    }
    rows
}

/// Guests at a time: each keeps one processor busy, and takes two gigabytes.
fn at_once() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(2))
}

fn run_together(
    machines: &mut Machines,
    kernels: &[&Kernel],
    steps: &[Step],
    plan: &Plan,
) -> Vec<Row> {
    let guests: Vec<_> =
        kernels.iter().map(|kernel| (*kernel, machines.prepare(kernel, steps))).collect();
    thread::scope(|scope| {
        let running: Vec<_> = guests
            .into_iter()
            .map(|(kernel, guest)| scope.spawn(move || one(kernel, guest, plan.timeout)))
            .collect();
        let ended = running.into_iter().zip(kernels);
        ended
            .map(|(row, kernel)| {
                let panicked = || State::Broken("its thread panicked".to_owned());
                row.join().unwrap_or_else(|_| row_of(panicked(), kernel.name, 0.0))
            })
            .collect()
    })
}

fn steps(filter: Option<&str>) -> Vec<Step> {
    let harness = |name: &str| {
        let mut command = vec![name, "--test-threads=1"];
        command.extend(filter);
        Step::new(name, &command)
    };
    let mut steps = vec![harness("test_run"), harness("live")];
    // A filter is about tests: whoever gives one is after something else.
    if filter.is_none() {
        steps.push(Step::new(VERIFIER, &["sentinel-verifier"]));
    }
    steps
}

fn one(kernel: &Kernel, guest: Result<Option<Guest>>, timeout: Duration) -> Row {
    term::say(format!("rung vm: kernel {}", kernel.name));
    let booted = guest.and_then(|guest| guest.map_or(Ok(Boot::Gone), |guest| guest.run(timeout)));
    match booted {
        Ok(Boot::Gone) => Row::skipped(RUNG, kernel.name.to_owned(), vm::gone(kernel), true),
        Ok(Boot::Ran { outcomes, seconds, release }) => {
            let mut tally = Tally::default();
            for outcome in &outcomes {
                tally.add(count(kernel, outcome));
            }
            row_of(State::Ran(tally), &release, seconds)
        }
        Err(error) => row_of(State::Broken(format!("{error:#}")), kernel.name, 0.0),
    }
}

fn row_of(state: State, name: &str, seconds: f64) -> Row {
    Row { rung: RUNG, kernel: name.to_owned(), state, seconds }
}

/// What a step of a guest counts for; its output is shown when it failed and nobody has seen it.
fn count(kernel: &Kernel, outcome: &Outcome) -> Tally {
    let mut tally = Tally::default();
    outcome.lines.iter().for_each(|line| tally.take(line));
    let what = format!("{} on {}", outcome.label, kernel.name);
    let mut tally = tally.end(&what, outcome.code == Some(0));
    if tally.failed > 0 && !term::live() {
        outcome.lines.iter().for_each(|line| println!("  {} | {line}", kernel.name));
    }
    if outcome.label == VERIFIER && tally.failed == 0 {
        let complaints = verifier::compare(kernel.name, &outcome.lines);
        tally.passed += usize::from(complaints.is_empty());
        tally.failed += complaints.len();
        tally
            .notable
            .extend(complaints.into_iter().map(|complaint| format!("failed: {complaint}")));
    }
    tally
}
