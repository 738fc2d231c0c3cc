//! What was open at the start, made into lines.

use sentinel_common::policy::TCP;

use super::compose::{protocol, text, workload_of};
use super::names::Names;
use super::{Clock, compose};
use crate::action::{Action, Count};
use crate::attribution::pods::Pods;
use crate::attribution::{Attribution, Socket};
use crate::event::line::Line;
use crate::event::socket::{Inspection, OpenSocket, SocketKind};
use crate::event::word::Word;
use crate::policy::Judgement;

/// Lines that one survey writes at most: half of what may wait for the journal.
pub const LINES: usize = 4096;

/// The connections that were found.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Those that this host opened.
    pub found: Vec<Found>,
    /// Those that there was no room to list.
    pub left_out: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its ends.
    pub socket: Socket,
    /// Its cgroup; 0 when unknown.
    pub cgroup: u64,
    /// Seconds that it is at least open; UDP does not tell.
    pub age_at_least: Option<u64>,
    /// Payload bytes sent and received; UDP does not tell.
    pub bytes: Option<(u64, u64)>,
    /// Who holds it.
    pub maker: Attribution,
    /// What would become of it today.
    pub judgement: Judgement,
    /// Whether it is read from now on.
    pub inspection: Inspection,
}

/// The survey's lines, and counts of what is not in them.
pub(super) fn report(
    known: (&Names, &Pods),
    clock: Clock,
    survey: Survey,
    actions: &mut Vec<Action>,
) {
    let beyond = survey.found.len().saturating_sub(LINES);
    let left_out = survey.left_out.saturating_add(beyond as u64);
    if left_out > 0 {
        actions.push(Action::Count(Count::SurveyOverflow(left_out)));
    }
    for found in &survey.found {
        if let Err(why) = found.maker.process {
            actions.push(Action::Count(Count::UnattributedAtStart(why)));
        }
    }
    for found in survey.found.iter().take(LINES) {
        actions.push(Action::Journal(Line::Socket(Box::new(line(known, clock, found)))));
    }
}

fn line((names, pods): (&Names, &Pods), clock: Clock, found: &Found) -> OpenSocket {
    let policy = names.policy(found.judgement.rule);
    let bytes = found.bytes.filter(|_| found.socket.protocol == TCP);
    let process = found.maker.process.as_ref().ok();
    OpenSocket {
        time: clock.rfc3339(),
        kind: Word(SocketKind::Socket),
        verdict: Word(found.judgement.verdict),
        reason: Word(found.judgement.reason),
        src: text(found.socket.local),
        dst: text(found.socket.remote),
        proto: protocol(found.socket.protocol),
        older_than_agent: true,
        age_at_least_seconds: found.age_at_least,
        bytes_sent: bytes.map(|(sent, _)| sent),
        bytes_received: bytes.map(|(_, received)| received),
        inspection: Word(found.inspection),
        feed: found.judgement.feed.clone(),
        policy: policy.map(|(policy, _)| policy.to_owned()),
        rule: policy.map(|(_, rule)| rule.to_owned()),
        process: process.map(|process| compose::described(clock, process)),
        workload: workload_of(pods, found.cgroup, found.maker.cgroup.as_deref()),
        cookie: found.socket.cookie,
    }
}
