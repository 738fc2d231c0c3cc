//! `sentinel replay`

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use super::{FAILED, fail};
use crate::cli::{EngineKind, Format, ReplayArgs};
use crate::datapath::KernelEngine;
use crate::replay::{self, Engine, HostEngine, MODES, Options, Progress, ReplayError};
use crate::signature;

pub(super) fn replay(arguments: &ReplayArgs) -> ExitCode {
    let compiled = match signature::embedded() {
        Ok(compiled) => compiled,
        Err(error) => return fail(FAILED, &error),
    };
    match arguments.engine {
        EngineKind::Host => {
            let mut engine = HostEngine::new(&compiled.signatures, MODES);
            through(&mut engine, arguments, &compiled)
        }
        EngineKind::Kernel => match KernelEngine::new(&compiled.signatures) {
            Ok(mut engine) => through(&mut engine, arguments, &compiled),
            Err(error) => fail(FAILED, &error),
        },
    }
}

fn through(
    engine: &mut dyn Engine,
    arguments: &ReplayArgs,
    compiled: &signature::Compiled,
) -> ExitCode {
    let options = Options {
        files: &arguments.files,
        format: match arguments.format {
            Format::Json => replay::Format::Json,
            Format::Table => replay::Format::Text,
        },
        signatures: compiled,
        progress: io::stderr().is_terminal().then_some(&show),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = replay::run(&options, engine, &mut out);
    let flushed = out.flush().map_err(ReplayError::Output);
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    match done.and_then(|summary| flushed.map(|()| summary)) {
        Ok(summary) => {
            for problem in &summary.problems {
                eprintln!("sentinel: {problem}");
            }
            ExitCode::from(summary.exit_code())
        }
        Err(ReplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => fail(FAILED, &error),
    }
}

fn show(progress: Progress) {
    let Progress { bytes, size, packets } = progress;
    match bytes.saturating_mul(100).checked_div(size) {
        Some(percent) => eprint!("\r{percent} % ({packets} packets)\x1b[K"),
        None => eprint!("\r{packets} packets\x1b[K"),
    }
}
