//! Connections that behave like a miner's: told of, and destroyed where the user wants that.

use sentinel_common::event::Kind;
use sentinel_common::policy::TCP;
use sentinel_common::verdict::{Mode, Reason, Verdict};

use super::compose::{described, destroyed, protocol, workload_of};
use super::{Clock, PENDING, State};
use crate::action::{Action, Count, Outcome};
use crate::attribution::pods::Pods;
use crate::attribution::{Attribution, Socket};
use crate::detect::Finding;
use crate::event::line::Line;
use crate::event::suspicion::{Suspicion, Term};
use crate::event::word::Word;

/// A finding, with what goes with it.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// What was found.
    pub finding: Finding,
    /// Who holds the connection.
    pub maker: Attribution,
    /// Its cgroup; 0 when unknown.
    pub cgroup: u64,
    /// What it leads to: `Enforce` destroys the socket.
    pub mode: Mode,
}

pub(super) fn suspect(
    state: &mut State,
    clock: Clock,
    suspect: Suspect,
    actions: &mut Vec<Action>,
) {
    let (kind, verdict) = (Kind::Suspicion, suspect.mode.verdict());
    actions.push(Action::Count(Count::Event { kind, verdict }));
    if let Err(why) = suspect.maker.process {
        actions.push(Action::Count(Count::Unattributed(why)));
    }
    if verdict != Verdict::Blocked {
        actions.push(tell(&state.pods, clock, &suspect, None));
        return;
    }
    let id = state.next_id();
    actions.push(Action::DestroySocket {
        id,
        socket: Socket {
            protocol: TCP,
            local: Some(suspect.finding.local),
            remote: Some(suspect.finding.remote),
            cookie: suspect.finding.cookie,
        },
        pid: suspect.maker.process.as_ref().ok().map(|process| process.pid),
        cgroup: suspect.maker.cgroup.clone(),
    });
    if state.suspects.len() >= PENDING {
        actions.push(Action::Count(Count::PendingOverflow));
        actions.push(tell(&state.pods, clock, &suspect, None));
        return;
    }
    state.suspects.insert(id, suspect);
}

/// The line. Where the socket was to be destroyed and no outcome is known, it says so.
pub(super) fn tell(
    pods: &Pods,
    clock: Clock,
    suspect: &Suspect,
    outcome: Option<&Outcome>,
) -> Action {
    let Suspect { finding, maker, cgroup, mode } = suspect;
    let process = maker.process.as_ref().ok();
    let wanted = mode.verdict() == Verdict::Blocked;
    Action::Journal(Line::Suspicion(Box::new(Suspicion {
        time: clock.rfc3339(),
        kind: Word(Kind::Suspicion),
        verdict: Word(mode.verdict()),
        reason: Word(Reason::EncryptedMining),
        src: finding.local.to_string(),
        dst: finding.remote.to_string(),
        proto: protocol(TCP),
        score: rounded(finding.score),
        terms: finding.terms.iter().map(term).collect(),
        process: process.map(|process| described(clock, process)),
        workload: workload_of(pods, *cgroup, maker.cgroup.as_deref()),
        countermeasure: wanted.then(|| destroyed(outcome)),
        cookie: finding.cookie,
    })))
}

fn term(term: &crate::detect::Term) -> Term {
    Term {
        name: Word(term.name),
        value: rounded(term.value),
        weight: term.weight,
        detail: term.detail.clone(),
    }
}

/// To a thousandth: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
