//! `sentinel policy learn`: looks at open connections for a while, asks the agent what it was told, and
//! writes a policy for each workload.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::iter::repeat;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Instant, SystemTime};

use sentinel_common::dns::PORT as DNS;
use sentinel_common::policy::{ICMP, ICMPV6, SCTP, TCP, UDP};
use time::OffsetDateTime;

use super::whose::Whose;
use super::{Refusal, print};
use crate::audit::{Cut, Report};
use crate::cli::LearnArgs;
use crate::engine::rfc3339;
use crate::lookups::Known;
use crate::policy::{Source, compile};
use crate::profile::{Destination, Origin, Profile, Workload, policies};
use crate::status;
use crate::watch::clock;
use crate::watch::holders;
use crate::watch::inventory::{self, Open, Protocols};
use crate::watch::scope::Scope;

pub(super) fn learn(arguments: &LearnArgs) -> Result<ExitCode, Refusal> {
    let wanted: Vec<Whose> =
        arguments.workloads.iter().map(|text| Whose::parse(text)).collect::<Result<_, _>>()?;
    if wanted.iter().any(|whose| matches!(whose, Whose::Pod(_))) {
        let message = "pods are not known by name here: name the cgroup, /path";
        return Err(Refusal::usage(message));
    }
    if !(1..=60).contains(&arguments.interval.as_secs()) {
        return Err(Refusal::usage("--interval is from 1s to 60s"));
    }
    if let Some(path) = arguments.out.as_deref().filter(|path| path.exists()) {
        return Err(Refusal::usage(format!(
            "{} is there already: name another, and compare them with `sentinel policy diff`",
            path.display()
        )));
    }
    let mut profile = Profile::default();
    let mut origin = Origin::default();
    look(arguments, &mut profile, &mut origin);
    ask(arguments, &mut profile, &mut origin)?;
    if profile.in_root > 0 {
        origin.sentences.push(format!(
            "{} connections of the root cgroup are not here: a policy on it is on everything.",
            profile.in_root
        ));
    }
    profile.retain(|workload| wanted.is_empty() || wanted.iter().any(|it| is_of(it, workload)));
    if profile.is_empty() {
        let message = "nothing was seen: look longer with --for, or name another --workload; \
                       other users' connections need root";
        return Err(Refusal::failed(message));
    }
    origin.sentences.push(
        "Destinations that were not seen are not here: keep it under audit until `sentinel policy diff` is clean."
            .to_owned(),
    );
    let text = policies(&profile, &origin, arguments.merge);
    check(&text)?;
    let workloads = profile.workloads().count();
    let destinations: usize = profile.workloads().map(|(_, seen)| seen.len()).sum();
    eprintln!("sentinel: {destinations} destinations of {workloads} workloads");
    match &arguments.out {
        None => Ok(print(&text)),
        Some(path) => write(path, &text),
    }
}

fn is_of(whose: &Whose, workload: &Workload) -> bool {
    match (whose, workload) {
        (Whose::Unit(unit), Workload::Unit(name)) => unit == name,
        (Whose::Cgroup(folder), Workload::Cgroup(path)) => {
            let folder = folder.trim_end_matches('/');
            path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        (Whose::Cgroup(path), Workload::Unit(name)) => path.rsplit('/').next() == Some(name),
        _ => false,
    }
}

fn now() -> String {
    let now = clock::now();
    rfc3339(i128::from(now.now) + now.monotonic_to_unix)
}

/// Looks at what is open, again and again.
fn look(arguments: &LearnArgs, profile: &mut Profile, origin: &mut Origin) {
    if arguments.time.is_zero() {
        return;
    }
    let started = Instant::now();
    let begun = now();
    // The folder of the whole host is no part of any tree: everything is within.
    let mut scope = Scope::new(Path::new("/"));
    let (mut looks, mut failed, mut left_out) = (0_u64, 0, 0);
    loop {
        let listing = inventory::connections(Protocols::All);
        failed = failed.max(listing.failed.len());
        left_out += listing.left_out;
        looks += 1;
        take(arguments, profile, &mut scope, listing.open);
        let Some(rest) = arguments.time.checked_sub(started.elapsed()) else { break };
        thread::sleep(arguments.interval.min(rest));
    }
    origin.sentences.push(format!(
        "Learned by looking at open connections {looks} times, every {} s, from {begun} to {}.",
        arguments.interval.as_secs(),
        now()
    ));
    if failed > 0 {
        origin.sentences.push(format!(
            "{failed} network namespaces could not be looked into (that needs root)."
        ));
    }
    if left_out > 0 || profile.left_out > 0 {
        let count = left_out as u64 + profile.left_out;
        origin.sentences.push(format!("{count} connections found no room and are not here."));
    }
}

fn take(arguments: &LearnArgs, profile: &mut Profile, scope: &mut Scope, open: Vec<Open>) {
    let outbound: Vec<Open> = open.into_iter().filter(|open| open.outbound).collect();
    // Older kernels do not tell a socket's cgroup: then that of who holds it is taken.
    let nameless = outbound.iter().filter(|open| open.cgroup == 0 && open.inode != 0);
    let holders = holders::find(&nameless.map(|open| open.inode).collect());
    let time = now();
    let (mut asked, mut new) = (Vec::new(), Vec::new());
    for open in outbound {
        let holder = holders.get(&open.inode).copied();
        let path = scope.maker(&open, holder).and_then(|maker| maker.cgroup);
        let (Some(path), Some(remote)) = (path, open.socket.remote) else { continue };
        let to = Destination {
            address: remote.ip().to_canonical(),
            protocol: open.socket.protocol,
            port: remote.port(),
        };
        if profile.connection(&path, to, open.socket.cookie, &time) {
            new.push((open.cgroup, path.clone(), to));
        }
        if to.protocol == TCP && open.socket.cookie != 0 {
            asked.push((open.socket.cookie, path, to));
        }
    }
    scope.forget_processes();
    name(arguments, profile, &asked);
    explain(arguments, profile, &new, &time);
}

/// By which names the workloads had asked for where their connections lead, as a running agent saw it, and
/// whom they asked: that is a destination too, of sockets that are gone at once.
fn explain(
    arguments: &LearnArgs,
    profile: &mut Profile,
    new: &[(u64, String, Destination)],
    time: &str,
) {
    let question: Vec<_> = new.iter().map(|(cgroup, _, to)| (*cgroup, to.address)).collect();
    let answer = serde_json::to_string(&question).map_err(drop).and_then(|question| {
        status::ask(&arguments.state_dir, ("POST /lookups", &question)).map_err(drop)
    });
    let Known { names, servers } = answer.unwrap_or_default();
    let none = Vec::new();
    for ((_, path, to), names) in new.iter().zip(names.iter().chain(repeat(&none))) {
        profile.explain(path, *to, 1, names);
    }
    for (cgroup, servers) in servers {
        let Some((_, path, _)) = new.iter().find(|(of, _, _)| *of == cgroup) else { continue };
        for (address, protocol, _) in servers {
            let to = Destination { address, protocol, port: DNS };
            profile.take(path, to, 0, (time, time));
            profile.explain(path, to, 0, &none);
        }
    }
}

/// Whom the connections' TLS handshakes asked for, as a running agent saw them.
fn name(arguments: &LearnArgs, profile: &mut Profile, asked: &[(u64, String, Destination)]) {
    let cookies: Vec<u64> = asked.iter().map(|(cookie, _, _)| *cookie).collect();
    let Ok(question) = serde_json::to_string(&cookies) else { return };
    let answer = status::ask(&arguments.state_dir, ("POST /server-names", &question));
    let Ok(names): Result<std::collections::BTreeMap<u64, String>, _> = answer else { return };
    for (cookie, path, to) in asked {
        if let Some(name) = names.get(cookie) {
            profile.call(path, *to, name);
        }
    }
}

/// What a running agent was told by policies under audit.
fn ask(arguments: &LearnArgs, profile: &mut Profile, origin: &mut Origin) -> Result<(), Refusal> {
    let report: Report = match status::ask(&arguments.state_dir, ("GET /audit", "")) {
        Ok(report) => report,
        Err(error) if arguments.time.is_zero() => return Err(Refusal::failed(error)),
        Err(_) => {
            origin.sentences.push("No agent was asked: none answers here.".to_owned());
            return Ok(());
        }
    };
    let since = arguments.since.map(|since| {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        rfc3339(unix.saturating_sub(since).as_nanos() as i128)
    });
    let cuts = report.policies.iter().flat_map(|of| &of.cuts);
    let cuts = cuts.filter(|cut| since.as_ref().is_none_or(|since| cut.last >= *since));
    let (mut taken, mut nameless) = (0, 0);
    for cut in cuts.filter(|cut| cut.direction == "egress") {
        let Some(to) = destination(cut) else { continue };
        if !cut.workload.starts_with('/') {
            nameless += 1;
            continue;
        }
        taken += 1;
        profile.take(&cut.workload, to, cut.hits, (&cut.first, &cut.last));
        profile.explain(&cut.workload, to, cut.hits.saturating_sub(cut.unnamed), &cut.names);
        if cut.unnamed > 0 {
            profile.explain(&cut.workload, to, cut.unnamed, &BTreeSet::new());
        }
    }
    let from = since.unwrap_or(report.since);
    origin.sentences.push(format!(
        "{taken} destinations are from what the agent was told by policies under audit since {from}."
    ));
    if nameless > 0 {
        origin.sentences.push(format!(
            "{nameless} destinations of cgroups that are gone and nobody can name are not here."
        ));
    }
    Ok(())
}

fn destination(cut: &Cut) -> Option<Destination> {
    let protocol = match cut.protocol.as_str() {
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" => ICMP,
        "icmpv6" => ICMPV6,
        "sctp" => SCTP,
        number => number.parse().ok()?,
    };
    Some(Destination { address: cut.address, protocol, port: cut.port })
}

/// Nothing is written that would not be taken.
fn check(text: &str) -> Result<(), Refusal> {
    let source = Source { name: "learned".to_owned(), text: text.to_owned() };
    let now = OffsetDateTime::from(SystemTime::now());
    compile(&[source], now).map(drop).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Refusal::failed(format!(
            "what was learned is no valid policy; try another --merge: {}",
            lines.join("; ")
        ))
    })
}

fn write(path: &Path, text: &str) -> Result<ExitCode, Refusal> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Refusal::failed(format!("cannot write {}: {error}", path.display())))
}
