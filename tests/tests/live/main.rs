//! The agent on a live kernel: own cgroup, own network namespaces, a veth between them, and an
//! independent packet capture on the peer's side that says what got out.

mod allowlist;
mod attribution;
mod bypass;
mod catch;
mod feed;
mod honest;
mod kubernetes;
mod layouts;
mod learn;
mod lifecycle;
mod lookups;
mod loss;
mod mining_modes;
mod names;
mod node;
mod older;
mod operator;
mod packaged;
mod pinned;
mod pods;
mod reloads;
mod server_names;
mod stage;
mod suspicion;
#[path = "../trial.rs"]
mod trial;
mod vigil;
mod workloads;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use sentinel_tests::agent::LAYOUT;
use trial::trial;

/// What runs in a guest: an emulated machine takes half a minute to start an agent, and what differs
/// there is the kernel, not the reader. All of them run on the machine itself.
const IN_GUESTS: [&str; 24] = [
    "allowlist/enforce",
    "attribution/programs",
    "bypass/",
    "catch/loopback_too",
    "catch/outside",
    "catch/stratum-v1/",
    "catch/the_journal",
    "honest/",
    "learn/answers",
    "lifecycle/from_audit_to_enforce",
    "lifecycle/without_SYS_RESOURCE",
    "loss/",
    "mining_modes/a_stricter",
    "names/block/dns/bytes",
    "older/stratum-v1/the_next_share",
    "reloads/",
    "pinned/unpin",
    "server_names/enforced",
    "vigil/detached",
    "vigil/what_is_written",
    "workloads/a_new_one",
    "workloads/an_unknown_one",
    "workloads/callers",
    "workloads/each_has",
];

/// What runs in a guest whose cgroups are laid out otherwise: that whose packet it is is known there, and
/// what is about the layout. Its last test leaves a kernel without the fix of 5.15 without an answer to that.
const IN_LAYOUTS: [&str; 4] =
    ["allowlist/enforce", "catch/the_journal", "layouts/", "workloads/each_has"];

/// Of these, what says nothing of the kernel: which of a wire's workloads count is decided by the host.
const NOT_IN_GUESTS: [&str; 1] = ["bypass/wire/by_the_policies"];

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
    trials.extend(attribution::trials());
    trials.extend(bypass::trials());
    trials.extend(feed::trials());
    trials.extend(kubernetes::trials());
    trials.extend(learn::trials());
    trials.extend(lifecycle::trials());
    trials.extend(lookups::trials());
    trials.extend(loss::trials());
    trials.extend(mining_modes::trials());
    trials.extend(names::trials());
    trials.extend(node::trials());
    trials.extend(older::trials());
    trials.extend(operator::trials());
    trials.extend(packaged::trials());
    trials.extend(pinned::trials());
    trials.extend(pods::trials());
    trials.extend(reloads::trials());
    trials.extend(server_names::trials());
    trials.extend(suspicion::trials());
    trials.extend(vigil::trials());
    trials.extend(workloads::trials());
    trials.extend(layouts::trials());
    if std::env::var_os("SENTINEL_VM").is_some() {
        let all = trials.len();
        let layout = std::env::var(LAYOUT).unwrap_or_default();
        let in_guests = match layout.as_str() {
            "" => &IN_GUESTS[..],
            // Without cgroup2 no agent runs.
            "v1" => &["layouts/"],
            "systemd" => &["packaged/"],
            _ => &IN_LAYOUTS,
        };
        let among = |parts: &[&str], name: &str| parts.iter().any(|part| name.starts_with(part));
        trials
            .retain(|trial| among(in_guests, trial.name()) && !among(&NOT_IN_GUESTS, trial.name()));
        println!(
            "in a guest {} of {all} tests run, those that a kernel may answer otherwise",
            trials.len()
        );
    }
    // One agent and one laboratory serve most tests; both must be gone before the process ends.
    let conclusion = libtest_mimic::run(&arguments, trials);
    stage::strike();
    bypass::strike();
    conclusion.exit_code()
}
