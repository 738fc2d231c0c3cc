//! The show for a first-time user: a miner is cut, an honest client is not.

use std::process::ExitCode;

use clap::Parser;
use sentinel_tests::demo;

fn main() -> ExitCode {
    match demo::run(&demo::Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sentinel-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
