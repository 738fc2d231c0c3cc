//! Stratum V1 as Bitcoin's miners speak it, and the coins that share its subscription.

use super::script::{Script, Told, told};

const TRUE: &[&str] = &[r#"{"id":"$ID","result":true,"error":null}"#];

/// What V1 pools also say.
const NOTICES: &[&str] = &[
    r#"{"id":null,"method":"mining.set_extranonce","params":["f000000b",4]}"#,
    r#"{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}"#,
    r#"{"id":7,"method":"client.get_version","params":[]}"#,
    r#"{"id":null,"method":"client.show_message","params":["maintenance at noon"]}"#,
    r#"{"id":null,"method":"client.reconnect","params":["pool.example.org",3333,0]}"#,
    r#"{"id":8,"method":"mining.ping","params":[]}"#,
];

pub(super) const BITCOIN: Script = Script {
    told: told("bitcoin-v1"),
    opening: &[
        r#"{"id":"$ID","method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#,
        r#"{"id":"$ID","method":"mining.subscribe","params":["$V1_AGENT"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["$WORKER","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["$WORKER","1b","00000001","65a1b2c3","deadbeef"]}"#,
    keepalive: None,
    answers: &[
        (
            "mining.configure",
            &[
                r#"{"id":"$ID","result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}"#,
            ],
        ),
        (
            "mining.subscribe",
            &[
                r#"{"id":"$ID","result":[[["mining.set_difficulty","1ab"],["mining.notify","1ab"]],"f000000a",4],"error":null}"#,
            ],
        ),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","result":true,"error":null}"#,
                r#"{"id":null,"method":"mining.set_difficulty","params":[512]}"#,
            ],
        ),
        ("mining.extranonce.subscribe", TRUE),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: NOTICES,
    job: r#"{"id":null,"method":"mining.notify","params":["1b","$HASH","01000000","ffffffff",[],"20000000","1703a30c","65a1b2c3",true]}"#,
};

pub(super) const NICEHASH: Script = Script {
    told: told("bitcoin-v1"),
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["NiceHash/1.0.0","1700000000000","$HASH"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["$WORKER","x"]}"#,
        r#"{"id":"$ID","method":"mining.extranonce.subscribe","params":[]}"#,
    ],
    ..BITCOIN
};

pub(super) const EQUIHASH: Script = Script {
    told: Told { opening: "equihash", share: "bitcoin-v1", pool: "equihash", job: "bitcoin-v1" },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["equihashminer",null,"zec.example.org","2142"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["t1LabLabLab.worker1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["t1LabLabLab.worker1","1b","65a1b2c3","0011","fd400500$HASH$HASH"]}"#,
    keepalive: None,
    answers: &[
        ("mining.subscribe", &[r#"{"id":"$ID","result":[null,"f000000a"],"error":null}"#]),
        (
            "mining.authorize",
            &[
                r#"{"id":"$ID","result":true,"error":null}"#,
                r#"{"id":null,"method":"mining.set_target","params":["$HASH"]}"#,
            ],
        ),
        ("mining.submit", TRUE),
    ],
    logs_in: "mining.authorize",
    notices: &[],
    job: r#"{"id":null,"method":"mining.notify","params":["1b","04000000","$HASH","$HASH","$HASH","65a1b2c3","1f07ffff",true]}"#,
};

/// KawPow's subscription is Equihash's: only its share tells.
pub(super) const KAWPOW: Script = Script {
    told: Told { opening: "equihash", share: "kawpow", pool: "equihash", job: "bitcoin-v1" },
    opening: &[
        r#"{"id":"$ID","method":"mining.subscribe","params":["GMiner/2.09",null,"rvn.example.org","4505"]}"#,
        r#"{"id":"$ID","method":"mining.authorize","params":["RLabLabLab.worker1","x"]}"#,
    ],
    submit: r#"{"id":"$ID","method":"mining.submit","params":["RLabLabLab.worker1","1b","0x64290b0000000001","0x$HASH","0x$HASH"]}"#,
    job: r#"{"id":null,"method":"mining.notify","params":["1b","$HASH","$HASH","$HASH",true,3000000,"1b00a0c1"]}"#,
    ..EQUIHASH
};
