use super::*;
use crate::event::hook::{Defect, Finding, HookResult, Inspection, Other};

const EGRESS: Defect = Defect { program: "egress", finding: Finding::Detached };

fn told(state: &mut State, found: Inspection) -> Vec<(Finding, HookResult)> {
    let actions = step(state, at(SECOND), Input::Hooks(Box::new(found)));
    let lines = actions.into_iter().filter_map(|action| match action {
        Action::Journal(Line::Hook(hook)) => Some((hook.finding.0, hook.result.0)),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_hook_that_is_broken_is_told_of_once_and_again_when_it_is_whole() {
    let mut state = State::default();
    assert_eq!(told(&mut state, Inspection::default()), []);
    let broken =
        || Inspection { broken: [(EGRESS, "refused".to_owned())].into(), ..Default::default() };
    assert_eq!(told(&mut state, broken()), [(Finding::Detached, HookResult::Failed)]);
    assert_eq!(told(&mut state, broken()), []);
    assert_eq!(
        told(&mut state, Inspection::default()),
        [(Finding::Detached, HookResult::Restored)]
    );
    assert_eq!(told(&mut state, broken()), [(Finding::Detached, HookResult::Failed)]);
    let restored = Inspection { restored: vec![EGRESS], ..Default::default() };
    assert_eq!(told(&mut state, restored), [(Finding::Detached, HookResult::Restored)]);
}

#[test]
fn each_time_that_a_hook_is_restored_is_told_and_counted() {
    let mut state = State::default();
    let restored = || Inspection { restored: vec![EGRESS], ..Default::default() };
    for _ in 0..2 {
        assert_eq!(told(&mut state, restored()), [(Finding::Detached, HookResult::Restored)]);
    }
    let actions = step(&mut state, at(SECOND), Input::Hooks(Box::new(restored())));
    let count = Count::Hook { finding: Finding::Detached, result: HookResult::Restored };
    assert!(actions.contains(&Action::Count(count)));
}

#[test]
fn another_program_is_told_of_when_it_comes() {
    let mut state = State::default();
    let other = Other { program: "connect4", id: 7, name: "foreign".to_owned() };
    let found = || Inspection { others: [other.clone()].into(), ..Default::default() };
    assert_eq!(told(&mut state, found()), [(Finding::OtherProgram, HookResult::Noted)]);
    assert_eq!(told(&mut state, found()), []);
    assert_eq!(told(&mut state, Inspection::default()), []);
    assert_eq!(told(&mut state, found()), [(Finding::OtherProgram, HookResult::Noted)]);
}
