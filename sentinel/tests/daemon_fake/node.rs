//! Which machine a record, a status and the figures are of.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_says_which_machine_it_is_of() {
    let node = NodeFile {
        name: Some("node-7".into()),
        provider: Some("elsewhere".into()),
        instance: Some("i-7".into()),
        region: Some("north".into()),
        metadata_service: Some(MetadataService::Off),
        ..NodeFile::default()
    };
    let bench = Bench::with(ConfigFile { node, ..ConfigFile::default() }).await;
    let here: SocketAddr = "192.0.2.9:1".parse().unwrap();
    bench.send(Record::stratum(Verdict::Audited, here, here));
    let lines = bench.eventually(|lines| lines.iter().any(stratum)).await;
    assert!(lines.len() > 1, "the policy's line comes first");
    let expected =
        json!({"name": "node-7", "provider": "elsewhere", "instance": "i-7", "region": "north"});
    assert!(lines.iter().all(|line| line["node"] == expected), "{lines:#?}");
    let (_, text) = bench.get("/metrics").await;
    let line = "sentinel_node_info{account=\"\",instance_id=\"i-7\",node=\"node-7\",provider=\"elsewhere\",region=\"north\",zone=\"\"} 1\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(text.matches("sentinel_node_info{").count(), 1, "one series");
    let state = bench.folder.path().join("state");
    let status = tokio::task::spawn_blocking(move || sentinel::status::fetch(&state));
    let status = status.await.unwrap().unwrap();
    assert_eq!(status["node"]["instance"], "i-7");
    assert_eq!(status["node"]["sources"][0], "configuration");
    let table = sentinel::status::table(&status);
    assert!(table.contains("node         node-7 (elsewhere i-7, north)\n"), "{table}");
    bench.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_nobody_names_has_its_kernels_name() {
    let bench = Bench::start(Vec::new()).await;
    let lines = bench.eventually(|lines| !lines.is_empty()).await;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(lines[0]["node"]["name"], name.trim());
    bench.agent.stop().await;
}
