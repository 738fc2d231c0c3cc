//! What was already open at the start: listed, attributed, judged, and taken up by the kernel's
//! reader. A thread of its own: the programs enforce from the first moment, and this follows.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread;

use sentinel_common::flow::{Flow, Owner};
use sentinel_common::limits::COMM;
use sentinel_common::policy::TCP;
use sentinel_common::verdict::Verdict;
use tokio::sync::mpsc;

use crate::api::{AtStart, Shared};
use crate::attribution::Process;
use crate::engine::{Found, Input, Survey};
use crate::event::socket::Inspection;
use crate::policy::Judge;
use crate::respond::{Resume, resume};
use crate::watch::ages::proven;
use crate::watch::holders::Holder;
use crate::watch::inventory::{self, Listing, Open, Protocols};
use crate::watch::roster::{Entry, Roster};
use crate::watch::scope::Scope;

/// Lists what is open, and starts the rest; its lines go the way of all inputs, its sums to the status
/// and to standard error. What is opened once this has returned is no older than the agent.
pub(super) fn start(shared: &Arc<Shared>, inputs: &mpsc::Sender<Input>) -> io::Result<()> {
    let (shared, inputs) = (Arc::clone(shared), inputs.clone());
    let listing = inventory::connections(Protocols::All);
    shared.with_ages(|ages| ages.at_start(&listing.open));
    let work = move || {
        let (survey, sums) = survey(&shared, shared.judge().as_ref(), listing);
        announce(&sums);
        shared.tell(|about| about.at_start = Some(sums));
        if inputs.blocking_send(Input::Survey(Box::new(survey))).is_err() {
            tracing::debug!("the agent ended before what was open was told");
        }
    };
    thread::Builder::new().name("survey".to_owned()).spawn(work).map(drop)
}

fn survey(shared: &Shared, judge: &dyn Judge, listing: Listing) -> (Survey, AtStart) {
    let Some(folder) = shared.with_datapath(|datapath| datapath.cgroup().to_owned()) else {
        return (Survey::default(), AtStart::default());
    };
    for error in &listing.failed {
        tracing::warn!("a network namespace could not be looked into: {error}");
    }
    let mut scope = Scope::new(&folder);
    let roster = Roster::of(listing, &mut scope);
    let mut sums = AtStart { left_out: roster.left_out, ..AtStart::default() };
    let mut found = Vec::new();
    for Entry { open, holder, maker } in roster.entries {
        let process = maker.process.as_ref().ok();
        let inspection = take_up(shared, &scope, &open, holder, process.map(AsRef::as_ref));
        match inspection {
            Inspection::Resumed => sums.resumed += 1,
            Inspection::Unowned | Inspection::Gone | Inspection::Refused => sums.not_resumed += 1,
            Inspection::FromStart | Inspection::NotRead => {}
        }
        let Some(remote) = open.socket.remote.filter(|_| open.outbound) else { continue };
        let judgement = judge.judge(maker.cgroup.as_deref(), remote, open.socket.protocol);
        sums.connections += 1;
        sums.unattributed += usize::from(maker.process.is_err());
        sums.not_allowed += usize::from(judgement.verdict != Verdict::Allowed);
        let bytes = open.traffic.map(|traffic| (traffic.bytes_sent, traffic.bytes_received));
        let age_at_least = open.traffic.map(|_| proven(&open));
        let (socket, cgroup) = (open.socket, open.cgroup);
        found.push(Found { socket, cgroup, age_at_least, bytes, maker, judgement, inspection });
    }
    let addresses = found.iter().filter_map(|one| one.socket.remote.map(|end| end.ip()));
    sums.addresses = addresses.collect::<HashSet<_>>().len();
    let pids = found.iter().filter_map(|one| one.maker.process.as_ref().ok());
    sums.processes = pids.map(|process| process.pid).collect::<HashSet<_>>().len();
    (Survey { found, left_out: roster.left_out as u64 }, sums)
}

/// Has the kernel read a connection from its next packet on.
fn take_up(
    shared: &Shared,
    scope: &Scope,
    open: &Open,
    holder: Option<Holder>,
    process: Option<&Process>,
) -> Inspection {
    if open.socket.protocol != TCP {
        return Inspection::NotRead;
    }
    if open.traffic.is_some_and(|traffic| !traffic.has_spoken()) {
        return Inspection::FromStart;
    }
    let (Some(holder), Some(process)) = (holder, process) else { return Inspection::Unowned };
    let flow = Flow::resumed(owner(process, scope.cgroup_of(holder.pid)), open.outbound);
    let seed = |socket: std::os::fd::BorrowedFd<'_>| {
        // Detached already: nothing is read any more.
        shared.with_datapath(|datapath| datapath.resume(socket, &flow)).unwrap_or(Ok(false))
    };
    match resume((holder.pid, holder.fd), open.socket.cookie, seed) {
        Resume::Resumed => Inspection::Resumed,
        Resume::Known => Inspection::FromStart,
        Resume::Gone => Inspection::Gone,
        Resume::Refused => Inspection::Refused,
    }
}

/// A process as the kernel programs would have told it.
fn owner(process: &Process, cgroup: u64) -> Owner {
    let mut comm = [0; COMM];
    // The last byte stays NUL.
    for (slot, byte) in comm.iter_mut().take(COMM - 1).zip(process.comm.bytes()) {
        *slot = byte;
    }
    let (tgid, uid, start_time) = (process.pid, process.uid, process.start_time);
    Owner { cgroup, start_time, tgid, uid, comm }
}

fn announce(sums: &AtStart) {
    let mut text = format!(
        "already open at the start: {} connections to {} addresses by {} processes; {} could not be attributed",
        sums.connections, sums.addresses, sums.processes, sums.unattributed
    );
    for (count, what) in [
        (sums.not_allowed, "would not be allowed"),
        (sums.resumed, "are read from their next packet on"),
        (sums.not_resumed, "could not be taken up and stay unread"),
        (sums.left_out, "more found no room"),
    ] {
        if count > 0 {
            text = format!("{text}; {count} {what}");
        }
    }
    eprintln!("sentinel: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end_marked() {
        let process = Process {
            pid: 7,
            ppid: 1,
            exe: None,
            deleted: false,
            comm: "a-name-of-twenty-xxx".to_owned(),
            cmdline: Vec::new(),
            uid: 3,
            start_time: 9,
            file: None,
            parents: Vec::new(),
        };
        let owner = owner(&process, 5);
        assert_eq!(&owner.comm, b"a-name-of-twent\0");
        assert_eq!((owner.tgid, owner.uid, owner.start_time, owner.cgroup), (7, 3, 9, 5));
    }
}
