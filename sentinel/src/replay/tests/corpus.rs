//! The corpus beside the repository: what is caught, and what must not be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::replay;

/// Captures with mining in a dialect that is built in: name without extension, dialect, flows.
const MINING: &[(&str, &str, usize)] = &[
    ("jsiwek__bitcoin-mining", "bitcoin-v1", 3),
    ("jsiwek__bitcoin-mining", "getwork", 5),
    ("jsiwek__bitcoin-mining-in-progress", "bitcoin-v1", 1),
    ("ndpi__mining", "equihash", 2),
    ("ndpi__mining", "ethproxy", 1),
    ("ndpi__mining", "monero", 1),
    ("p2p_ndpi__monero", "monero-peer", 4),
    ("beam_plain", "beam", 1),
    ("conflux", "conflux", 1),
    ("kaspa", "bitcoin-v1", 1),
    ("stratumv1_authorize_first", "bitcoin-v1", 1),
    ("stratumv1_configure_first_asic", "bitcoin-v1", 1),
    ("stratumv1_proxy_protocol_prefix", "bitcoin-v1", 1),
    ("ethereumstratum1", "ethereum-stratum", 1),
    ("ethereumstratum2_plain", "ethereum-stratum", 1),
    ("ethproxy_ethminer", "ethproxy", 1),
    ("xmrig_donate_url", "monero", 1),
    ("xmrig_login", "monero", 1),
    ("xmrig_login_rigid_custom_agent", "monero", 1),
    ("xmrstak_login", "monero", 1),
    ("ethproxy_00_plain", "ethproxy", 1),
    ("xmrig_00_plain", "monero", 1),
    ("duinocoin_csv", "duino-coin", 1),
    ("getwork_http_cpuminer", "getwork", 1),
    ("http_connect_then_login", "monero", 1),
    ("levin_monero_p2p", "monero-peer", 1),
    ("sv2_noise_ellswift", "stratum-v2", 1),
    ("socks4a_then_subscribe", "bitcoin-v1", 1),
    ("ws_nimiq", "nimiq", 1),
    ("ws_webminerpool", "webminerpool", 1),
];

/// A folder's captures, or `None` (said by name) where the corpus is absent.
fn captures(folder: &str) -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(folder);
    if !root.is_dir() {
        eprintln!("skipped: no {}", root.display());
        return None;
    }
    let mut found = Vec::new();
    let mut rooms = vec![root];
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { rooms.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Some(found)
}

/// Every flow with a verdict: capture's name, dialect, and which of its kind.
fn findings(files: &[PathBuf]) -> BTreeSet<(String, String, usize)> {
    let mut found = BTreeSet::new();
    for flow in replay(files).0.iter().filter(|flow| flow["verdict"] != "allowed") {
        let name = Path::new(flow["file"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap();
        let dialect = flow["dialect"].as_str().unwrap();
        let nth = (1..).find(|nth| !found.contains(&(name.to_owned(), dialect.to_owned(), *nth)));
        found.insert((name.to_owned(), dialect.to_owned(), nth.unwrap()));
    }
    found
}

#[test]
fn mining_is_found() {
    for folder in ["mining", "synthetic", "evasion"] {
        let Some(files) = captures(folder) else { return };
        let names: BTreeSet<&str> =
            files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
        let mut expected: BTreeSet<(String, String, usize)> = MINING
            .iter()
            .filter(|(name, ..)| names.contains(name))
            .flat_map(|(name, dialect, flows)| {
                (1..=*flows).map(|nth| ((*name).to_owned(), (*dialect).to_owned(), nth))
            })
            .collect();
        let evasions = names.iter().filter(|name| name.starts_with("v1_"));
        expected.extend(evasions.map(|name| ((*name).to_owned(), "bitcoin-v1".to_owned(), 1)));
        let found = findings(&files);
        let more: Vec<_> = found.difference(&expected).collect();
        let less: Vec<_> = expected.difference(&found).collect();
        assert!(more.is_empty() && less.is_empty(), "{folder}: more {more:?}, less {less:?}");
    }
}

#[test]
fn nothing_else_is_found() {
    for folder in ["lookalikes", "benign"] {
        let Some(files) = captures(folder) else { return };
        // A made-up capture that has one flow of everything, a Bitcoin node's handshake included.
        let node = ("tests__pcap__arkime_synthetic".to_owned(), "bitcoin-peer".to_owned(), 1);
        let found = findings(&files);
        let expected = found.iter().filter(|found| **found == node).cloned().collect();
        assert_eq!(found, expected, "{folder}");
    }
}
