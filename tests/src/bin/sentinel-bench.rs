//! `sentinel-bench kernel`: what the hooks cost, interleaved with an empty program in one run; `policy`,
//! `fleet`: what many policies and many nodes cost; `detect`: what the reader catches; `score`: how well mining that cannot be read is told from other
//! traffic.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sentinel_tests::score::{self, Options, Set};
use sentinel_tests::{bench, detect};

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
    /// Many policies: compiled, put in force, changed in one rule, and what a connect() costs then.
    Policy {
        /// Policies, each for five workloads of its own.
        #[arg(long, default_value_t = 1000)]
        policies: u32,
        /// Prefixes in each of them; as many names come on top for every ten.
        #[arg(long, default_value_t = 100)]
        prefixes: u32,
        /// Exit with 1 when a figure is over its budget.
        #[arg(long)]
        check: bool,
    },
    /// One node of a large fleet: what its agent costs, and what all agents ask of the API server.
    Fleet {
        /// Nodes.
        #[arg(long, default_value_t = 5000)]
        nodes: u32,
        /// Pods on each of them.
        #[arg(long, default_value_t = 100)]
        pods: u32,
        /// Namespaces.
        #[arg(long, default_value_t = 500)]
        namespaces: u32,
        /// Services; all pods are behind them.
        #[arg(long, default_value_t = 5000)]
        services: u32,
        /// Policies.
        #[arg(long, default_value_t = 1000)]
        policies: u32,
        /// EndpointSlices that change in a second: 500,000 pods that live six hours each change 46.
        #[arg(long, default_value_t = 50)]
        slice_changes: u32,
        /// Seconds that are measured.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Exit with 1 when a figure is over its budget.
        #[arg(long)]
        check: bool,
    },
    /// The score for encrypted mining, on TLS sessions in compressed time; needs no root.
    Score {
        /// Sessions of each pattern.
        #[arg(long, default_value_t = 12)]
        sessions: u32,
        /// Whose seeds and patterns.
        #[arg(long, value_enum, default_value_t = Set::HeldOut)]
        set: Set,
        /// Seconds of a session that pass in one.
        #[arg(long, default_value_t = 60.0)]
        scale: f64,
        /// How long sessions are watched, in seconds of theirs.
        #[arg(long, default_value_t = 1200.0)]
        seconds: f64,
    },
    /// Recall, false positives and bytes read, as Markdown; nDPI beside it where it is installed.
    Detect {
        /// The folder with the captures (mining, synthetic, evasion, lookalikes, benign).
        #[arg(long, default_value = "../shared/corpus")]
        corpus: PathBuf,
        /// Put the tables between `<!-- bench detect -->` and `<!-- /bench detect -->` in this file.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// Leave nDPI out.
        #[arg(long)]
        without_peer: bool,
        /// Leave the captures out.
        #[arg(long)]
        only_generated: bool,
    },
}

/// The place of the tables in a document.
const MARKER: &str = "bench detect";

fn main() -> Result<ExitCode> {
    match Cli::parse().what {
        What::Kernel { rounds, repeat, check } => kernel(rounds, repeat, check),
        What::Policy { policies, prefixes, check } => {
            let rows = bench::policy::run(policies, prefixes)?;
            print!("{}", bench::figure::table(&rows));
            let over = rows.iter().any(bench::figure::Figure::is_over);
            Ok(if check && over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        What::Fleet {
            nodes,
            pods,
            namespaces,
            services,
            policies,
            slice_changes,
            seconds,
            check,
        } => {
            let size = bench::fleet::Size {
                nodes: nodes.max(1),
                pods,
                namespaces: namespaces.max(1),
                services: services.max(1),
                policies,
                slice_changes,
                seconds: seconds.max(1),
            };
            let rows = bench::fleet::run(size)?;
            print!("{}", bench::figure::table(&rows));
            let over = rows.iter().any(bench::figure::Figure::is_over);
            Ok(if check && over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        What::Score { sessions, set, scale, seconds } => {
            eprintln!("{sessions} sessions of each pattern; about {:.0} s", seconds / scale + 2.0);
            let outcomes = score::run(&Options { set, sessions, scale, seconds })?;
            print!("{}", score::table(&outcomes));
            Ok(ExitCode::SUCCESS)
        }
        What::Detect { corpus, write, without_peer, only_generated } => {
            let text = detect::run(&detect::Options { corpus, without_peer, only_generated })?;
            println!("{text}");
            if let Some(document) = write {
                let written = detect::write_between_markers(&document, MARKER, &text)?;
                let name = document.display();
                if written {
                    eprintln!("{name} has the tables");
                } else {
                    eprintln!(
                        "{name} has no lines <!-- {MARKER} --> and <!-- /{MARKER} -->: nothing written"
                    );
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn kernel(rounds: usize, repeat: u32, check: bool) -> Result<ExitCode> {
    eprintln!("{rounds} rounds of {repeat} runs a case; about {} s", rounds / 3 + 1);
    let rows = bench::run(rounds, repeat)?;
    print!("{}", bench::table(&rows));
    let over = check && rows.iter().any(|row| !row.within());
    Ok(if over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
