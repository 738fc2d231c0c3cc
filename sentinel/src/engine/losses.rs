//! What the kernel has lost, told as it grows.

use sentinel_common::verdict::Loss;

use super::{Clock, State};
use crate::action::Action;
use crate::event::line::{self, Line};
use crate::event::word::Word;

impl State {
    /// These losses were told of by another agent.
    pub const fn set_known(&mut self, losses: [u64; Loss::COUNT]) {
        self.losses = losses;
    }
}

pub(super) fn lost(
    state: &mut State,
    clock: Clock,
    totals: [u64; Loss::COUNT],
    actions: &mut Vec<Action>,
) {
    let before = std::mem::replace(&mut state.losses, totals);
    for ((loss, total), before) in Loss::ALL.iter().zip(totals).zip(before) {
        let count = total.saturating_sub(before);
        if count > 0 {
            actions.push(Action::Journal(Line::Losses(line::Losses {
                time: clock.rfc3339(),
                kind: Word(line::LossKind::Loss),
                loss: Word(*loss),
                count,
            })));
        }
    }
}
