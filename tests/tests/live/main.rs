//! The agent on a live kernel: own cgroup, own network namespaces, a veth between them, and an
//! independent packet capture on the peer's side that says what got out.

mod allowlist;
mod bypass;
mod catch;
mod feed;
mod honest;
mod lifecycle;
mod loss;
mod names;
mod older;
mod stage;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(catch::trials());
    trials.extend(honest::trials());
    trials.extend(allowlist::trials());
    trials.extend(bypass::trials());
    trials.extend(feed::trials());
    trials.extend(lifecycle::trials());
    trials.extend(loss::trials());
    trials.extend(names::trials());
    trials.extend(older::trials());
    // One agent and one laboratory serve most tests; both must be gone before the process ends.
    let conclusion = libtest_mimic::run(&arguments, trials);
    stage::strike();
    bypass::strike();
    conclusion.exit_code()
}

/// A test that is skipped by name without root.
fn trial(name: impl Into<String>, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let root = rustix::process::geteuid().is_root();
    let name: String = name.into();
    let name = if root { name } else { format!("{name} (needs root)") };
    let run = move || test().map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(name, run).with_ignored_flag(!root)
}
