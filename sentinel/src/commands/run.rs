//! `sentinel run`

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{FAILED, USAGE, fail};
use crate::cli::RunArgs;
use crate::config::{Config, ConfigError, ConfigFile, LogLevel};
use crate::daemon;
use crate::datapath::pin;

pub(super) fn run(arguments: &RunArgs) -> ExitCode {
    let read = || read(arguments);
    let config = match read() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    log_to_stderr(config.log_level);
    let pin = config.pin.clone();
    match daemon::run(config, read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(folder) = pin.filter(|folder| pin::is_used(folder)) {
                let folder = folder.display();
                eprintln!(
                    "sentinel: what is pinned in {folder} is in force: `sentinel unpin {folder}` ends it"
                );
            }
            fail(if error.is_usage() { USAGE } else { FAILED }, &error)
        }
    }
}

fn read(arguments: &RunArgs) -> Result<Config, ConfigError> {
    let file = arguments.config.as_deref().map(ConfigFile::read).transpose()?;
    let mut config = Config::new(arguments.typed(), file.unwrap_or_default());
    config.file = arguments.config.clone();
    Ok(config)
}

/// The agent's own messages, and those of the kernel programs, which come through `log`.
fn log_to_stderr(level: LogLevel) {
    let filter = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // What fails there is said in the agent's own words, once.
    let kubernetes = if filter > LevelFilter::INFO { filter } else { LevelFilter::OFF };
    let filter = Targets::new().with_default(filter).with_target("kube_client", kubernetes);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_colour);
    let subscriber = tracing_subscriber::registry().with(lines).with(filter);
    // Both fail only where a logger is set already, and then that one is used.
    tracing::subscriber::set_global_default(subscriber).ok();
    tracing_log::LogTracer::init().ok();
}
