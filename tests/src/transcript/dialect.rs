//! The dialects and what each says, as data.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::json::Node;

/// A wallet in the shape of a Monero address; it belongs to nobody.
pub const WALLET: &str = "48LabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLab";
/// What the Bitcoin miner calls itself.
pub const V1_AGENT: &str = "labminer/1.0";
/// What the Monero miner calls itself.
pub const XMRIG_AGENT: &str = "XMRig/6.26.0 (Linux x86_64) libuv/1.48.0 gcc/13.2.1";
/// The Bitcoin worker.
pub const V1_WORKER: &str = "lab.worker1";
/// The Ethereum account.
pub const ETH_ACCOUNT: &str = "0x1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1";

/// How a miner and a pool talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Bitcoin Stratum V1: `mining.configure`, `mining.subscribe`, `mining.authorize`.
    StratumV1,
    /// Monero as XMRig speaks it: `login`.
    Xmrig,
    /// EthProxy: `eth_submitLogin`, `eth_getWork`.
    Ethproxy,
    /// EthereumStratum/1.0.0: `mining.subscribe` with the protocol's name.
    Ethereumstratum,
}

impl Dialect {
    /// Every dialect, for tests that go through all.
    pub const ALL: [Dialect; 4] =
        [Dialect::StratumV1, Dialect::Xmrig, Dialect::Ethproxy, Dialect::Ethereumstratum];

    /// The dialect's name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::StratumV1 => "stratum-v1",
            Dialect::Xmrig => "xmrig",
            Dialect::Ethproxy => "ethproxy",
            Dialect::Ethereumstratum => "ethereumstratum",
        }
    }
}

/// The requests that open a session, without their ids.
pub(super) fn opening(dialect: Dialect) -> Vec<Node> {
    match dialect {
        Dialect::StratumV1 => vec![
            call("mining.configure", list([list([text("version-rolling")]), version_mask()])),
            call("mining.subscribe", list([text(V1_AGENT)])),
            call("mining.authorize", list([text(V1_WORKER), text("x")])),
        ],
        Dialect::Xmrig => vec![versioned("login", xmrig_login())],
        Dialect::Ethproxy => vec![
            Node::Map(vec![
                member("method", text("eth_submitLogin")),
                member("params", list([text(ETH_ACCOUNT), text("x")])),
                member("worker", text("rig1")),
            ]),
            call("eth_getWork", list([])),
        ],
        Dialect::Ethereumstratum => vec![
            call("mining.subscribe", list([text(V1_AGENT), text("EthereumStratum/1.0.0")])),
            call("mining.authorize", list([text(ETH_ACCOUNT), text("x")])),
        ],
    }
}

/// The request by which a miner hands in a share. The numbers are made up: nothing was hashed.
pub(super) fn submit(dialect: Dialect) -> Node {
    match dialect {
        Dialect::StratumV1 => {
            let share = [V1_WORKER, "1b", "00000001", "65a1b2c3", "deadbeef"];
            call("mining.submit", list(share.map(text)))
        }
        Dialect::Xmrig => versioned(
            "submit",
            Node::Map(vec![
                member("id", text("lab-session")),
                member("job_id", text("1b")),
                member("nonce", text("deadbeef")),
                member("result", text(&"ab".repeat(32))),
            ]),
        ),
        Dialect::Ethproxy => {
            let (header, mix) =
                (format!("0x{}", "cd".repeat(32)), format!("0x{}", "ef".repeat(32)));
            call("eth_submitWork", list([text("0xdeadbeefdeadbeef"), text(&header), text(&mix)]))
        }
        Dialect::Ethereumstratum => {
            call("mining.submit", list([text(ETH_ACCOUNT), text("1b"), text("deadbeef")]))
        }
    }
}

/// The request that keeps a quiet session open, where the dialect has one.
pub(super) fn keepalive(dialect: Dialect) -> Option<Node> {
    let params = Node::Map(vec![member("id", text("lab-session"))]);
    (dialect == Dialect::Xmrig).then(|| versioned("keepalived", params))
}

fn xmrig_login() -> Node {
    Node::Map(vec![
        member("login", text(WALLET)),
        member("pass", text("x")),
        member("agent", text(XMRIG_AGENT)),
        member("algo", list(["rx/0", "rx/wow", "cn/r", "argon2/chukwa"].map(text))),
    ])
}

fn version_mask() -> Node {
    Node::Map(vec![member("version-rolling.mask", text("ffffffff"))])
}

fn call(method: &str, params: Node) -> Node {
    Node::Map(vec![member("method", text(method)), member("params", params)])
}

fn versioned(method: &str, params: Node) -> Node {
    let version = member("jsonrpc", text("2.0"));
    Node::Map(vec![version, member("method", text(method)), member("params", params)])
}

fn member(key: &str, value: Node) -> (String, Node) {
    (key.to_owned(), value)
}

fn text(value: &str) -> Node {
    Node::Text(value.to_owned())
}

fn list<const N: usize>(items: [Node; N]) -> Node {
    Node::List(items.into())
}
