//! State of one flow: what `sk_storage` holds for a socket.

use crate::limits::COMM;
use crate::signature::NO_RULE;
use crate::stream::Reader;
use crate::verdict::{Reason, Verdict};

/// Which way a packet goes, as seen from the socket: index of its [`Reader`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From this host's socket.
    Egress = 0,
    /// To this host's socket.
    Ingress = 1,
}

/// Who owns a socket: taken where `current` is known to be the caller (connect, sendmsg, socket).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The caller's cgroup (cgroup2 id, the inode number of its directory).
    pub cgroup: u64,
    /// Start of the thread group leader, nanoseconds since boot; 0 where the kernel's types tell no
    /// offset. With `tgid` it names a process for ever, reused numbers included.
    pub start_time: u64,
    /// Thread group id; 0 when the owner is not known.
    pub tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// The task's name: a label only, a process sets it as it likes.
    pub comm: [u8; COMM],
}

/// What a socket's flow is known for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Generation of the policy this was judged under.
    pub generation: u32,
    /// A [`Verdict`].
    pub verdict: u8,
    /// A [`Reason`].
    pub reason: u8,
    /// Bit `1 << Direction`: nothing more is to be looked at there. And [`Flow::DEMANDS`].
    pub settled: u8,
    /// 1 once `owner` was looked for, with 2 where this host opened the connection and 4 where more than
    /// one process has used the socket.
    pub owned: u8,
    /// Sum over the last destination that was told of as denied: one event for each, not for each
    /// datagram.
    pub told: u32,
    /// Number of the rule that made the verdict, or [`Flow::NO_RULE`].
    pub rule: u16,
    /// Number of the signature set that `rule` is of, when a mining-pool message made the verdict.
    pub signatures: u16,
    /// Who opened the socket.
    pub owner: Owner,
    /// What was read, by [`Direction`].
    pub readers: [Reader; 2],
}

impl Flow {
    /// In `settled`: the flow was let out on the condition that its ClientHello names a server that its
    /// rule means. Whatever settles the flow takes it away.
    pub const DEMANDS: u8 = 4;
    /// No rule: [`NO_RULE`] as a flow keeps it.
    pub const NO_RULE: u16 = NO_RULE as u16;

    /// A flow that nothing is known of.
    pub const NEW: Self = Self {
        generation: 0,
        verdict: Verdict::Allowed as u8,
        reason: Reason::Unremarkable as u8,
        settled: 0,
        owned: 0,
        told: 0,
        rule: Self::NO_RULE,
        signatures: 0,
        owner: Owner { cgroup: 0, start_time: 0, tgid: 0, uid: 0, comm: [0; COMM] },
        readers: [Reader::STOPPED; 2],
    };

    /// A flow older than the agent, seeded by userspace: nobody knows what was said before.
    #[must_use]
    pub const fn resumed(owner: Owner, outbound: bool) -> Self {
        let readers = [Reader::waiting(), Reader::waiting()];
        Self { owned: 1 | (outbound as u8) << 1, owner, readers, ..Self::NEW }
    }

    /// Whether a packet in this direction needs no look: judged under the policy in force.
    #[inline(always)]
    #[must_use]
    pub const fn is_settled(&self, direction: Direction, generation: u32) -> bool {
        self.generation == generation && self.settled & 1 << direction as u8 != 0
    }

    /// A connection begins, on the condition that its ClientHello names a server. Its socket may have had
    /// another before (`AF_UNSPEC`).
    #[inline(always)]
    pub const fn demand_server_name(&mut self) {
        let Self { verdict, reason, readers, .. } = Self::NEW;
        (self.verdict, self.reason, self.readers) = (verdict, reason, readers);
        self.settled = Self::DEMANDS;
    }

    /// Whether its ClientHello has yet to name a server.
    #[inline(always)]
    #[must_use]
    pub const fn demands(&self) -> bool {
        self.settled & Self::DEMANDS != 0
    }

    /// Passes a verdict on the whole flow.
    #[inline(always)]
    pub const fn settle(&mut self, verdict: Verdict, reason: Reason, rule: u32) {
        self.verdict = verdict as u8;
        self.reason = reason as u8;
        self.rule = rule as u16;
        self.settled = 3;
    }
}

const _: () = assert!(size_of::<Flow>() == 152);
