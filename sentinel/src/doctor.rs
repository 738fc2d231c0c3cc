//! `sentinel doctor`: what this host offers, what is missing, and what that costs.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::datapath::{self, pin, platform};
use crate::watch::procfs;

/// What it costs that containers are in v1 hierarchies alone.
pub const UNBOUND: &str = "events name them, but no policy on pods or containers is on them, for the kernel knows a socket by its cgroup2; \
                           runc has them in both from 1.1 on, and so has a host with cgroup2 alone";

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should be.
    Good,
    /// Works with less.
    Reduced,
    /// `sentinel run` refuses.
    Missing,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was found.
    pub found: String,
    /// What that costs, or the mend; empty when there is nothing to say.
    pub note: String,
}

fn finding(
    check: &'static str,
    standing: Standing,
    found: impl Into<String>,
    note: &str,
) -> Finding {
    Finding { check, standing, found: found.into(), note: note.to_owned() }
}

/// Looks at this host; attaches nothing.
#[must_use]
pub fn examine() -> Vec<Finding> {
    vec![
        kernel(),
        privileges(),
        types(),
        hierarchy(),
        controllers(),
        wires(),
        sockets(),
        probes(),
        bpffs(),
        destroy(),
    ]
}

fn kernel() -> Finding {
    let release = platform::release_text();
    let (standing, note) = match platform::kernel_release() {
        Some(release) if release >= (5, 10) => (Standing::Good, ""),
        _ => (
            Standing::Missing,
            "5.10 or newer is needed: cgroup links, ring buffer, global functions",
        ),
    };
    finding("kernel", standing, release, note)
}

fn privileges() -> Finding {
    let missing = platform::missing_capabilities();
    if missing.is_empty() {
        return finding("privileges", Standing::Good, "enough to load and attach programs", "");
    }
    let found = format!("without {}", missing.join(", "));
    finding("privileges", Standing::Missing, found, "run as root, or grant these capabilities")
}

fn types() -> Finding {
    if platform::has_btf() {
        return finding("types (BTF)", Standing::Good, "/sys/kernel/btf/vmlinux", "");
    }
    finding(
        "types (BTF)",
        Standing::Missing,
        "none",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    )
}

fn hierarchy() -> Finding {
    match platform::cgroups() {
        Ok(cgroups) => finding("cgroup2", Standing::Good, cgroups.root.display().to_string(), ""),
        Err(error) => finding("cgroup2", Standing::Missing, "not mounted", &error.to_string()),
    }
}

/// See [`platform::displacing_tags`].
fn controllers() -> Finding {
    let v1 = platform::v1_mounts();
    if v1.is_empty() {
        return finding("hierarchies", Standing::Good, "pure cgroup2", "");
    }
    if platform::cgroups().is_err() {
        let found = format!("v1 only: {} hierarchies", v1.len());
        let note = "sentinel attaches to cgroup2, which can be mounted beside them";
        return finding("hierarchies", Standing::Reduced, found, note);
    }
    let found = format!("hybrid: {} v1 hierarchies beside cgroup2", v1.len());
    let tags = platform::displacing_tags();
    if tags.is_empty() {
        let elsewhere = procfs::containers_of_v1();
        if elsewhere == 0 {
            return finding("hierarchies", Standing::Good, found, "");
        }
        let note = format!("{elsewhere} containers are in v1 hierarchies alone: {UNBOUND}");
        return finding("hierarchies", Standing::Reduced, found, &note);
    }
    let note = format!(
        "with {} mounted this kernel takes sockets for the root cgroup's as soon as a group is tagged: \
         `--mode enforce` is refused, but with `--root-fallback accept`",
        tags.join(" and ")
    );
    finding("hierarchies", Standing::Reduced, found, &note)
}

/// Where frames are judged that pass the hooks on sockets by: `sentinel status` says of which workloads.
fn wires() -> Finding {
    let own = std::fs::read_link("/proc/self/ns/net");
    let hosts = std::fs::read_link("/proc/1/ns/net");
    if let (Ok(own), Ok(hosts)) = (own, hosts)
        && own != hosts
    {
        let found = "this is not the host's network namespace";
        let note = "packet sockets, AF_XDP and forwarded packets of workloads are not judged: run in the host's (hostNetwork)";
        return finding("wires", Standing::Reduced, found, note);
    }
    if platform::has_tcx() {
        return finding("wires", Standing::Good, "judged at the host's end, by links (TCX)", "");
    }
    let note = "below 6.6 an agent that is killed leaves the filters behind, which go on judging; the next takes them away";
    finding("wires", Standing::Reduced, "judged at the host's end, by filters (clsact)", note)
}

/// What stands in where a workload has no wire: in the host's network namespace. The kernel tells no
/// feature bit, so the program is loaded and let go of.
fn sockets() -> Finding {
    let Some(gap) = datapath::sockets_gap() else {
        return finding("sockets", Standing::Good, "of any family can be refused (lsm_cgroup)", "");
    };
    let note = format!(
        "under rawSockets: refuse, workloads in the host's network namespace still make packet sockets, AF_XDP and AF_VSOCK: {gap}"
    );
    finding("sockets", Standing::Reduced, "only those of IP can be refused", &note)
}

fn probes() -> Finding {
    if platform::has_kprobes() {
        return finding("kprobes", Standing::Good, "tcp_connect, inet_csk_listen_start", "");
    }
    let note = "the tracepoint inet_sock_set_state stands in: connections and listeners are told of \
                a moment later, at their state change";
    finding("kprobes", Standing::Reduced, "compiled out", note)
}

fn bpffs() -> Finding {
    let mounted = std::fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|text| text.lines().any(|line| line.contains(" - bpf ")));
    if mounted {
        let pinned = pin::is_used(Path::new(pin::FOLDER));
        let found = if pinned { "mounted, sentinel is pinned there" } else { "mounted" };
        let note =
            "hooks and maps can be pinned (--pin); probes and what they tell leave with the agent";
        return finding("bpffs", Standing::Good, found, note);
    }
    let note = "nothing can be pinned: all that is enforced ends with the agent; `mount -t bpf bpf /sys/fs/bpf`";
    finding("bpffs", Standing::Reduced, "not mounted", note)
}

/// The kernel tells no feature bit; a configuration file is the only word short of trying.
fn destroy() -> Finding {
    let release = platform::release_text();
    let config = std::fs::read_to_string(Path::new("/boot").join(format!("config-{release}")));
    match config {
        Ok(config) if !config.contains("CONFIG_INET_DIAG_DESTROY=y") => finding(
            "SOCK_DESTROY",
            Standing::Reduced,
            "compiled out",
            "a cut connection hangs until its timeout instead of failing at once",
        ),
        Ok(_) => finding("SOCK_DESTROY", Standing::Good, "compiled in", ""),
        Err(_) => {
            finding("SOCK_DESTROY", Standing::Good, "not told by /boot; tried at the first cut", "")
        }
    }
}

/// Prints the report; exit code 1 when `sentinel run` would refuse.
#[must_use]
pub fn run(json: bool) -> ExitCode {
    let findings = examine();
    if json {
        match serde_json::to_string_pretty(&findings) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("sentinel: the report could not be written: {error}"),
        }
    } else {
        print!("{}", table(&findings));
    }
    let refused = findings.iter().any(|finding| finding.standing == Standing::Missing);
    if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn table(findings: &[Finding]) -> String {
    let check = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let word = match finding.standing {
            Standing::Good => "ok",
            Standing::Reduced => "less",
            Standing::Missing => "MISSING",
        };
        text.push_str(&format!("{word:8}{:check$}  {}\n", finding.check, finding.found));
        if !finding.note.is_empty() {
            text.push_str(&format!("{:8}{:check$}  -> {}\n", "", "", finding.note));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shortcoming_has_a_note() {
        for finding in examine() {
            assert!(
                finding.standing == Standing::Good || !finding.note.is_empty(),
                "{} has no mend",
                finding.check
            );
        }
    }

    #[test]
    fn the_table_aligns() {
        let findings = [
            finding("a", Standing::Good, "x", ""),
            finding("longer", Standing::Missing, "y", "mend it"),
        ];
        let expected = "ok      a       x\nMISSING longer  y\n                -> mend it\n";
        assert_eq!(table(&findings), expected);
    }
}
