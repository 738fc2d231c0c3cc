//! The dialects in their own words: every opening there is, in every key order and every split.

use serde_json::{Map, Value};

use super::super::reading::{Found, most_specific, read_all, read_on};
use super::BUILT_IN;
use sentinel_common::stream::Reader;

const WALLET: &str = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD";

/// A line and the dialect it is of.
const LINES: &[(&str, &str)] = &[
    ("bitcoin-v1", r#"{"id": 1, "method": "mining.subscribe", "params": []}"#),
    ("bitcoin-v1", r#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/3.7.2", "s"]}"#),
    ("bitcoin-v1", r#"{"id":1,"method":"mining.subscribe"}"#),
    ("bitcoin-v1", r#"{"method":"mining.subscribe","params":["a"]}"#),
    (
        "bitcoin-v1",
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#,
    ),
    ("bitcoin-v1", r#"{"id": null, "method": "mining.suggest_target", "params": ["ff"]}"#),
    ("bitcoin-v1", r#"{"id": null, "method": "mining.suggest_difficulty", "params": [4]}"#),
    ("bitcoin-v1", r#"{"id":null,"method":"mining.capabilities","params":[{"notify":[]}]}"#),
    ("bitcoin-v1", r#"{"id": "auth", "method": "mining.authorize", "params": ["user", "pass"]}"#),
    (
        "bitcoin-v1",
        r#"{"params": ["w","job","en2","ntime","nonce"], "id": 5, "method": "mining.submit"}"#,
    ),
    ("bitcoin-v1", r#"{"id": "xnsub", "method": "mining.extranonce.subscribe", "params": []}"#),
    (
        "bitcoin-v1",
        r#"{"params": ["26eb"], "id": "txlist26eb", "method": "mining.get_transactions"}"#,
    ),
    ("bitcoin-v1", r#"{"id":7,"method":"mining.ping","params":[]}"#),
    ("bitcoin-v1", r#"{"id":1.5,"method":"mining.subscribe","params":null}"#),
    (
        "bitcoin-v1",
        r#"{"id":null,"method":"mining.notify","params":["j","p","c1","c2",[],"2","19","5f",true]}"#,
    ),
    ("bitcoin-v1", r#"{"method":"mining.set_difficulty","params":[4096],"id":1}"#),
    ("bitcoin-v1", r#"{"method":"mining.set_extranonce","params":["08",4]}"#),
    ("bitcoin-v1", r#"{"method":"mining.set_target","params":["00ff"]}"#),
    ("bitcoin-v1", r#"{"method":"mining.set_version_mask","params":["1fffe000"]}"#),
    (
        "bitcoin-v1",
        r#"{"id":1,"result":[[["mining.set_difficulty","s"],["mining.notify","s"]],"f0",4],"error":null}"#,
    ),
    ("bitcoin-v1", r#"{"id":1,"result":[["mining.notify","s"],"f0",4],"error":null}"#),
    (
        "ethereum-stratum",
        r#"{"id":1,"method":"mining.subscribe","params":["ethminer 0.19.0","EthereumStratum/1.0.0"]}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":1,"result":[["mining.notify","ae","EthereumStratum/1.0.0"],"080c"],"error":null}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":0,"method":"mining.hello","params":{"agent":"a","host":"h","port":"4d2","proto":"EthereumStratum/2.0.0"}}"#,
    ),
    (
        "ethereum-stratum",
        r#"{"id":0,"result":{"proto":"EthereumStratum/2.0.0","encoding":"plain"}}"#,
    ),
    ("ethereum-stratum", r#"{"id":50,"method":"mining.noop"}"#),
    ("ethproxy", r#"{"id":1,"method":"eth_submitLogin","worker":"0x","params":["0x"]}"#),
    (
        "ethproxy",
        r#"{"worker": "eth1.0", "jsonrpc": "2.0", "params": ["0x", "x"], "id": 2, "method": "eth_submitLogin"}"#,
    ),
    ("ethproxy", r#"{"id":5,"method":"eth_getWork","params":[]}"#),
    ("ethproxy", r#"{"id":5,"method":"eth_submitWork","params":["0x","0x","0x"]}"#),
    ("ethproxy", r#"{"id":9,"method":"eth_submitHashrate","params":["0x","0x"]}"#),
    (
        "monero",
        r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"WALLET","pass":"p","agent":"Mozilla/5.0"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"WALLET.rig1+5000","pass":"donations"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me@example.org","pass":"p","agent":"XMRig/6.26.0 (Linux x86_64) libuv/1.48.0 gcc/13.2.1"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","agent":"mine/1 (Linux x86_64) libuv/1.48.0 gcc/13.2.1"}}"#,
    ),
    (
        "monero",
        r#"{"method":"login","params":{"login":"me","pass":"p","rigid":"","agent":"xmr-stak/2.10.8/cb7fd2c8"},"id":1}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","algo":["cn/1","rx/0"]}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"me","pass":"p","algo-perf":{"cn":1}}}"#,
    ),
    ("monero", r#"{"id":1,"method":"login","params":{"login":"me","pass":"x"}}"#),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq","pass":"c=BTC"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"method":"login","params":{"login":"DOGE:DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L.w","pass":"p"}}"#,
    ),
    (
        "monero",
        r#"{"id":2,"method":"submit","params":{"id":"i","job_id":"j","nonce":"d0030040","result":"e1364b8782719d7683e2ccd3d8f724bc59dfa780a9e960e7c0e0046acdb40100"}}"#,
    ),
    ("monero", r#"{"id":3,"jsonrpc":"2.0","method":"keepalived","params":{"id":"i"}}"#),
    (
        "monero",
        r#"{"jsonrpc":"2.0","method":"job","params":{"blob":"10","job_id":"q","target":"b88d0600"}}"#,
    ),
    (
        "monero",
        r#"{"id":1,"error":null,"result":{"id":"1b","job":{"blob":"10","job_id":"q","target":"b8"},"status":"OK"}}"#,
    ),
];

fn lines() -> impl Iterator<Item = (&'static str, String)> {
    LINES.iter().map(|(dialect, line)| (*dialect, line.replace("WALLET", WALLET)))
}

fn read(bytes: &[u8]) -> Option<Found> {
    read_all(&BUILT_IN.signatures, [bytes])
}

#[test]
fn every_request_is_cut_before_its_last_byte() {
    for (dialect, line) in lines() {
        let found = read(line.as_bytes()).unwrap_or_else(|| panic!("{line} is not read"));
        assert!(found.bytes < line.len(), "{line} is read too late");
        let rule = most_specific(&BUILT_IN.signatures, found.rule, line.as_bytes());
        assert_eq!(BUILT_IN.catalogue.rule(rule).unwrap().dialect, dialect, "{line}");
    }
}

#[test]
fn every_split_gives_the_same() {
    for (_, line) in lines() {
        let (bytes, whole) = (line.as_bytes(), read(line.as_bytes()));
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(
                read_all(&BUILT_IN.signatures, [before, after]),
                whole,
                "{line} cut at {cut}"
            );
        }
        assert_eq!(read_all(&BUILT_IN.signatures, bytes.chunks(1)), whole, "{line} byte by byte");
    }
}

#[test]
fn every_key_order_is_cut_before_its_last_byte() {
    for (_, line) in lines() {
        let value: Value = serde_json::from_str(&line).unwrap();
        for text in orders(&value) {
            let found = read(text.as_bytes()).unwrap_or_else(|| panic!("{text} is not read"));
            assert!(found.bytes < text.len(), "{text} is read too late");
        }
    }
}

/// The value written with its members in every order; those of objects below likewise.
fn orders(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => object_orders(members),
        other => vec![other.to_string()],
    }
}

fn object_orders(members: &Map<String, Value>) -> Vec<String> {
    let mut written = vec![(Vec::<String>::new(), Vec::<&String>::new())];
    for _ in 0..members.len() {
        let mut longer = Vec::new();
        for (texts, used) in written {
            for (key, member) in members.iter().filter(|(key, _)| !used.contains(key)) {
                // A member's own orders are tried once, in first place: not multiplied out.
                let inner = orders(member);
                let inner =
                    if used.is_empty() { inner } else { inner.into_iter().take(1).collect() };
                for text in inner {
                    let mut texts = texts.clone();
                    texts.push(format!("{}:{text}", Value::from(key.as_str())));
                    let used = used.iter().copied().chain([key]).collect();
                    longer.push((texts, used));
                }
            }
        }
        written = longer;
    }
    written.into_iter().map(|(texts, _)| format!("{{{}}}", texts.join(","))).collect()
}

#[test]
fn what_only_sounds_like_mining_is_left_alone() {
    for line in [
        r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"user":"deploy","pass":"s3cret","agent":"ci-runner/4.2 (Linux x86_64)"}}"#,
        r#"{"id":1,"method":"login","params":{"login":"deploy","pass":"s3cret","agent":"ci-runner/4.2 (Linux x86_64)"}}"#,
        r#"{"id":1,"method":"login","params":{"login":"alice","password":"x"}}"#,
        r#"{"id":2,"jsonrpc":"2.0","method":"keepalive","params":{"id":"9f"}}"#,
        r#"{"method":"submit","job_id":"77","result":"f00"}"#,
        r#"{"id":1,"method":"submit","params":{"job_id":"7","nonce":"1","result":"done"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":{"job_id":"7"}}}"#,
        r#"{"method":"job","params":{"job_id":"render-9","frames":120}}"#,
        r#"{"level":"info","text":"\"method\":\"mining.subscribe\"","params":[]}"#,
        r#"{"params":{"method":"mining.subscribe","id":1},"id":1}"#,
        r#"{"id":1,"methods":["mining.subscribe"],"params":[]}"#,
        r#"{"mining.subscribe":"method","id":1,"params":[]}"#,
        r#"{"method":"mining.subscribe"}"#,
        r#"{"method":"mining.subscribed","id":1}"#,
        r#"{"method":"xmining.subscribe","id":1}"#,
        r#"{"id":1,"method":"eth_blockNumber","params":[]}"#,
        r#"{"id":1,"jsonrpc":"2.0","method":"eth_subscribe","params":["newHeads"]}"#,
        r#"{"id":1,"result":["mining.notify"],"error":null}"#,
        r#"{"id":1,"result":{"login":"WALLET","x":["EthereumStratum/1.0.0"]}}"#,
        "mining.subscribe {\"id\":1,\"method\":\"mining.subscribe\"}",
    ] {
        let line = line.replace("WALLET", WALLET);
        assert_eq!(read(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn the_same_key_twice_hides_nothing() {
    for line in [
        r#"{"id":1,"method":"echo","method":"mining.subscribe","params":[]}"#,
        r#"{"id":1,"method":"mining.subscribe","method":"echo","params":[]}"#,
        r#"{"method":"echo","params":[]} {"method":"mining.subscribe","params":[]}"#,
        "{\"x\":\"\n{\"method\":\"mining.subscribe\",\"params\":[]}",
    ] {
        assert!(read(line.as_bytes()).is_some(), "{line}");
    }
}

#[test]
fn a_bare_login_is_cut_at_the_pool_answer() {
    let mut miner = Reader::at_start(0);
    let mut pool = Reader::at_start(0);
    let set = &BUILT_IN.signatures;
    let login = br#"{"id":1,"method":"login","params":{"login":"me","pass":"p"}}"#;
    let answer = br#"{"id":1,"result":{"id":"1","job":{"job_id":"q","blob":"10"}}}"#;
    assert_eq!(read_on(&mut miner, set, 0, login), None);
    let found = read_on(&mut pool, set, miner.said, answer).unwrap();
    assert_eq!(BUILT_IN.catalogue.rule(found.rule).unwrap().name, "job-after-login");
    assert_eq!(read(answer), None, "an answer to nobody's login");
}

#[test]
fn names_are_given_back() {
    let mut reader = Reader::at_start(0);
    read_on(&mut reader, &BUILT_IN.signatures, 0, br#"{"id":1,"method":"login"}"#);
    let names = BUILT_IN.catalogue.token_names(reader.said);
    assert_eq!(names, ["id", "method-login"]);
}
