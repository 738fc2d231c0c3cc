//! The agent's client against this service.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use sentinel::attribution::node::Cloud;
use sentinel::event::node::Node;
use sentinel::watch::metadata::{MetadataError, ask, ask_on};

use super::*;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn ask_at(cloud: Cloud, address: SocketAddr) -> Result<Node, MetadataError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(cloud, address))
}

/// What came of it, and what the service was asked.
fn asked(cloud: Cloud, kind: Kind) -> (Result<Node, MetadataError>, Vec<String>) {
    let service = Service::start(kind, LOOPBACK).unwrap();
    let answer = ask_at(cloud, service.address().unwrap());
    (answer, service.asked())
}

#[test]
fn the_three_clouds_services_are_understood() {
    let clouds = [
        (Cloud::Aws, Kind::Aws, "eu-central-1", "eu-central-1a"),
        (Cloud::Gcp, Kind::Gcp, "europe-west1", "europe-west1-b"),
        (Cloud::Azure, Kind::Azure, "westeurope", "westeurope-2"),
    ];
    for (cloud, kind, region, zone) in clouds {
        let (node, questions) = asked(cloud, kind);
        let node = node.unwrap();
        assert_eq!(node.provider.as_deref(), Some(cloud.word()));
        assert_eq!(node.instance.as_deref(), Some(instance(kind)));
        assert_eq!(node.account.as_deref(), Some(ACCOUNT));
        assert_eq!(node.region.as_deref(), Some(region));
        assert_eq!(node.zone.as_deref(), Some(zone));
        assert!(questions.iter().all(|question| question.ends_with(" 200")), "{questions:?}");
    }
    let (_, questions) = asked(Cloud::Aws, Kind::Aws);
    let expected =
        ["PUT /latest/api/token 200", "GET /latest/dynamic/instance-identity/document 200"];
    assert_eq!(questions, expected, "the token comes first, and nothing is asked without one");
}

#[test]
fn a_service_that_hangs_is_left_alone_after_three_tries() {
    let begun = Instant::now();
    let (answer, questions) = asked(Cloud::Aws, Kind::Silent);
    assert_eq!(answer, Err(MetadataError::Silent));
    assert_eq!(questions.len(), 3);
    let took = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

#[test]
fn a_service_that_answers_nonsense_is_told_from_a_good_one() {
    for kind in [Kind::Garbage, Kind::Short, Kind::Endless, Kind::Elsewhere, Kind::Page] {
        let (answer, questions) = asked(Cloud::Azure, kind);
        let why = answer.unwrap_err();
        let as_expected = match kind {
            Kind::Elsewhere => why == MetadataError::Refused(302),
            Kind::Endless => why == MetadataError::TooLong(64 * 1024),
            Kind::Page => matches!(why, MetadataError::Foreign(_)),
            _ => matches!(why, MetadataError::Broken(_)),
        };
        assert!(as_expected, "{kind:?}: {why}");
        assert_eq!(questions.len(), 3, "{kind:?}");
    }
    // A page is no token, and no page of Google's.
    for cloud in [Cloud::Aws, Cloud::Gcp] {
        let (answer, _) = asked(cloud, Kind::Page);
        assert!(matches!(answer, Err(MetadataError::Foreign(_))), "{answer:?}");
    }
    // Another cloud's.
    let (answer, _) = asked(Cloud::Aws, Kind::Gcp);
    assert_eq!(answer, Err(MetadataError::Refused(403)));
    let closed = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    assert!(matches!(ask_at(Cloud::Gcp, closed), Err(MetadataError::Broken(_))));
}

const HOUR: Duration = Duration::from_secs(3600);

/// A runtime whose clock goes on only while nothing else is to do.
fn paused() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap()
}

/// When the service was asked in vain during a day, since the first question.
async fn a_day_in_vain(address: SocketAddr) -> Vec<Duration> {
    let (begun, mut rows) = (tokio::time::Instant::now(), Vec::new());
    let asking = ask_on(Cloud::Azure, address, |_| rows.push(begun.elapsed()));
    assert!(tokio::time::timeout(24 * HOUR, asking).await.is_err());
    rows
}

#[test]
fn a_service_that_is_not_there_is_asked_ever_more_seldom_and_not_by_all_at_once() {
    let closed = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let (one, other) =
        paused().block_on(async { tokio::join!(a_day_in_vain(closed), a_day_in_vain(closed)) });
    for rows in [&one, &other] {
        // 5, 10, 20 and 40 minutes, then an hour each, give or take a quarter.
        assert!((20..=36).contains(&rows.len()), "{} rows: {rows:?}", rows.len());
        let waits: Vec<Duration> =
            rows.windows(2).filter_map(|two| two[1].checked_sub(two[0])).collect();
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert!(waits[0] >= minutes(5) * 3 / 4 && waits[0] <= minutes(7), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= minutes(76)), "{waits:?}");
        assert!(waits.iter().skip(4).all(|wait| *wait >= minutes(45)), "{waits:?}");
    }
    let apart = one.iter().zip(&other).skip(1).map(|(one, other)| one.abs_diff(*other));
    let close = apart.filter(|apart| *apart < Duration::from_secs(1)).count();
    assert!(close <= one.len() / 4, "two ask at one moment: {one:?} {other:?}");
}

#[test]
fn a_service_that_comes_later_is_heard() {
    let address = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let runtime = paused();
    let (node, questions) = runtime.block_on(async {
        let asking = tokio::spawn(ask_on(Cloud::Azure, address, |_| {}));
        tokio::time::sleep(5 * HOUR).await;
        assert!(!asking.is_finished());
        let service = Service::start(Kind::Azure, address).unwrap();
        // While a blocking task runs the clock stands: an answer takes as long as it takes.
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let gate = tokio::task::spawn_blocking(move || wait.recv().is_err());
        tokio::time::advance(2 * HOUR).await;
        let node = asking.await.unwrap();
        drop(done);
        assert!(gate.await.unwrap());
        (node, service.asked())
    });
    assert_eq!(node.instance.as_deref(), Some(instance(Kind::Azure)));
    assert_eq!(questions.len(), 1, "{questions:?}");
}
