//! The binary: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sentinel::commands::main(std::env::args_os())
}
