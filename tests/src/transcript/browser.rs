//! Miners in web pages: the JSON inside their websocket messages.

use super::script::{Script, told};

pub(super) const COINHIVE: Script = Script {
    told: told("coinhive"),
    opening: &[
        r#"{"type":"auth","params":{"site_key":"lab-site","type":"anonymous","user":null,"goal":0}}"#,
    ],
    submit: r#"{"type":"submit","params":{"version":7,"job_id":"1b","nonce":"deadbeef","result":"$HASH"}}"#,
    keepalive: None,
    answers: &[
        (
            "auth",
            &[
                r#"{"type":"authed","params":{"token":"","hashes":0}}"#,
                r#"{"type":"job","params":{"job_id":"1b","blob":"0606e6d8","target":"ffffff00"}}"#,
            ],
        ),
        ("submit", &[r#"{"type":"hash_accepted","params":{"hashes":256}}"#]),
    ],
    logs_in: "auth",
    notices: &[
        r#"{"type":"error","params":{"error":"invalid_site_key"}}"#,
        r#"{"type":"banned","params":{"banned":600}}"#,
    ],
    job: r#"{"type":"job","params":{"job_id":"1c","blob":"0606e6d8","target":"ffffff00"}}"#,
};

pub(super) const WEBMINERPOOL: Script = Script {
    told: told("webminerpool"),
    opening: &[
        r#"{"identifier":"handshake","pool":"pool.example.org","login":"$WALLET","password":"","userid":"","version":8}"#,
    ],
    submit: r#"{"identifier":"solved","job_id":"1b","nonce":"deadbeef","result":"$HASH"}"#,
    keepalive: None,
    answers: &[
        (
            "handshake",
            &[
                r#"{"identifier":"job","job_id":"1b","algo":"cn","variant":4,"height":1,"blob":"1010e6d8","target":"b88d0600"}"#,
            ],
        ),
        ("solved", &[r#"{"identifier":"hashsolved"}"#]),
    ],
    logs_in: "handshake",
    notices: &[],
    job: r#"{"identifier":"job","job_id":"1c","algo":"cn","variant":4,"height":2,"blob":"1010e6d8","target":"b88d0600"}"#,
};

pub(super) const NIMIQ: Script = Script {
    told: told("nimiq"),
    opening: &[
        r#"{"message":"register","mode":"smart","address":"NQ07 0000 0000 0000 0000 0000 0000 0000 0000","deviceId":1001,"startDifficulty":1,"deviceName":"lab","genesisHash":"Jkqvik+YKKdsVQY12geOtGYwahifzANxC+6fZJyGnRI="}"#,
    ],
    submit: r#"{"message":"share","blockHeader":"AAEAAA==","minerAddrProof":"AAAA","extraDataProof":"AAAA"}"#,
    keepalive: None,
    answers: &[
        (
            "register",
            &[
                r#"{"message":"registered"}"#,
                r#"{"message":"settings","address":"NQ07 0000 0000 0000 0000 0000 0000 0000 0000","extraData":"AA==","target":1,"targetCompact":520159231,"nonce":7}"#,
                r#"{"message":"balance","balance":0,"confirmedBalance":0,"payoutRequestActive":false}"#,
            ],
        ),
        ("share", &[]),
    ],
    logs_in: "register",
    notices: &[r#"{"message":"error","reason":"too old"}"#],
    job: r#"{"message":"new-block","bodyHash":"AAAA","accountsHash":"AAAA","previousBlock":"AAAA"}"#,
};
