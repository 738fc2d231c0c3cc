//! Grin (Cuckoo cycles) and Beam.

use super::script::{Script, told};

pub(super) const GRIN: Script = Script {
    told: told("grin"),
    opening: &[
        r#"{"id":"$ID","jsonrpc":"2.0","method":"login","params":{"login":"lab@example.org","pass":"rig1","agent":"grin-miner"}}"#,
        r#"{"id":"$ID","jsonrpc":"2.0","method":"getjobtemplate","params":null}"#,
    ],
    submit: r#"{"id":"$ID","jsonrpc":"2.0","method":"submit","params":{"edge_bits":32,"height":16375,"job_id":5,"nonce":8895699060858340771,"pow":[4210040,10141596,13269632]}}"#,
    keepalive: None,
    answers: &[
        ("login", &[r#"{"id":"$ID","jsonrpc":"2.0","method":"login","result":"ok","error":null}"#]),
        (
            "getjobtemplate",
            &[
                r#"{"id":"$ID","jsonrpc":"2.0","method":"getjobtemplate","result":{"difficulty":1,"height":16375,"job_id":5,"pre_pow":"00010000"},"error":null}"#,
            ],
        ),
        (
            "submit",
            &[r#"{"id":"$ID","jsonrpc":"2.0","method":"submit","result":"ok","error":null}"#],
        ),
        (
            "status",
            &[
                r#"{"id":"$ID","jsonrpc":"2.0","method":"status","result":{"id":"5","height":16375,"difficulty":1,"accepted":2,"rejected":0,"stale":0},"error":null}"#,
            ],
        ),
    ],
    logs_in: "login",
    notices: &[],
    job: r#"{"id":"Stratum","jsonrpc":"2.0","method":"job","params":{"difficulty":1,"height":16376,"job_id":6,"pre_pow":"00010000"}}"#,
};

/// Ids are Beam's own words.
pub(super) const BEAM: Script = Script {
    told: told("beam"),
    opening: &[r#"{"method":"login", "api_key":"1bd3e1a8f2", "id":"login","jsonrpc":"2.0"}"#],
    submit: r#"{"method" : "solution", "id": "212", "nonce": "ab4e3a0000000001", "output": "$HASH$HASH", "jsonrpc":"2.0" }"#,
    keepalive: None,
    answers: &[
        (
            "login",
            &[
                r#"{"code":0,"description":"Login successful","id":"login","jsonrpc":"2.0","method":"result","nonceprefix":"ab4e3a"}"#,
            ],
        ),
        (
            "solution",
            &[
                r#"{"code":1,"description":"accepted","id":"212","jsonrpc":"2.0","method":"result"}"#,
            ],
        ),
    ],
    logs_in: "login",
    notices: &[r#"{"id":"211","jsonrpc":"2.0","method":"cancel"}"#],
    job: r#"{"difficulty":3441671469,"height":1,"id":"213","input":"$HASH","jsonrpc":"2.0","method":"job"}"#,
};
