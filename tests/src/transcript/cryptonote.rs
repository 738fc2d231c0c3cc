//! Monero and its kin, in the key orders of their programs.

use super::script::{Script, told};

const SUBMITTED: &[&str] =
    &[r#"{"id":"$ID","jsonrpc":"2.0","error":null,"result":{"status":"OK"}}"#];

pub(super) const XMRIG: Script = Script {
    told: told("monero"),
    opening: &[
        r#"{"id":"$ID","jsonrpc":"2.0","method":"login","params":{"login":"$WALLET","pass":"x","agent":"$AGENT","algo":["rx/0","rx/wow","cn/r","argon2/chukwa"]}}"#,
    ],
    submit: r#"{"id":"$ID","jsonrpc":"2.0","method":"submit","params":{"id":"lab-session","job_id":"1b","nonce":"deadbeef","result":"$HASH"}}"#,
    keepalive: Some(
        r#"{"id":"$ID","jsonrpc":"2.0","method":"keepalived","params":{"id":"lab-session"}}"#,
    ),
    answers: &[
        (
            "login",
            &[
                r#"{"jsonrpc":"2.0","id":"$ID","error":null,"result":{"id":"lab-session","job":{"blob":"1010e6d8","job_id":"1b","target":"b88d0600","algo":"rx/0","height":3000000,"seed_hash":"$HASH"},"extensions":["algo","nicehash","connect","tls","keepalive"],"status":"OK"}}"#,
            ],
        ),
        ("submit", SUBMITTED),
        (
            "keepalived",
            &[r#"{"id":"$ID","jsonrpc":"2.0","error":null,"result":{"status":"KEEPALIVED"}}"#],
        ),
    ],
    logs_in: "login",
    notices: &[r#"{"method":"client.reconnect","params":["pool.example.org","3333"]}"#],
    job: r#"{"jsonrpc":"2.0","method":"job","params":{"blob":"1010e6d8","job_id":"1c","target":"b88d0600","algo":"rx/0","height":3000001,"seed_hash":"$HASH"}}"#,
};

pub(super) const XMR_STAK: Script = Script {
    opening: &[
        r#"{"method":"login","params":{"login":"$WALLET","pass":"x","rigid":"","agent":"xmr-stak/2.10.8/cb7fd2c8/master/lin/cpu/20"},"id":"$ID"}"#,
    ],
    submit: r#"{"method":"submit","params":{"id":"lab-session","job_id":"1b","nonce":"deadbeef","result":"$HASH"},"id":"$ID"}"#,
    ..XMRIG
};

pub(super) const OLDER: Script = Script {
    opening: &[
        r#"{"method": "login", "params": {"login": "$WALLET.lab+5000", "pass": "donations"}, "id": "$ID"}"#,
    ],
    answers: &[
        (
            "login",
            &[
                r#"{"id":"$ID","result":{"id":"lab-session","job":{"job_id":"1b","blob":"0707e6d8","target":"b88d0600"},"status":"OK"},"error":null}"#,
            ],
        ),
        (
            "getjob",
            &[r#"{"id":"$ID","result":{"job_id":"1b","blob":"0707e6d8","target":"e4a63d00"}}"#],
        ),
        ("submit", SUBMITTED),
        (
            "keepalived",
            &[r#"{"id":"$ID","jsonrpc":"2.0","error":null,"result":{"status":"KEEPALIVED"}}"#],
        ),
    ],
    ..XMRIG
};

pub(super) const MONEROOCEAN: Script = Script {
    opening: &[
        r#"{"method":"login","params":{"login":"lab-account","pass":"rig1","agent":"web","algo":["cn/half","rx/0"],"algo-perf":{"cn/half":1.5,"rx/0":1}},"id":"$ID"}"#,
    ],
    ..XMRIG
};

/// The pool sends its wallet, the miner makes the block and shows it.
pub(super) const SELF_SELECT: Script = Script {
    opening: &[
        r#"{"id":"$ID","jsonrpc":"2.0","method":"login","params":{"login":"lab-account","pass":"rig1","agent":"lab/1","mode":"self-select"}}"#,
    ],
    answers: &[
        (
            "login",
            &[
                r#"{"id":"$ID","jsonrpc":"2.0","error":null,"result":{"id":"lab-session","job":{"pool_wallet":"$WALLET","extra_nonce":"0011","job_id":"1b","target":"b88d0600"},"status":"OK"}}"#,
            ],
        ),
        ("block_template", SUBMITTED),
        ("submit", SUBMITTED),
        (
            "keepalived",
            &[r#"{"id":"$ID","jsonrpc":"2.0","error":null,"result":{"status":"KEEPALIVED"}}"#],
        ),
    ],
    job: r#"{"jsonrpc":"2.0","method":"job","params":{"pool_wallet":"$WALLET","extra_nonce":"0011","job_id":"1c","target":"b88d0600"}}"#,
    ..XMRIG
};
