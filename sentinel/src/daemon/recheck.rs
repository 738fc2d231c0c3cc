//! After a new policy: connections that it would refuse if they were new are ended. New ones the kernel
//! judges by it from the switch on, and datagrams with each packet; a connection is judged at its SYN,
//! so those that are open are looked for here.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use sentinel_common::flow::Direction;
use sentinel_common::policy::Request;
use tokio::sync::mpsc;

use crate::action::Outcome;
use crate::api::Shared;
use crate::engine::{Found, Input, Survey};
use crate::event::socket::Inspection;
use crate::policy::{Judge, Judgement, mapped};
use crate::respond::sock_destroy;
use crate::watch::holders;
use crate::watch::inventory::{self, Open, Protocols};
use crate::watch::scope::Scope;

/// Looks through all open connections, in a thread of its own; what it ends is told like what was open
/// at the start, with the verdict `blocked`.
pub(super) fn start(shared: &Arc<Shared>, inputs: &mpsc::Sender<Input>) {
    let (shared, inputs) = (Arc::clone(shared), inputs.clone());
    let work = move || {
        let found = recheck(&shared, shared.judge().as_ref());
        if !found.is_empty() {
            tracing::info!("{} open connections ended, which the new policy refuses", found.len());
            let survey = Survey { found, left_out: 0 };
            if inputs.blocking_send(Input::Survey(Box::new(survey))).is_err() {
                tracing::debug!("the agent ended before what was cut was told");
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("recheck".to_owned()).spawn(work) {
        tracing::error!("open connections are not judged by the new policy: {error}");
    }
}

fn recheck(shared: &Shared, judge: &dyn Judge) -> Vec<Found> {
    let Some(folder) = shared.with_datapath(|datapath| datapath.cgroup().to_owned()) else {
        return Vec::new();
    };
    let mut scope = Scope::new(&folder);
    let listing = inventory::connections(Protocols::Tcp);
    for error in &listing.failed {
        tracing::warn!("a network namespace could not be looked into: {error}");
    }
    let mut refused: Vec<(Open, Judgement)> = Vec::new();
    for open in listing.open {
        let Some(path) = scope.path(open.cgroup) else { continue };
        refused.extend(refusal(judge, &path, &open).map(|judgement| (open, judgement)));
    }
    let inodes: HashSet<u32> =
        refused.iter().map(|(open, _)| open.inode).filter(|inode| *inode != 0).collect();
    let holders = holders::find(&inodes);
    let mut found = Vec::new();
    for (open, judgement) in refused {
        let holder = holders.get(&open.inode).copied();
        let Some(maker) = scope.maker(&open, holder) else { continue };
        match sock_destroy(&open.socket, holder.map(|holder| holder.pid)) {
            Outcome::Destroyed => {}
            Outcome::NotFound => continue,
            other => {
                tracing::error!("a connection that the policy refuses stays open: {other:?}");
                continue;
            }
        }
        let bytes = open.traffic.map(|traffic| (traffic.bytes_sent, traffic.bytes_received));
        let (socket, cgroup) = (open.socket, open.cgroup);
        let inspection = Inspection::Gone;
        found.push(Found { socket, cgroup, bytes, maker, judgement, inspection });
    }
    found
}

fn refusal(judge: &dyn Judge, path: &str, open: &Open) -> Option<Judgement> {
    let (local, remote) = (open.socket.local?, open.socket.remote?);
    let (way, port) = if open.outbound {
        (Direction::Egress, remote.port())
    } else {
        (Direction::Ingress, local.port())
    };
    let protocol = open.socket.protocol;
    let request = Request { remote: mapped(remote.ip()), protocol, port: Some(port), icmp_type: 0 };
    judge.refusal(Some(path), &request, way)
}
