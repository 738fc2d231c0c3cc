//! What was open at the start, and suspicions.

use super::*;

#[test]
fn what_was_open_is_told_of_within_bounds() {
    let mut state = named();
    let one = |port: u16, rule: u32, verdict: Verdict| Found {
        socket: Socket {
            protocol: TCP,
            local: "10.0.0.1:4000".parse().ok(),
            remote: Some(std::net::SocketAddr::from(([192, 0, 2, 1], port))),
            cookie: 9,
        },
        cgroup: 77,
        bytes: Some((5, 7)),
        maker: Attribution::missing(Missing::Unowned),
        judgement: crate::policy::Judgement {
            verdict,
            reason: if rule == 0 { Reason::NotAllowlisted } else { Reason::Allowlisted },
            rule,
            feed: None,
        },
        inspection: crate::event::socket::Inspection::Resumed,
    };
    let mut found = vec![one(443, 1 << 16 | 1, Verdict::Allowed), one(3333, 0, Verdict::Audited)];
    found.extend((0..LINES as u16).map(|port| one(port, 0, Verdict::Audited)));
    let survey = Survey { found, left_out: 3 };
    let actions = step(&mut state, at(SECOND), Input::Survey(Box::new(survey)));
    let lines: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Journal(Line::Socket(line)) => Some(line),
            _ => None,
        })
        .collect();
    assert_eq!(lines.len(), LINES);
    assert_eq!(lines[0].policy.as_deref(), Some("shop"));
    assert_eq!((lines[1].verdict.0, lines[1].bytes_sent), (Verdict::Audited, Some(5)));
    assert_eq!(lines[1].workload.as_ref().map(|workload| workload.cgroup_id), Some(77));
    assert!(actions.contains(&Action::Count(Count::SurveyOverflow(2 + 3))));
}

fn suspicion(mode: Mode) -> Input {
    let term = |name, value| crate::detect::Term {
        name,
        value,
        weight: 5.0,
        detail: "38 records of 287 bytes".to_owned(),
    };
    let finding = crate::detect::Finding {
        cookie: 9,
        local: "10.0.0.1:4000".parse().unwrap(),
        remote: "192.0.2.1:443".parse().unwrap(),
        score: 0.8125,
        terms: vec![term(crate::detect::TermName::RecordSizes, 0.8125)],
    };
    let Input::Fact(Fact::Maker(_, maker)) = maker(0) else { panic!("not a maker") };
    Input::Suspicion(Box::new(Suspect { finding, maker, cgroup: 77, mode }))
}

fn suspicions(actions: &[Action]) -> Vec<&crate::event::suspicion::Suspicion> {
    let lines = actions.iter().filter_map(|action| match action {
        Action::Journal(Line::Suspicion(line)) => Some(line.as_ref()),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_suspicion_is_told_with_its_terms_and_nothing_is_done() {
    let mut state = named();
    let actions = step(&mut state, at(SECOND), suspicion(Mode::Audit));
    let [line] = suspicions(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((line.verdict.0, line.reason.0), (Verdict::Audited, Reason::EncryptedMining));
    assert_eq!((line.score, line.terms[0].value), (0.813, 0.813));
    assert_eq!(line.process.as_ref().map(|process| process.pid), Some(42));
    assert!(line.countermeasure.is_none());
    assert!(!actions.iter().any(|action| matches!(action, Action::DestroySocket { .. })));
    let counted = Count::Event { kind: Kind::Suspicion, verdict: Verdict::Audited };
    assert!(actions.contains(&Action::Count(counted)));
}

#[test]
fn a_suspect_that_is_to_be_blocked_is_told_of_with_its_end() {
    let mut state = named();
    let actions = step(&mut state, at(SECOND), suspicion(Mode::Enforce));
    let id = actions.iter().find_map(|action| match action {
        Action::DestroySocket { id, socket, pid: Some(42), .. } if socket.cookie == 9 => Some(*id),
        _ => None,
    });
    assert!(suspicions(&actions).is_empty() && state.pending() == 1);
    let fact = Fact::Countermeasure(id.unwrap(), Outcome::Destroyed);
    let actions = step(&mut state, at(SECOND), Input::Fact(fact));
    let [line] = suspicions(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(line.verdict.0, Verdict::Blocked);
    let result = line.countermeasure.as_ref().map(|measure| measure.result.0);
    assert_eq!(result, Some(MeasureResult::Destroyed));
    assert_eq!(state.pending(), 0);
    step(&mut state, at(SECOND), suspicion(Mode::Enforce));
    let last = step(&mut state, at(SECOND), Input::Finish);
    let [line] = suspicions(&last)[..] else { panic!("{last:?}") };
    let result = line.countermeasure.as_ref().map(|measure| measure.result.0);
    assert_eq!(result, Some(MeasureResult::Pending));
}
