//! One party of the network laboratory, as a process of its own.

use std::process::ExitCode;

use clap::Parser;
use sentinel_tests::cli::Lab;

fn main() -> ExitCode {
    match Lab::parse().act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sentinel-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
