//! The vm rung: the harnesses and the verifier's counts on every kernel of the matrix.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::{Plan, Row, State, Tally};
use crate::root;
use crate::setup;
use crate::term;
use crate::verifier;
use crate::vm::{self, Boot, Guest, Kernel, Layout, Machines, Outcome, Step};

const RUNG: &str = "vm";
const VERIFIER: &str = "verifier";
/// The one under systemd: what is tried there is the package.
const ITS_KERNEL: &str = "6.12";

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
    let mut boots = boots(plan);
    let mut rows: Vec<Row> = Vec::new();
    let on_disk = |boot: &(&Kernel, Layout)| boot.1 == Layout::Systemd;
    if boots.iter().any(on_disk)
        && let Err(error) = vm::make_disk()
    {
        // Most often a mirror's fault.
        boots.retain(|boot| !on_disk(boot));
        let name = format!("{ITS_KERNEL}{}", Layout::Systemd.suffix());
        rows.push(Row::skipped(RUNG, name, format!("{error:#}"), true));
    }
    for together in boots.chunks(at_once()) {
        if !plan.keep_going && rows.iter().any(Row::failed) {
            let why = "a guest before it failed";
            let skipped = |boot: &(&Kernel, Layout)| Row::skipped(RUNG, name(*boot), why, true);
            rows.extend(together.iter().map(skipped));
            continue;
        }
        rows.extend(run_together(&mut machines, together, plan));
    }
    rows
}

/// Every kernel in one layout, then in the next: those that take as long run together. A filter is about
/// tests, and other layouts than cgroup2 alone have few.
fn boots(plan: &Plan) -> Vec<(&'static Kernel, Layout)> {
    let is_wanted = |layout: &Layout| match (plan.layout, &plan.filter) {
        (Some(wanted), _) => *layout == wanted,
        (None, Some(filter)) if filter.starts_with("layouts") => {
            matches!(layout, Layout::Hybrid | Layout::V1)
        }
        (None, Some(filter)) if filter.starts_with("packaged") => *layout == Layout::Systemd,
        (None, Some(_)) => *layout == Layout::Pure,
        (None, None) => true,
    };
    let of = |layout| {
        let kernels = vm::select(&plan.kernels).into_iter();
        let kernels = kernels.filter(move |it| layout != Layout::Systemd || it.name == ITS_KERNEL);
        kernels.map(move |kernel| (kernel, layout))
    };
    Layout::ALL.into_iter().filter(is_wanted).flat_map(of).collect()
}

fn name((kernel, layout): (&Kernel, Layout)) -> String {
    format!("{}{}", kernel.name, layout.suffix())
}

/// Guests at a time: each keeps one processor busy, and takes two gigabytes.
fn at_once() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(2))
}

fn run_together(
    machines: &mut Machines,
    boots: &[(&'static Kernel, Layout)],
    plan: &Plan,
) -> Vec<Row> {
    let guests: Vec<_> = boots
        .iter()
        .map(|(kernel, layout)| {
            let steps = steps(*layout, plan.filter.as_deref());
            machines.prepare(kernel, *layout, &steps)
        })
        .collect();
    thread::scope(|scope| {
        let running: Vec<_> = guests
            .into_iter()
            .zip(boots)
            .map(|(guest, boot)| scope.spawn(move || one(*boot, guest, plan.timeout)))
            .collect();
        let ended = running.into_iter().zip(boots);
        ended
            .map(|(row, boot)| {
                let panicked = || State::Broken("its thread panicked".to_owned());
                row.join().unwrap_or_else(|_| row_of(panicked(), &name(*boot), 0.0))
            })
            .collect()
    })
}

fn steps(layout: Layout, filter: Option<&str>) -> Vec<Step> {
    let harness = |name: &str| {
        let mut command = vec![name, "--test-threads=1"];
        command.extend(filter);
        Step::new(name, &command)
    };
    if layout != Layout::Pure {
        return vec![harness("live")];
    }
    let mut steps = vec![harness("test_run"), harness("live")];
    // A filter is about tests: whoever gives one is after something else.
    if filter.is_none() {
        steps.push(Step::new(VERIFIER, &["sentinel-verifier"]));
    }
    steps
}

fn one(boot: (&Kernel, Layout), guest: Result<Option<Guest>>, timeout: Duration) -> Row {
    let (kernel, layout) = boot;
    term::say(format!("rung vm: kernel {}", name(boot)));
    let booted = guest.and_then(|guest| guest.map_or(Ok(Boot::Gone), |guest| guest.run(timeout)));
    match booted {
        Ok(Boot::Gone) => Row::skipped(RUNG, name(boot), vm::gone(kernel), true),
        Ok(Boot::Ran { outcomes, seconds, release }) => {
            let mut tally = Tally::default();
            for outcome in &outcomes {
                tally.add(count(boot, outcome));
            }
            row_of(State::Ran(tally), &format!("{release}{}", layout.suffix()), seconds)
        }
        Err(error) => row_of(State::Broken(format!("{error:#}")), &name(boot), 0.0),
    }
}

fn row_of(state: State, name: &str, seconds: f64) -> Row {
    Row { rung: RUNG, kernel: name.to_owned(), state, seconds }
}

/// What a step of a guest counts for; its output is shown when it failed and nobody has seen it.
fn count(boot: (&Kernel, Layout), outcome: &Outcome) -> Tally {
    let (kernel, name) = (boot.0, name(boot));
    let mut tally = Tally::default();
    outcome.lines.iter().for_each(|line| tally.take(line));
    let what = format!("{} on {name}", outcome.label);
    let mut tally = tally.end(&what, outcome.code == Some(0));
    if tally.failed > 0 && !term::live() {
        outcome.lines.iter().for_each(|line| println!("  {name} | {line}"));
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
