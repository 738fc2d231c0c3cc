//! `cargo xtask bench kernel`: what a packet costs in the hooks, above an empty program.

mod cases;
mod connect;
pub mod figure;
pub mod fleet;
pub mod policy;
mod table;

use anyhow::{Context as _, Result};
use sentinel::datapath::{Datapath as _, Kernel, PolicyImage};
use sentinel_common::config::Modes;
use sentinel_common::verdict::Mode;
use std::sync::Arc;

pub use cases::Case;
pub use table::Row;

/// Runs every case `rounds` times, interleaved with the empty program, and returns one row each:
/// the median of its rounds, and of its difference to the empty program in the same round.
///
/// # Errors
/// When the programs do not load here or a test run is refused.
pub fn run(rounds: usize, repeat: u32) -> Result<Vec<Row>> {
    let compiled = sentinel::signature::embedded().context("the built-in signatures")?;
    let mut kernel = Kernel::load()?;
    for program in ["bench_empty", "bench_fresh", "bench_state", "egress", "ingress"] {
        kernel.load_program(program)?;
    }
    kernel.set_signatures(&compiled.signatures)?;
    let policy = Arc::new(PolicyImage::empty(Modes { stratum: Mode::Enforce, ..Modes::OFF }));
    kernel.set_policy(&policy)?;
    let cases = cases::all();
    let mut samples: Vec<Vec<(f64, f64)>> = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (case, samples) in cases.iter().zip(&mut samples) {
            let empty = cases::nanoseconds(&mut kernel, &Case::empty(), repeat)?;
            let taken = cases::nanoseconds(&mut kernel, case, repeat)?;
            samples.push((taken, taken - empty));
        }
    }
    let mut rows: Vec<Row> =
        cases.iter().zip(&samples).map(|(case, samples)| Row::new(case, samples)).collect();
    if let [.., short, _, long] = rows.as_slice() {
        rows.push(Row::per_byte(short, long, 512.0 - 64.0));
    }
    rows.push(connect::row(rounds, repeat / 10)?);
    Ok(rows)
}

/// The rows as an aligned table, with the budget each is held to.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    table::render(rows)
}
