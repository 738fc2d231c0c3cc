//! The agent on a live kernel: own cgroup, own network namespaces, a veth between them, and an
//! independent packet capture on the peer's side that says what got out.

mod allowlist;
mod catch;
mod feed;
mod honest;
mod learn;
mod lifecycle;
mod loss;
mod names;
mod older;
mod operator;
mod stage;
mod suspicion;
#[path = "../trial.rs"]
mod trial;
mod workloads;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use trial::trial;

fn main() -> ExitCode {
    if let Some(forged) = learn::forge() {
        return match forged {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(catch::trials());
    trials.extend(honest::trials());
    trials.extend(allowlist::trials());
    trials.extend(feed::trials());
    trials.extend(learn::trials());
    trials.extend(lifecycle::trials());
    trials.extend(loss::trials());
    trials.extend(names::trials());
    trials.extend(older::trials());
    trials.extend(operator::trials());
    trials.extend(suspicion::trials());
    trials.extend(workloads::trials());
    // One agent and one laboratory serve most tests; both must be gone before the process ends.
    let conclusion = libtest_mimic::run(&arguments, trials);
    stage::strike();
    conclusion.exit_code()
}
