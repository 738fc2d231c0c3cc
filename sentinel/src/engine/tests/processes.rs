use std::sync::Arc;

use super::*;
use crate::attribution::processes::{Birth, Id, Image, News};

/// The owner of every event here.
const OWNER: Id = Id { pid: 42, start_time: SECOND };

fn exec(time: u64, exe: &str) -> News {
    let arguments = format!("{exe}\0").into_bytes();
    let image = Image { exe: Some(exe.to_owned()), inode: 9, arguments, ..Image::default() };
    let parent = Id { pid: 7, start_time: 1 };
    News::Exec(Birth { time, id: OWNER, parent, inner: 42 }, Arc::new(image))
}

fn news(news: Vec<News>, fetched: u64) -> Input {
    Input::Processes(Box::new(Batch { news, fetched: Some(fetched), lost: false }))
}

/// `/proc` had nothing any more.
fn gone(id: u64) -> Input {
    Input::Fact(Fact::Maker(EventId(id), Attribution::missing(Missing::Exited)))
}

/// A state that is told of processes, and has one event of the fifth second waiting.
fn waiting() -> State {
    let mut state = named();
    step(&mut state, at(0), news(Vec::new(), SECOND));
    step(&mut state, at(5 * SECOND), Input::Event(event(Verdict::Audited, 3333)));
    state
}

#[test]
fn an_event_waits_for_the_news_that_explains_it() {
    let mut state = waiting();
    assert!(flows(&step(&mut state, at(5 * SECOND), gone(1))).is_empty());
    let early = news(Vec::new(), 5 * SECOND - 1);
    assert!(flows(&step(&mut state, at(5 * SECOND), early)).is_empty());
    let told = news(vec![exec(4 * SECOND, "/bin/brief")], 5 * SECOND);
    let actions = step(&mut state, at(5 * SECOND), told);
    let [flow] = flows(&actions)[..] else { panic!("{actions:?}") };
    let process = flow.process.as_ref().unwrap();
    assert_eq!(process.exe.as_deref(), Some("/bin/brief"));
    assert_eq!(
        (process.cmdline.as_slice(), process.missing),
        (&["/bin/brief".to_owned()][..], None)
    );
    assert_eq!((process.ppid, process.exe_inode), (Some(7), Some(9)));
    assert_eq!(state.pending(), 0);
    assert!(!actions.iter().any(|one| matches!(one, Action::Count(Count::Unattributed(_)))));
}

#[test]
fn an_event_is_not_of_the_program_that_came_after_it() {
    let mut state = waiting();
    step(&mut state, at(5 * SECOND), maker(1));
    let both = vec![exec(4 * SECOND, "/bin/then"), exec(6 * SECOND, "/tmp/x")];
    let actions = step(&mut state, at(6 * SECOND), news(both, 6 * SECOND));
    let [flow] = flows(&actions)[..] else { panic!("{actions:?}") };
    let process = flow.process.as_ref().unwrap();
    assert_eq!((process.exe.as_deref(), process.deleted), (Some("/bin/then"), false));
}

#[test]
fn nobody_waits_for_ever_and_what_is_unknown_is_said_so() {
    let mut state = waiting();
    step(&mut state, at(5 * SECOND), gone(1));
    let actions = step(&mut state, at(5 * SECOND + WAIT), Input::Tick);
    let [flow] = flows(&actions)[..] else { panic!("{actions:?}") };
    let process = flow.process.as_ref().unwrap();
    assert_eq!((process.exe.as_deref(), process.missing), (None, Some(Word(Missing::Exited))));
    assert!(actions.contains(&Action::Count(Count::Unattributed(Missing::Exited))));
}

#[test]
fn after_a_loss_nobody_is_guessed() {
    let mut state = waiting();
    step(&mut state, at(5 * SECOND), gone(1));
    let batch = Batch { news: vec![exec(1, "/bin/x")], fetched: Some(6 * SECOND), lost: true };
    let actions = step(&mut state, at(6 * SECOND), Input::Processes(Box::new(batch)));
    let [flow] = flows(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(flow.process.as_ref().unwrap().exe, None);
}

#[test]
fn another_place_than_the_sockets_is_told() {
    let mut state = named();
    let mut moved = event(Verdict::Audited, 3333);
    moved.owner.as_mut().unwrap().cgroup = 99;
    moved.passed = true;
    step(&mut state, at(5 * SECOND), Input::Event(moved));
    let actions = step(&mut state, at(5 * SECOND), maker(1));
    let [flow] = flows(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(flow.workload.as_ref().unwrap().cgroup_id, 77);
    assert_eq!(flow.process_cgroup.as_ref().map(|place| place.id), Some(99));
    assert!(flow.passed && !flow.workload_is_callers);
}
