//! What a pool answers to each request, by dialect.

use serde_json::{Value, json};

use crate::transcript::Dialect;

/// The answers given on one connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// True once the miner may get jobs.
    pub(super) logged_in: bool,
}

impl Answers {
    /// The lines that answer one received line; none for what is no request.
    pub(super) fn to(&mut self, dialect: Dialect, line: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(line);
        let Ok(request) = serde_json::from_str::<Value>(text.trim_matches(is_padding)) else {
            return Vec::new();
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
        let Some(result) = result(dialect, method) else {
            return vec![line_of(&json!({"id": id, "result": null,
                "error": {"code": -32601, "message": "Method not found"}}))];
        };
        let mut lines = vec![line_of(&reply(dialect, id, result))];
        if matches!(method, "login" | "mining.authorize" | "eth_submitLogin") {
            self.logged_in = true;
            if matches!(dialect, Dialect::StratumV1 | Dialect::Ethereumstratum) {
                lines.push(line_of(&json!({"id": null, "method": "mining.set_difficulty",
                    "params": [512]})));
                lines.push(job(dialect));
            }
        }
        lines
    }
}

/// A notification of new work.
pub(super) fn job(dialect: Dialect) -> String {
    let hash = "5b".repeat(32);
    line_of(&match dialect {
        Dialect::StratumV1 => json!({"id": null, "method": "mining.notify", "params": ["1b", hash,
            "01000000", "ffffffff", [], "20000000", "1703a30c", "65a1b2c3", true]}),
        Dialect::Xmrig => json!({"jsonrpc": "2.0", "method": "job", "params": xmrig_job()}),
        Dialect::Ethproxy => json!({"id": 0, "jsonrpc": "2.0", "result": eth_work()}),
        Dialect::Ethereumstratum => {
            json!({"id": null, "method": "mining.notify", "params": ["1b", hash, hash, true]})
        }
    })
}

fn reply(dialect: Dialect, id: Value, result: Value) -> Value {
    match dialect {
        Dialect::Xmrig => json!({"jsonrpc": "2.0", "id": id, "error": null, "result": result}),
        Dialect::Ethproxy => json!({"id": id, "jsonrpc": "2.0", "result": result}),
        _ => json!({"id": id, "result": result, "error": null}),
    }
}

/// The result of a method, if a pool of this dialect knows it.
fn result(dialect: Dialect, method: &str) -> Option<Value> {
    Some(match (dialect, method) {
        (Dialect::StratumV1, "mining.configure") => {
            json!({"version-rolling": true, "version-rolling.mask": "1fffe000"})
        }
        (Dialect::StratumV1, "mining.subscribe") => {
            json!([[["mining.set_difficulty", "1ab"], ["mining.notify", "1ab"]], "f000000a", 4])
        }
        (Dialect::Ethereumstratum, "mining.subscribe") => {
            json!([["mining.notify", "1ab0".repeat(8), "EthereumStratum/1.0.0"], "080c"])
        }
        (
            Dialect::StratumV1 | Dialect::Ethereumstratum,
            "mining.authorize" | "mining.submit" | "mining.extranonce.subscribe",
        ) => json!(true),
        (Dialect::Xmrig, "login") => json!({"id": "lab-session", "job": xmrig_job(),
            "extensions": ["algo", "nicehash", "keepalive"], "status": "OK"}),
        (Dialect::Xmrig, "submit") => json!({"status": "OK"}),
        (Dialect::Xmrig, "keepalived") => json!({"status": "KEEPALIVED"}),
        (Dialect::Ethproxy, "eth_submitLogin" | "eth_submitWork" | "eth_submitHashrate") => {
            json!(true)
        }
        (Dialect::Ethproxy, "eth_getWork") => eth_work(),
        _ => return None,
    })
}

fn xmrig_job() -> Value {
    json!({"blob": "10".repeat(76), "job_id": "1b", "target": "b88d0600", "algo": "rx/0",
        "height": 3_000_000, "seed_hash": "5b".repeat(32)})
}

fn eth_work() -> Value {
    let word = |byte: &str| format!("0x{}", byte.repeat(32));
    json!([word("cd"), word("5b"), word("00")])
}

fn is_padding(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

fn line_of(value: &Value) -> String {
    format!("{value}\n")
}
