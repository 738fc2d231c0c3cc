//! `cargo xtask VERB`: everything that a developer or CI does with this workspace.
//!
//! | room | what it is for |
//! |---|---|
//! | `setup` | finds the BPF toolchain and the test tools, installs what is missing |
//! | `run`, `bench` | build a binary, then become it |
//! | `fuzz` | libFuzzer over the targets of `tests/fuzz` |
//! | `ladder` | the test rungs, cheapest first, and their summary |
//! | `vm` | kernels from Debian's mirror, an initramfs, QEMU |
//! | `verifier` | what the kernels' verifiers said, compared with the committed snapshot |
//! | `deploy` | the image, the manifests, the Debian package |
//! | `lint`, `tidy` | format, clippy, licences, and the rules of the house |

mod bench;
mod build;
mod cli;
mod deploy;
mod fuzz;
mod ladder;
mod lint;
mod process;
mod project;
mod root;
mod run;
mod setup;
mod term;
mod tidy;
mod verifier;
mod vm;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Verb};

/// Wrong usage, as in `sysexits.h`; clap would say 2, which sentinel keeps for "a check found something".
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { BAD_USAGE } else { 0 };
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    term::set_verbose(cli.verbose);
    let done = match cli.verb {
        Verb::Setup(args) => setup::verb(&args),
        Verb::Run(args) => run::verb(&args),
        Verb::Test(args) => ladder::verb(&args),
        Verb::Vm(args) => vm::verb(&args),
        Verb::Lint(args) => lint::verb(&args),
        Verb::Bench(args) => bench::verb(&args),
        Verb::Fuzz(args) => fuzz::verb(&args),
        Verb::Verifier(args) => verifier::verb(&args),
        Verb::Image(args) => deploy::image(&args),
        Verb::Manifests(args) => deploy::manifests(&args),
        Verb::Deb => deploy::deb(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            term::error(&error);
            ExitCode::FAILURE
        }
    }
}
