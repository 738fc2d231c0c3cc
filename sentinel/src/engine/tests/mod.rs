mod audit;
mod feeds;
mod hooks;
mod pods;
mod processes;
mod survey;

use sentinel_common::event::Hook;
use sentinel_common::flow::Direction;
use sentinel_common::verdict::{Mode, Reason};

use super::*;
use crate::attribution::Process;
use crate::event::line::{Flow, MeasureResult};
use crate::event::{Owner, Said};

const SECOND: u64 = 1_000_000_000;

fn at(now: u64) -> Clock {
    Clock {
        now,
        monotonic_to_unix: 1_000 * i128::from(SECOND),
        boot_to_unix: 2_000 * i128::from(SECOND),
    }
}

fn event(verdict: Verdict, port: u16) -> Box<KernelEvent> {
    Box::new(KernelEvent {
        time: 5 * SECOND,
        cookie: u64::from(port),
        cgroup: 77,
        tokens: 0b01,
        peer_tokens: 0b10,
        owner: Some(Owner {
            cgroup: 77,
            start_time: SECOND,
            pid: 42,
            uid: 1000,
            comm: "xmrig".to_owned(),
        }),
        local: Some("10.0.0.1:4000".parse().unwrap()),
        remote: Some(std::net::SocketAddr::from(([192, 0, 2, 1], port))),
        rule: Some(0),
        signatures: 2,
        generation: 3,
        bytes: 80,
        kind: Kind::Stratum,
        verdict,
        reason: Reason::Stratum,
        hook: Hook::SkbEgress,
        protocol: TCP,
        direction: Direction::Egress,
        name: None,
        passed: false,
        is_callers: false,
        said: Said { login: Some("48ed".to_owned()), ..Said::default() },
        names: vec!["pool.example".to_owned()],
    })
}

fn maker(id: u64) -> Input {
    let process = Process {
        pid: 42,
        ppid: 1,
        exe: Some("/tmp/x".to_owned()),
        deleted: true,
        comm: "xmrig".to_owned(),
        cmdline: vec!["./x".to_owned()],
        uid: 1000,
        start_time: SECOND,
        file: None,
        parents: Vec::new(),
    };
    let cgroup = Some("/system.slice/evil.service".to_owned());
    let process = Ok(Box::new(process));
    Input::Fact(Fact::Maker(
        EventId(id),
        Attribution { process, cgroup, process_cgroup: None, v1: None },
    ))
}

fn named() -> State {
    let names = Names {
        signatures: vec![SignatureSet {
            number: 2,
            rules: vec![SignatureRule { dialect: "monero".to_owned(), name: "login".to_owned() }],
            tokens: vec!["method-login".to_owned(), "result-job".to_owned()],
        }],
        policies: Arc::new(
            [(
                1,
                PolicyRules {
                    policy: "shop".to_owned(),
                    default: "egress".to_owned(),
                    rules: vec!["egress[0]".to_owned()],
                },
            )]
            .into(),
        ),
        since: 0,
        feeds: Arc::default(),
    };
    let mut state = State::default();
    step(&mut state, at(0), Input::Applied(Box::new(names), 3));
    state
}

fn flows(actions: &[Action]) -> Vec<&Flow> {
    let lines = actions.iter().filter_map(|action| match action {
        Action::Journal(Line::Flow(flow)) => Some(flow.as_ref()),
        _ => None,
    });
    lines.collect()
}

fn destructions(actions: &[Action]) -> Vec<Option<u32>> {
    let pids = actions.iter().filter_map(|action| match action {
        Action::DestroySocket { pid, .. } => Some(*pid),
        _ => None,
    });
    pids.collect()
}

#[test]
fn a_blocked_miner_is_looked_at_then_cut_then_told_of() {
    let mut state = named();
    let now = at(6 * SECOND);
    let first = step(&mut state, now, Input::Event(event(Verdict::Blocked, 3333)));
    assert!(matches!(
        first.as_slice(),
        [Action::Count(Count::Event { .. }), Action::Resolve { id: EventId(1), .. }]
    ));
    let second = step(&mut state, now, maker(1));
    assert_eq!(destructions(&second), [Some(42)]);
    let outcome = Input::Fact(Fact::Countermeasure(EventId(1), Outcome::Destroyed));
    let third = step(&mut state, now, outcome);
    assert_eq!(third.first(), Some(&Action::Count(Count::Countermeasure(Outcome::Destroyed))));
    let flow = flows(&third)[0];
    assert_eq!(flow.time, "1970-01-01T00:16:45.000000Z");
    assert_eq!(flow.dst.as_deref(), Some("192.0.2.1:3333"));
    let process = flow.process.as_ref().unwrap();
    assert_eq!((process.pid, process.ppid, process.deleted), (42, Some(1), true));
    assert_eq!(process.start_time.as_deref(), Some("1970-01-01T00:33:21.000000Z"));
    assert_eq!(flow.workload.as_ref().unwrap().unit.as_deref(), Some("evil.service"));
    let stratum = flow.stratum.as_ref().unwrap();
    assert_eq!(stratum.dialect.as_deref(), Some("monero"));
    assert_eq!(stratum.tokens, ["method-login", "result-job"]);
    assert_eq!(flow.countermeasure.as_ref().unwrap().result, Word(MeasureResult::Destroyed));
    assert_eq!(state.pending(), 0);
}

#[test]
fn an_audited_miner_keeps_its_socket() {
    let mut state = named();
    step(&mut state, at(0), Input::Event(event(Verdict::Audited, 3333)));
    let actions = step(&mut state, at(0), maker(1));
    assert!(destructions(&actions).is_empty());
    assert_eq!(flows(&actions)[0].countermeasure, None);
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let mut state = named();
    step(&mut state, at(0), Input::Event(event(Verdict::Blocked, 3333)));
    assert!(step(&mut state, at(WAIT - 1), Input::Tick).is_empty());
    let late = step(&mut state, at(WAIT), Input::Tick);
    assert_eq!(destructions(&late), [Some(42)]);
    let later = step(&mut state, at(2 * WAIT), Input::Tick);
    assert!(later.contains(&Action::Count(Count::Unattributed(Missing::Timeout))));
    let flow = flows(&later)[0];
    assert_eq!(flow.process.as_ref().unwrap().missing, Some(Word(Missing::Timeout)));
    assert_eq!(flow.countermeasure.as_ref().unwrap().result, Word(MeasureResult::Pending));
    assert!(flows(&step(&mut state, at(2 * WAIT), maker(1))).is_empty());
}

#[test]
fn a_number_that_was_given_again_is_nobodys_guess() {
    let mut state = named();
    step(&mut state, at(0), Input::Event(event(Verdict::Blocked, 3333)));
    let fact = Fact::Maker(EventId(1), Attribution::missing(Missing::Reused));
    assert_eq!(destructions(&step(&mut state, at(0), Input::Fact(fact))), [None]);
}

#[test]
fn a_retry_loop_is_cut_every_time_and_told_of_a_few_times() {
    let mut state = named();
    let (mut told, mut cut) = (0, 0);
    for _ in 0..20 {
        let id = state.next + 1;
        step(&mut state, at(0), Input::Event(event(Verdict::Blocked, 3333)));
        cut += destructions(&step(&mut state, at(0), maker(id))).len();
        let outcome = Fact::Countermeasure(EventId(id), Outcome::NotFound);
        told += flows(&step(&mut state, at(0), Input::Fact(outcome))).len();
    }
    assert_eq!((told as u64, cut), (limiter::BURST, 20));
    let closed = step(&mut state, at(limiter::WINDOW), Input::Tick);
    let [Action::Journal(Line::Suppressed(line))] = closed.as_slice() else { panic!("{closed:?}") };
    assert_eq!(line.count, 20 - limiter::BURST);
}

#[test]
fn a_flood_is_told_of_without_its_makers() {
    let mut state = named();
    let mut journalled = 0;
    for number in 0..=PENDING {
        let mut event = event(Verdict::Audited, 3333);
        event.cgroup = number as u64;
        let actions = step(&mut state, at(0), Input::Event(event));
        journalled += flows(&actions).len();
        assert_eq!(actions.contains(&Action::Count(Count::PendingOverflow)), number == PENDING);
    }
    assert_eq!((journalled, state.pending()), (1, PENDING));
    assert_eq!(flows(&step(&mut state, at(0), Input::Finish)).len(), PENDING);
}

#[test]
fn losses_are_told_once() {
    let mut state = named();
    let mut totals = [0; Loss::COUNT];
    assert!(step(&mut state, at(0), Input::Losses(totals)).is_empty());
    totals[0] = 4;
    let actions = step(&mut state, at(0), Input::Losses(totals));
    let [Action::Journal(Line::Losses(line))] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((line.loss, line.count), (Word(Loss::Event), 4));
    assert!(step(&mut state, at(0), Input::Losses(totals)).is_empty());
}

#[test]
fn an_egress_rule_is_named() {
    let mut state = named();
    let mut egress = event(Verdict::Blocked, 443);
    egress.kind = Kind::Egress;
    egress.reason = Reason::NotAllowlisted;
    egress.rule = Some(1 << 16 | 1);
    step(&mut state, at(0), Input::Event(egress));
    let actions = step(&mut state, at(0), maker(1));
    assert!(destructions(&actions).is_empty());
    let flow = flows(&actions)[0];
    assert_eq!(flow.policy.as_deref(), Some("shop"));
    assert_eq!(flow.rule.as_deref(), Some("egress[0]"));
    assert_eq!(flow.stratum, None);
}

/// A sequence of inputs drawn from a seed, with answers that may be late, double or for nobody.
fn simulate(seed: u64) -> Vec<Action> {
    let mut state = named();
    let mut dice = seed;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut now = 0;
    let mut actions = Vec::new();
    for _ in 0..2_000 {
        now += roll(WAIT / 4);
        let input = match roll(6) {
            0 | 1 => {
                let verdict = if roll(2) == 0 { Verdict::Blocked } else { Verdict::Audited };
                let mut event = event(verdict, 3333 + roll(4) as u16);
                event.cgroup = roll(8);
                Input::Event(event)
            }
            2 | 3 => maker(roll(state.next + 2)),
            4 => {
                Input::Fact(Fact::Countermeasure(EventId(roll(state.next + 2)), Outcome::Destroyed))
            }
            _ => Input::Tick,
        };
        actions.extend(step(&mut state, at(now), input));
        assert!(state.pending() <= PENDING);
    }
    actions.extend(step(&mut state, at(now), Input::Finish));
    assert_eq!(state.pending(), 0);
    actions
}

#[test]
fn the_same_inputs_give_the_same_actions_and_no_event_is_forgotten() {
    for seed in 0..20 {
        let actions = simulate(seed);
        assert_eq!(actions, simulate(seed));
        let count =
            |wanted: fn(&Action) -> bool| actions.iter().filter(|a| wanted(a)).count() as u64;
        let events = count(|a| matches!(a, Action::Count(Count::Event { .. })));
        let left_out = count(|a| matches!(a, Action::Count(Count::Suppressed)));
        assert_eq!(events, flows(&actions).len() as u64 + left_out);
        let told: u64 = actions
            .iter()
            .filter_map(|action| match action {
                Action::Journal(Line::Suppressed(line)) => Some(line.count),
                _ => None,
            })
            .sum();
        assert_eq!(told, left_out);
    }
}
