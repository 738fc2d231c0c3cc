//! Coins that speak V1 with words of their own.

use super::script::{Script, Told, told};
use super::v1::BITCOIN;

const TRUE: &[&str] = &[r#"{"id":"$ID","jsonrpc":"2.0","result":true}"#];

/// The subscription names only the program.
pub(super) const KASPA: Script = Script {
    told: Told { opening: "bitcoin-v1", share: "kaspa", pool: "kaspa", job: "bitcoin-v1" },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["lolMiner 1.76"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["kaspa:qqlablablab.worker1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["kaspa:qqlablablab.worker1","1","0x0029000000000001"]}"#,
    keepalive: None,
    answers: &[
        (
            "mining.subscribe",
            &[r#"{"id":"$ID","jsonrpc":"2.0","result":[true,"EthereumStratum/1.0.0"]}"#],
        ),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","jsonrpc":"2.0","result":true}"#,
                r#"{"jsonrpc":"2.0","method":"set_extranonce","params":["0029",6]}"#,
                r#"{"jsonrpc":"2.0","method":"mining.set_difficulty","params":[4]}"#,
            ],
        ),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: &[r#"{"jsonrpc":"2.0","method":"mining.set_extranonce","params":["002a",6]}"#],
    job: r#"{"id":1,"jsonrpc":"2.0","method":"mining.notify","params":["1",[8437520793485720,17283479823749,98237498237498,2837498237498],1662696346322]}"#,
};

/// Nothing that its pools say is Ergo's alone.
pub(super) const ERGO: Script = Script {
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["lolMiner/1.76"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["9hLabLabLab.worker1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["9hLabLabLab.worker1","1","0011","65a1b2c3","f000000a00000001"]}"#,
    job: r#"{"id":null,"method":"mining.notify","params":["1","900000","$HASH","","","00000003","28948022309329048855892746252171976963209391069768726095651290785379","",true]}"#,
    ..BITCOIN
};

/// A share without what came before looks like KawPow's.
pub(super) const CONFLUX: Script = Script {
    told: Told { share: "kawpow", ..told("conflux") },
    opening: &[
        r#"{"jsonrpc":"2.0","method":"mining.subscribe","params":["cfxmine",""],"id":"$ID"}"#,
    ],
    submit: r#"{"jsonrpc":"2.0","method":"mining.submit","params":["test-miner","0x$HASH","0x000000000000001b","0x$HASH"],"id":"$ID"}"#,
    keepalive: None,
    answers: &[
        ("mining.subscribe", TRUE),
        ("mining.submit", &[r#"{"jsonrpc":"2.0","result":[true],"id":"$ID"}"#]),
    ],
    logs_in: "mining.subscribe",
    notices: &[],
    job: r#"{ "id": 17, "method": "mining.notify", "params": ["2a1730c8","1641369","0x$HASH","0x044b82fa09b5a52cb98b405447c4a98187eebb22f008d5d64f9c394ae9"] }"#,
};

/// The answer to the subscription is an array of hexadecimal strings: it could be anybody's.
pub(super) const XELIS: Script = Script {
    told: Told { opening: "bitcoin-v1", share: "xelis", pool: "bitcoin-v1", job: "bitcoin-v1" },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["Rigel/1.19.3-nicehash"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["xel:lablablab.worker1","","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["xel:lablablab.worker1","00000000ec3f3fa7","13639ca53f21df75"]}"#,
    keepalive: None,
    answers: &[
        (
            "mining.subscribe",
            &[
                r#"{"id":"$ID","error":null,"result":["47dee1473361f8d2","b94a30c874c31a2f",32,"$HASH"]}"#,
            ],
        ),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","error":null,"result":true}"#,
                r#"{"id":null,"method":"mining.set_difficulty","params":[1000]}"#,
            ],
        ),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: &[],
    job: r#"{"id":null,"method":"mining.notify","params":["00000000ec3f3fa7","0000018e","$HASH","xel/v2",true]}"#,
};

/// Jobs are objects in an array; the share tells.
pub(super) const ALEPHIUM: Script = Script {
    told: Told { share: "alephium", ..told("bitcoin-v1") },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["bzminer"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["1LabLabLab.worker1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":{"jobId":"1b","fromGroup":1,"toGroup":2,"nonce":"515a000000000001","worker":"1LabLabLab.worker1"}}"#,
    keepalive: None,
    answers: &[
        ("mining.subscribe", &[r#"{"id":"$ID","result":"515a","error":null}"#]),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","result":true,"error":null}"#,
                r#"{"id":null,"method":"mining.set_extranonce","params":["515a"]}"#,
                r#"{"id":null,"method":"mining.set_difficulty","params":[4]}"#,
            ],
        ),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: &[],
    job: r#"{"id":null,"method":"mining.notify","params":[{"jobId":"1b","fromGroup":1,"toGroup":2,"headerBlob":"0007","txsBlob":"01","targetBlob":"00ff"}]}"#,
};

pub(super) const IRON_FISH: Script = Script {
    told: told("iron-fish"),
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","body":{"version":3,"agent":"lolMiner/1.85beta","publicAddress":"$HASH.worker1","extend":["mining.submitted"]}}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","body":{"miningRequestId":27,"randomness":"64da000000000001","graffiti":"$HASH"}}"#,
    keepalive: None,
    answers: &[
        (
            "mining.subscribe",
            &[
                r#"{"id":"$ID","method":"mining.subscribed","body":{"clientId":0,"xn":"64da"}}"#,
                r#"{"id":"$ID","method":"mining.set_target","body":{"target":"$HASH"}}"#,
            ],
        ),
        (
            "mining.submit",
            &[r#"{"id":"$ID","method":"mining.submitted","body":{"id":1,"result":true}}"#],
        ),
    ],
    logs_in: "mining.subscribe",
    notices: &[r#"{"id":9,"method":"mining.status","body":{"hashRate":1,"miners":1}}"#],
    job: r#"{"id":10,"method":"mining.notify","body":{"miningRequestId":27,"header":"0011"}}"#,
};
