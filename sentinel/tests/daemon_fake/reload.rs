//! What a reload takes up, and everybody else meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use sentinel::config::{Config, ConfigFile, FindingAction, ScoringFile};
use sentinel_common::verdict::Verdict;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Bench, Record, get};

/// One worker: whoever blocks it stops the ring's reader, the engine and the API.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_for_feeds_that_are_written() {
    let bench = Bench::start(Vec::new()).await;
    let (release, holds) = std::sync::mpsc::channel();
    bench.told.lock().unwrap().holds = Some(holds);
    let Bench { folder, told, ring, mut agent } = bench;
    let address = agent.address().unwrap();
    let config = Config::new(ConfigFile::default(), ConfigFile::default());
    let reloading = tokio::spawn(async move {
        agent.reload(config).await;
        agent
    });
    let begun = async {
        while told.lock().unwrap().feeds.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), begun).await.unwrap();
    let remote: SocketAddr = "192.0.2.9:1".parse().unwrap();
    ring.send(Ok(Record::stratum(Verdict::Audited, remote, remote).0.into())).unwrap();
    let (state, journal) = (folder.path().join("state"), folder.path().join("events.json"));
    let others = spawn_blocking(move || {
        let status = sentinel::status::fetch(&state).unwrap();
        assert_eq!(
            (&status["generation"], &status["cgroup"]),
            (&1.into(), &"/sys/fs/cgroup".into())
        );
        assert!(get(address, "/metrics").1.contains("sentinel_policy_generation 1\n"));
        while !std::fs::read_to_string(&journal).unwrap().contains("\"kind\":\"stratum\"") {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    timeout(Duration::from_secs(10), others).await.unwrap().unwrap();
    assert_eq!(told.lock().unwrap().policies.len(), 1, "the reload is not over");
    drop(release);
    let agent = reloading.await.unwrap();
    assert_eq!(agent.status().generation, 2);
    agent.stop().await;
    assert!(told.lock().unwrap().detached);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scores_mode_is_taken_up_when_nothing_else_has_changed() {
    let mut bench = Bench::start(Vec::new()).await;
    let config = |mode| {
        let encrypted_mining = ScoringFile { mode: Some(mode), ..ScoringFile::default() };
        let file = ConfigFile { encrypted_mining, ..ConfigFile::default() };
        Config::new(ConfigFile::default(), file)
    };
    bench.agent.reload(config(FindingAction::Alert)).await;
    assert_eq!(bench.agent.status().encrypted_mining, "audit");
    bench.agent.reload_changed(config(FindingAction::Off)).await;
    assert_eq!(bench.agent.status().encrypted_mining, "off");
    bench.agent.stop().await;
}
