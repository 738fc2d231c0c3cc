//! The command line: what can be asked for, and the help that a newcomer reads.

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verifier;
use crate::vm::{self, Layout};

/// Everything you do with this workspace, one verb each.
///
/// Start with `cargo xtask run --demo` to see a miner caught, or `cargo xtask test` to prove the
/// whole thing. Both install what is missing first and say so in a line.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Show the output of the tools as it comes, also when it does not go to a terminal.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Setup(Setup),
    Run(Run),
    Test(Test),
    Vm(Vm),
    Lint(Lint),
    Bench(Bench),
    Fuzz(Fuzz),
    Verifier(Verifier),
    Image(Image),
    Manifests(Manifests),
    /// Build the Debian package into target/xtask/deb.
    Deb,
}

/// Find or install what building and testing need; says nothing when all is there.
///
/// `run` and `test` do this on their own, so you need it only to prepare a machine ahead of time.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// What the machine shall be able to do.
    #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
    pub(crate) purpose: Purpose,
}

/// What a machine is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Build sentinel and run it.
    Run,
    /// Also run every test: QEMU, busybox and the kernels of the matrix.
    Test,
}

/// Build sentinel and run it on this kernel (as root), or show the demo.
///
/// Ctrl-C stops it; nothing stays behind in the kernel.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Show a catch: a pool, an honest client and a miner-like client in namespaces of their own.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Arguments for `sentinel run` (or the demo), after `--`; without `--mode`, `--mode enforce` is added.
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
}

/// Run the tests, cheapest rung first: host, test-run, live, deploy, fuzz, vm.
///
/// A rung that cannot run here is skipped by name. With CI set in the environment, or as root, a
/// skipped rung is a failure.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only this rung (may be given more than once).
    #[arg(long = "rung", value_enum, value_name = "RUNG")]
    pub(crate) rungs: Vec<Rung>,
    /// Only this kernel on the vm rung (may be given more than once).
    #[arg(long = "kernel", value_name = "NAME", value_parser = vm::names())]
    pub(crate) kernels: Vec<String>,
    /// Go on after a rung failed.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// End a guest that has not finished after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    pub(crate) timeout: u64,
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
}

/// One rung of the test ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Rung {
    /// Unit and integration tests without root and without the kernel.
    Host,
    /// The real programs, called by the kernel with made-up packets (BPF_PROG_TEST_RUN).
    TestRun,
    /// The real programs, attached to a cgroup, with namespaces and a wire (veth).
    Live,
    /// What is shipped: chart, manifests, image in a containerd, package, programs for aarch64.
    Deploy,
    /// Twenty seconds of libFuzzer for each target (`fuzz` takes longer).
    Fuzz,
    /// Test-run and live on every kernel of the matrix, in QEMU, with the verifier's cost, and a part of
    /// live where cgroups are laid out otherwise.
    Vm,
}

/// Boot a kernel of the matrix with our binaries in it and run a command there.
///
/// Without --kernel every kernel of the matrix is booted, one after another; without a command the
/// tests run. The kernels are Debian's, kept in .cache/kernels; remove that folder to get newer ones.
#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// Only this kernel (may be given more than once).
    #[arg(long = "kernel", value_name = "NAME", value_parser = vm::names())]
    pub(crate) kernels: Vec<String>,
    /// Lay the guest's cgroups out like this [default: pure; with neither a command nor a shell, all]
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(crate) layout: Option<Layout>,
    /// List the kernels of the matrix and which of them are on this machine.
    #[arg(long)]
    pub(crate) list: bool,
    /// Give me a shell in the guest (one --kernel, else the newest); `exit` powers it off.
    #[arg(long, conflicts_with = "command")]
    pub(crate) shell: bool,
    /// Do not build and include our binaries: only busybox and ip.
    #[arg(long)]
    pub(crate) bare: bool,
    /// End a guest that has not finished after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) timeout: u64,
    /// The command, after `--`.
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

/// Check format, clippy (host and BPF), licences and the rules of the house.
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Let rustfmt change the files instead of complaining.
    #[arg(long)]
    pub(crate) fix: bool,
}

/// Measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) what: BenchKind,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchKind {
    /// How well mining behind TLS is told from other traffic (1 minute).
    Score {
        /// Arguments for the bench binary.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What the programs cost per packet and per connect() in this kernel (needs root).
    Kernel {
        /// Arguments for the bench binary.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What many policies cost: to compile, to switch, and each connect() (needs root).
    Policy {
        /// Arguments for the bench binary.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// One node of 5,000: what its agent costs, and what all of them ask of the API server (needs root; 4 min).
    Fleet {
        /// Arguments for the bench binary, such as --nodes 1000.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What is caught, missed and accused wrongly: over captures, made and given, with nDPI beside.
    ///
    /// The tables go into README.md as well, between its two markers.
    Detect {
        /// Arguments for the bench binary, such as --corpus FOLDER.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// Look for bytes that break a property (libFuzzer, on the stable toolchain).
///
/// The properties and their committed corpora are in tests/fuzz, where a plain `cargo test` runs them
/// too. An input that breaks one stays in target/xtask/fuzz-crashes.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Only this target.
    pub(crate) target: Option<String>,
    /// How long each target is fuzzed.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Then put the smallest inputs that reach everything reached into the committed corpus.
    #[arg(long)]
    pub(crate) bless: bool,
}

/// Count the instructions that the verifier walks, per program and kernel, and compare.
///
/// A change over 10 % against tests/snapshots/verifier.tsv fails, so that it is looked at.
#[derive(Debug, Args)]
pub(crate) struct Verifier {
    /// Write what was measured into the snapshot.
    #[arg(long)]
    pub(crate) bless: bool,
    /// Only this kernel of the matrix, or this machine's (may be given more than once).
    #[arg(long = "kernel", value_name = "NAME", value_parser = kernels_and_host())]
    pub(crate) kernels: Vec<String>,
}

/// Build the container image: one static executable (buildah, offline; about 5 min the first time).
///
/// It is left as an OCI archive in target/xtask/image, and its name and digest are printed.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// Build the image twice and fail if the two differ.
    #[arg(long)]
    pub(crate) check: bool,
    /// Then run it in a containerd of its own, with the mounts and capabilities of the DaemonSet, and
    /// see a miner cut; then without each capability in turn (needs root).
    #[arg(long = "try")]
    pub(crate) try_it: bool,
}

/// Render the chart into deploy/kubernetes.
#[derive(Debug, Args)]
pub(crate) struct Manifests {
    /// Only say whether deploy/kubernetes is what the chart renders.
    #[arg(long)]
    pub(crate) check: bool,
}

fn kernels_and_host() -> PossibleValuesParser {
    vm::names().into_iter().chain([verifier::HOST]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_after_the_dashes_are_handed_on() {
        let cli = Cli::try_parse_from(["xtask", "run", "--demo", "--", "--mode", "audit"]).unwrap();
        let Verb::Run(run) = cli.verb else { panic!("not run") };
        assert!(run.demo);
        assert_eq!(run.args, ["--mode", "audit"]);
    }
}
