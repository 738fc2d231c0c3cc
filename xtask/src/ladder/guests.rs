//! The vm rung: the harnesses and the verifier's counts on every kernel of the matrix.

use std::time::Instant;

use anyhow::Error;

use super::{Plan, Row, State, Tally};
use crate::root;
use crate::setup;
use crate::term;
use crate::verifier;
use crate::vm::{self, Boot, Kernel, Machines, Outcome, Step};

const RUNG: &str = "vm";
const VERIFIER: &str = "verifier";

/// Boots the kernels of the plan, one after another.
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
    for kernel in vm::select(&plan.kernels) {
        if !plan.keep_going && rows.iter().any(Row::failed) {
            rows.push(Row::skipped(
                RUNG,
                kernel.name.to_owned(),
                "a kernel before it failed",
                true,
            ));
            continue;
        }
        rows.push(one(&mut machines, kernel, &steps, plan));
    }
    rows
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

fn one(machines: &mut Machines, kernel: &Kernel, steps: &[Step], plan: &Plan) -> Row {
    term::say(format!("rung vm: kernel {}", kernel.name));
    let row =
        |state, name: &str, seconds| Row { rung: RUNG, kernel: name.to_owned(), state, seconds };
    match machines.boot(kernel, steps, plan.timeout) {
        Ok(Boot::Gone) => Row::skipped(RUNG, kernel.name.to_owned(), vm::gone(kernel), true),
        Ok(Boot::Ran { outcomes, seconds, release }) => {
            let mut tally = Tally::default();
            for outcome in &outcomes {
                tally.add(count(kernel, outcome));
            }
            row(State::Ran(tally), &release, seconds)
        }
        Err(error) => row(State::Broken(format!("{error:#}")), kernel.name, 0.0),
    }
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
