//! Ethash coins: three generations of stratum, and a node's own calls.

use super::script::{Script, Told, told};

const TRUE: &[&str] = &[r#"{"id":"$ID","jsonrpc":"2.0","result":true}"#];
const WORK: &str = r#"{"id":"$ID","jsonrpc":"2.0","result":["0x$HASH","0x$HASH","0x0000000112e0be826d694b2e62d01511f12a6061fbaec8bc02357593e70e52ba"]}"#;

pub(super) const ETHPROXY: Script = Script {
    told: told("ethproxy"),
    opening: &[
        r#"{"id":"$ID","method":"eth_submitLogin","params":["$ETH","x"],"worker":"rig1"}"#,
        r#"{"id":"$ID","method":"eth_getWork","params":[]}"#,
    ],
    submit: r#"{"id":"$ID","method":"eth_submitWork","params":["0xdeadbeefdeadbeef","0x$HASH","0x$HASH"]}"#,
    keepalive: Some(
        r#"{"id":"$ID","jsonrpc":"2.0","method":"eth_submitHashrate","params":["0x0000000000000000000000000000000000000000000000000000000002df91be","0x$HASH"],"worker":"rig1"}"#,
    ),
    answers: &[
        ("eth_submitLogin", TRUE),
        ("eth_getWork", &[WORK]),
        ("eth_submitWork", TRUE),
        ("eth_submitHashrate", TRUE),
    ],
    logs_in: "eth_submitLogin",
    notices: &[],
    job: r#"{"id":0,"jsonrpc":"2.0","result":["0x$HASH","0x$HASH","0x0000000112e0be826d694b2e62d01511f12a6061fbaec8bc02357593e70e52ba"]}"#,
};

pub(super) const CLAYMORE: Script = Script {
    opening: &[
        r#"{"worker": "eth1.0", "jsonrpc": "2.0", "params": ["$ETH/rig1/lab@example.org", "x"], "id": "$ID", "method": "eth_submitLogin"}"#,
        r#"{"worker": "", "jsonrpc": "2.0", "params": [], "id": "$ID", "method": "eth_getWork"}"#,
    ],
    submit: r#"{"worker": "rig1", "jsonrpc": "2.0", "params": ["0xdeadbeefdeadbeef","0x$HASH","0x$HASH"], "id": "$ID", "method": "eth_submitWork"}"#,
    ..ETHPROXY
};

/// Jobs and shares are V1's, and a share has no word of its own.
pub(super) const STRATUM_1: Script = Script {
    told: Told {
        opening: "ethereum-stratum",
        share: "bitcoin-v1",
        pool: "ethereum-stratum",
        job: "bitcoin-v1",
    },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["labminer/1.0","EthereumStratum/1.0.0"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["$ETH","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["$ETH","1b","deadbeef"]}"#,
    keepalive: None,
    answers: &[
        (
            "mining.subscribe",
            &[
                r#"{"id":"$ID","result":[["mining.notify","1ab01ab01ab0","EthereumStratum/1.0.0"],"080c"],"error":null}"#,
            ],
        ),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","result":true,"error":null}"#,
                r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#,
            ],
        ),
        ("mining.extranonce.subscribe", TRUE),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: &[r#"{"id":null,"method":"mining.set_extranonce","params":["af4c"]}"#],
    job: r#"{"id":null,"method":"mining.notify","params":["1b","$HASH","$HASH",true]}"#,
};

/// Shares and jobs are V1's in another order.
pub(super) const STRATUM_2: Script = Script {
    told: STRATUM_1.told,
    opening: &[
        r#"{"id":"$ID","method":"mining.hello","params":{"agent":"labminer/1.0","host":"pool.example.org","port":"4d2","proto":"EthereumStratum/2.0.0"}}"#,
        r#"{"id":"$ID","method":"mining.subscribe"}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["$ETH.rig1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["bf0488aa","68765fccd712","w-123"]}"#,
    keepalive: Some(r#"{"id":"$ID","method":"mining.hashrate","params":["500000","w-123"]}"#),
    answers: &[
        (
            "mining.hello",
            &[
                r#"{"id":"$ID","result":{"proto":"EthereumStratum/2.0.0","encoding":"plain","resume":"1","timeout":"b4","maxerrors":"5","node":"lab/1"}}"#,
            ],
        ),
        ("mining.subscribe", &[r#"{"id":"$ID","result":"s-12345"}"#]),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","result":"w-123"}"#,
                r#"{"method":"mining.set","params":{"epoch":"dc","target":"0112e0be826d694b2e62d01511f12a6061fbaec8bc02357593e70e52ba","algo":"ethash","extranonce":"af4c"}}"#,
            ],
        ),
        ("mining.noop", &[r#"{"id":"$ID","result":true}"#]),
        ("mining.hashrate", &[r#"{"id":"$ID","result":true}"#]),
        ("mining.submit", &[r#"{"id":"$ID","result":true}"#]),
    ],
    logs_in: "mining.authorize",
    notices: &[
        r#"{"id":50,"method":"mining.noop"}"#,
        r#"{"method":"mining.reconnect","params":{"host":"pool.example.org","port":"4d2","resume":"1"}}"#,
        r#"{"method":"mining.bye"}"#,
    ],
    job: r#"{"method":"mining.notify","params":["bf0488aa","6526d5","$HASH","0"]}"#,
};

/// Hashrate first, then a question every few hundred milliseconds.
pub(super) const GETWORK: Script = Script {
    opening: &[
        r#"{"id":"$ID","jsonrpc":"2.0","method":"eth_submitHashrate","params":["0x2df91be","0x$HASH"]}"#,
        r#"{"id":"$ID","jsonrpc":"2.0","method":"eth_getWork","params":[]}"#,
    ],
    logs_in: "eth_getWork",
    ..ETHPROXY
};
