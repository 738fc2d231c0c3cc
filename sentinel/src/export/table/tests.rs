use sentinel_common::event::{Hook, Kind};
use sentinel_common::flow::Direction;
use sentinel_common::verdict::{Reason, Verdict};

use super::*;
use crate::event::line::{FeedEntry, Process, Stratum, Workload};

fn flow() -> Flow {
    Flow {
        time: "2026-11-23T10:11:12.000001Z".to_owned(),
        kind: Word(Kind::Stratum),
        verdict: Word(Verdict::Blocked),
        reason: Word(Reason::Stratum),
        src: Some("10.0.0.1:4000".to_owned()),
        dst: Some("192.0.2.1:3333".to_owned()),
        proto: "tcp".to_owned(),
        direction: Word(Direction::Egress),
        hook: Word(Hook::SkbEgress),
        bytes: 80,
        process: Some(Process {
            pid: 4711,
            ppid: None,
            exe: None,
            deleted: false,
            comm: "xm\x1b[2Jrig".to_owned(),
            cmdline: Vec::new(),
            uid: 0,
            start_time: None,
            exe_device: None,
            exe_inode: None,
            parents: Vec::new(),
            missing: None,
        }),
        workload_is_callers: false,
        passed: false,
        process_cgroup: None,
        workload: Some(Workload {
            cgroup: Some("/system.slice/nginx.service".to_owned()),
            cgroup_id: 9,
            unit: Some("nginx.service".to_owned()),
            container: None,
            runtime: None,
            container_name: None,
            image: None,
            pod: None,
            namespace: None,
            pod_uid: None,
            owner: None,
            v1_hierarchy: None,
        }),
        policy: None,
        rule: None,
        service: None,
        name: None,
        names: Vec::new(),
        feed: None,
        stratum: Some(Stratum {
            dialect: Some("monero".to_owned()),
            rule: Some("login".to_owned()),
            tokens: Vec::new(),
            method: None,
            login: Some("48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD".to_owned()),
            worker: None,
            agent: None,
            pool: None,
        }),
        countermeasure: None,
        generation: 1,
        cookie: 1,
    }
}

fn render(width: usize) -> String {
    Table::new(width, false).render(&Line::Flow(Box::new(flow())))
}

#[test]
fn a_wide_row_is_one_line_and_stands_under_its_header() {
    let text = render(140);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (title, value) in [
        ("VERDICT", "blocked"),
        ("WHO", "xm·[2Jrig[4711]"),
        ("WHERE", "192.0.2.1:3333"),
        ("WORKLOAD", "nginx"),
    ] {
        let place = |line: &str, text| line.find(text).map(|at| line[..at].chars().count());
        assert_eq!(place(lines[0], title), place(lines[1], value), "{title}\n{text}");
    }
    assert!(lines[1].contains("monero/login 48edfHu7…icoD"), "{text}");
}

#[test]
fn no_row_is_wider_than_its_terminal() {
    for width in [20, 40, 80, 100, 131, 132, 200] {
        for line in render(width).lines() {
            assert!(line.chars().count() <= width.max(18), "{width}: {line}");
        }
    }
    assert_eq!(render(80).lines().count(), 4);
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_a_command() {
    for width in [80, 140] {
        assert!(!render(width).chars().any(|c| c.is_control() && c != '\n'));
    }
}

#[test]
fn a_pool_is_known_by_its_name_or_by_what_names_it() {
    let entry =
        FeedEntry { name: "pools".to_owned(), source: None, entry: "pool.example".to_owned() };
    let mut flow = Flow { stratum: None, feed: Some(entry), ..flow() };
    let row = Table::new(160, false).render(&Line::Flow(Box::new(flow.clone())));
    assert!(row.contains(" pool.example in pools "), "{row}");
    flow.name = Some("eu.pool.example".to_owned());
    let row = Table::new(200, false).render(&Line::Flow(Box::new(flow)));
    assert!(row.contains(" eu.pool.example (pool.example in po"), "{row}");
}
