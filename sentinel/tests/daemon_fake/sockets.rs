//! What is open, asked of the agent over its socket.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use sentinel::sockets;
use serde_json::Value;

use super::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_are_listed_with_age_holder_and_verdict() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let before = TcpStream::connect(address).unwrap();
    let bench = Bench::start(Vec::new()).await;
    // The list of the start is made by a thread of its own.
    for _ in 0..500 {
        if bench.agent.status().at_start.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let since = TcpStream::connect(address).unwrap();
    let local = since.local_addr().unwrap();
    let state = bench.folder.path().join("state");
    let answer =
        tokio::task::spawn_blocking(move || sockets::fetch(&state)).await.unwrap().unwrap();
    let all = answer["connections"].as_array().unwrap();
    if all.is_empty() && !answer["failed"].as_array().is_none_or(Vec::is_empty) {
        eprintln!("skipped: entering a network namespace needs root");
        return;
    }
    let of = |local: std::net::SocketAddr| -> &Value {
        let local = local.to_string();
        all.iter().find(|one| one["src"] == local.as_str()).unwrap()
    };
    let (older, younger) = (of(before.local_addr().unwrap()), of(local));
    assert_eq!(
        (&older["older_than_agent"], &younger["older_than_agent"]),
        (&true.into(), &false.into())
    );
    for one in [older, younger] {
        assert_eq!(one["dst"], address.to_string());
        assert_eq!(one["process"]["pid"], std::process::id());
        assert_eq!((&one["direction"], &one["verdict"]), (&"outbound".into(), &"allowed".into()));
    }
    let inbound = all.iter().filter(|one| one["src"] == address.to_string());
    assert!(
        inbound.clone().count() >= 2 && inbound.clone().all(|one| one["direction"] == "inbound")
    );
    let (status, _) = bench.get("/sockets").await;
    assert_eq!(status, 404, "processes and paths are not for the network");
    bench.agent.stop().await;
}
