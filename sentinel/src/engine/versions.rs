//! Policies and signature sets that came into force, or were refused.

use super::Clock;
use crate::action::Action;
use crate::event::line::{self, Line};
use crate::event::word::Word;

pub(super) fn policy(
    clock: Clock,
    result: line::PolicyResult,
    generation: u32,
    error: Option<String>,
) -> Action {
    Action::Journal(Line::Policy(line::Policy {
        time: clock.rfc3339(),
        kind: Word(line::PolicyKind::Policy),
        result: Word(result),
        generation,
        error,
    }))
}

pub(super) fn signatures(
    clock: Clock,
    result: line::PolicyResult,
    set: line::SignatureFigures,
    error: Option<String>,
) -> Action {
    Action::Journal(Line::Signatures(line::Signatures {
        time: clock.rfc3339(),
        kind: Word(line::SignaturesKind::Signatures),
        result: Word(result),
        set,
        error,
    }))
}
