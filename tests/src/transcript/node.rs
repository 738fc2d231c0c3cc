//! Mining against a node: the JSON inside HTTP requests and answers.

use super::script::{Script, Told, told};

/// The answers have no word that a template's do not have.
pub(super) const GETWORK: Script = Script {
    told: Told {
        opening: "getwork",
        share: "getwork",
        pool: "getblocktemplate",
        job: "getblocktemplate",
    },
    opening: &[r#"{"method": "getwork", "params": [], "id":"$ID"}"#],
    submit: r#"{"method": "getwork", "params": ["00000002$HASH"], "id":"$ID"}"#,
    keepalive: None,
    answers: &[(
        "getwork",
        &[
            r#"{"id":"$ID","error":null,"result":{"midstate":"$HASH","data":"00000002$HASH","hash1":"00","target":"$HASH"}}"#,
        ],
    )],
    logs_in: "getwork",
    notices: &[],
    job: r#"{"result":{"data":"00000002$HASH","target":"$HASH","midstate":"$HASH"},"error":null,"id":0}"#,
};

pub(super) const TEMPLATE: Script = Script {
    told: told("getblocktemplate"),
    opening: &[
        r#"{"id": "$ID", "method": "getblocktemplate", "params": [{"capabilities": ["coinbasetxn", "workid", "coinbase/append"], "rules": ["segwit"]}]}"#,
    ],
    submit: r#"{"id": "$ID", "method": "submitblock", "params": ["00000020$HASH$HASH"]}"#,
    keepalive: None,
    answers: &[
        (
            "getblocktemplate",
            &[
                r#"{"result":{"version":536870912,"previousblockhash":"$HASH","transactions":[],"coinbaseaux":{},"coinbasevalue":312500000,"noncerange":"00000000ffffffff"},"error":null,"id":"$ID"}"#,
            ],
        ),
        ("submitblock", &[r#"{"result":null,"error":null,"id":"$ID"}"#]),
    ],
    logs_in: "getblocktemplate",
    notices: &[],
    job: r#"{"result":{"version":536870912,"previousblockhash":"$HASH","coinbasevalue":312500000},"error":null,"id":7}"#,
};

/// A block that is handed in is any coin's.
pub(super) const MONERO: Script = Script {
    told: Told { share: "getblocktemplate", ..told("monero-daemon") },
    opening: &[
        r#"{"id":"$ID","jsonrpc":"2.0","method":"getblocktemplate","params":{"wallet_address":"$WALLET","extra_nonce":"0011223344556677"}}"#,
    ],
    submit: r#"{"id":"$ID","jsonrpc":"2.0","method":"submitblock","params":["1010$HASH"]}"#,
    keepalive: None,
    answers: &[
        (
            "getblocktemplate",
            &[
                r#"{"id":"$ID","jsonrpc":"2.0","result":{"blocktemplate_blob":"1010e6d8","blockhashing_blob":"1010e6d8","difficulty":300000,"height":3000000,"prev_hash":"$HASH","seed_hash":"$HASH","status":"OK"}}"#,
            ],
        ),
        ("submitblock", &[r#"{"id":"$ID","jsonrpc":"2.0","result":{"status":"OK"}}"#]),
    ],
    logs_in: "getblocktemplate",
    notices: &[],
    job: r#"{"id":7,"jsonrpc":"2.0","result":{"blocktemplate_blob":"1010e6d8","difficulty":300000,"status":"OK"}}"#,
};

/// The candidate is asked for by a request line without a body; the miner's first message is its
/// solution.
pub(super) const ERGO: Script = Script {
    told: told("ergo"),
    opening: &[],
    submit: r#"{"pk":"0278011ec0cf5feb92d61adb51dcb75876627ace6fd9446ab4cabc5313ab7b39a7","w":"0366ea253123dfdb8d6d9ca2cb9ea98629e8f34015b1e4ba942b1d88badfcc6a12","n":"0000000010c006cf","d":98765e0}"#,
    keepalive: None,
    answers: &[("", &[])],
    logs_in: "",
    notices: &[],
    job: r#"{"msg":"$HASH","b":748014723576678314041035877227113663879264849498014394977645987,"h":900000,"pk":"0278011ec0cf5feb92d61adb51dcb75876627ace6fd9446ab4cabc5313ab7b39a7"}"#,
};
