//! What the engine wants done. Data only: [`crate::executor`] does it.

use sentinel_common::event::Kind;
use sentinel_common::verdict::Verdict;

use crate::attribution::Socket;
use crate::audit::Noted;
use crate::event::Owner;
use crate::event::hook::{Finding, HookResult};
use crate::event::line::{Line, MeasureResult, Missing};

/// Names an event that waits for answers; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write a line to the journal and to the table.
    Journal(Line),
    /// Find out who made an event; the answer is a [`crate::engine::Fact`].
    Resolve {
        /// The event that waits.
        id: EventId,
        /// Who the kernel says it was.
        owner: Option<Owner>,
        /// The event's cgroup; 0 when unknown.
        cgroup: u64,
        /// The socket, to search by when the owner is unknown.
        socket: Socket,
    },
    /// Destroy a socket; the answer is a [`crate::engine::Fact`].
    DestroySocket {
        /// The event that waits.
        id: EventId,
        /// The socket.
        socket: Socket,
        /// A process in the socket's network namespace, most likely.
        pid: Option<u32>,
        /// The cgroup whose processes are the next guess; `None` when unknown.
        cgroup: Option<String>,
    },
    /// Open the journal's file anew.
    ReopenJournal,
    /// Remember what enforcement would have blocked.
    Audit(Box<Noted>),
    /// Count something.
    Count(Count),
}

/// What userspace counts itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    /// An event that was read.
    Event {
        /// Its kind.
        kind: Kind,
        /// Its verdict.
        verdict: Verdict,
    },
    /// A countermeasure that was answered.
    Countermeasure(Outcome),
    /// An event whose maker stays unknown.
    Unattributed(Missing),
    /// A socket that was open before the agent came, whose maker stays unknown.
    UnattributedAtStart(Missing),
    /// An event that is not in the journal because many like it are.
    Suppressed,
    /// An event that could not wait for its answers.
    PendingOverflow,
    /// Something happened to a hook.
    Hook {
        /// What.
        finding: Finding,
        /// What became of it.
        result: HookResult,
    },
    /// A name that only shares its hash with a feed's domain.
    NameCollision,
    /// Connections that were open at the start and are not in the journal, for want of room.
    SurveyOverflow(u64),
    /// Processes for which the table has no room.
    ProcessOverflow(u64),
    /// An event that could not be told apart from others, for want of room.
    LimiterOverflow,
}

/// What came of an attempt to destroy a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone; its owner sees `ECONNABORTED`.
    Destroyed,
    /// No network namespace that was looked into has it.
    NotFound,
    /// The kernel refused, in the system's own words.
    Failed(String),
}

impl Outcome {
    /// The journal's word.
    #[must_use]
    pub const fn result(&self) -> MeasureResult {
        match self {
            Self::Destroyed => MeasureResult::Destroyed,
            Self::NotFound => MeasureResult::NotFound,
            Self::Failed(_) => MeasureResult::Failed,
        }
    }

    /// The system's words for a failure.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Failed(why) => Some(why.clone()),
            Self::Destroyed | Self::NotFound => None,
        }
    }
}
