//! What happens to the hooks, told when it is news.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clock, State};
use crate::action::{Action, Count};
use crate::event::hook::{
    Defect, Finding, Hook, HookKind, HookResult, Inspection, Other, OtherProgram,
};
use crate::event::line::Line;
use crate::event::word::Word;

/// What was found at the last look.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    broken: BTreeMap<Defect, String>,
    others: BTreeSet<Other>,
}

pub(super) fn inspected(
    state: &mut State,
    clock: Clock,
    found: Inspection,
    actions: &mut Vec<Action>,
) {
    let Inspection { restored, broken, others } = found;
    let mut tell =
        |defect: Defect, result: HookResult, error: Option<String>, other: Option<OtherProgram>| {
            actions.push(Action::Count(Count::Hook { finding: defect.finding, result }));
            actions.push(Action::Journal(Line::Hook(Hook {
                time: clock.rfc3339(),
                kind: Word(HookKind::Hook),
                finding: Word(defect.finding),
                program: defect.program.to_owned(),
                result: Word(result),
                error,
                other,
            })));
        };
    let before = &state.hooks;
    for defect in &restored {
        tell(*defect, HookResult::Restored, None, None);
    }
    // What was broken and is not any more has come right by itself, as a cgroup that is made anew.
    let healed =
        before.broken.keys().filter(|it| !broken.contains_key(it) && !restored.contains(it));
    for defect in healed {
        tell(*defect, HookResult::Restored, None, None);
    }
    for (defect, why) in broken.iter().filter(|(defect, _)| !before.broken.contains_key(defect)) {
        tell(*defect, HookResult::Failed, Some(why.clone()), None);
    }
    for other in others.difference(&before.others) {
        let defect = Defect { program: other.program, finding: Finding::OtherProgram };
        let program = OtherProgram { id: other.id, name: other.name.clone() };
        tell(defect, HookResult::Noted, None, Some(program));
    }
    state.hooks = Hooks { broken, others };
}
