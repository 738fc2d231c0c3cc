//! `sentinel-bench kernel`: what the hooks cost, interleaved with an empty program in one run.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sentinel_tests::bench;

/// Benchmarks of sentinel's kernel programs. Figures are medians of interleaved rounds; compare
/// ratios and differences within one run, never nanoseconds of two runs.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A packet through each hook, by BPF_PROG_TEST_RUN.
    Kernel {
        /// Rounds; each runs every case once, beside the empty program.
        #[arg(long, default_value_t = 31)]
        rounds: usize,
        /// Runs in one round.
        #[arg(long, default_value_t = 200_000)]
        repeat: u32,
        /// Exit with 1 when a case is over its budget.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> Result<ExitCode> {
    let What::Kernel { rounds, repeat, check } = Cli::parse().what;
    eprintln!("{rounds} rounds of {repeat} runs a case; about {} s", rounds / 3 + 1);
    let rows = bench::run(rounds, repeat)?;
    print!("{}", bench::table(&rows));
    let over = check && rows.iter().any(|row| !row.within());
    Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
