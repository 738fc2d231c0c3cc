//! What both sides of a dialect say, as data.

use super::json::Node;
use super::variant::{Ids, Variant};

/// A wallet in the shape of a Monero address; it belongs to nobody.
pub const WALLET: &str = "48LabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLabLab";
/// What the Monero miner calls itself.
pub const XMRIG_AGENT: &str = "XMRig/6.26.0 (Linux x86_64) libuv/1.48.0 gcc/13.2.1";
/// What the Bitcoin miner calls itself.
pub const V1_AGENT: &str = "labminer/1.0";
/// The Bitcoin worker.
pub const V1_WORKER: &str = "lab.worker1";
/// The Ethereum account.
pub const ETH_ACCOUNT: &str = "0x1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1ab1";
/// Thirty-two bytes that were never a hash.
const HASH: &str = "5bababababababababababababababababababababababababababababababab";

/// A dialect: messages as JSON texts, in the key order of the real programs.
///
/// `$WALLET`, `$AGENT`, `$HASH` and the like stand for the constants above, and `"id":"$ID"` for the
/// id that a variant or a request gives.
pub(super) struct Script {
    /// The signature's name for each part of a session.
    pub(super) told: Told,
    /// The requests that open a session.
    pub(super) opening: &'static [&'static str],
    /// The request by which a miner hands in a share. The numbers are made up: nothing was hashed.
    pub(super) submit: &'static str,
    /// What keeps a quiet session open, where the dialect has it.
    pub(super) keepalive: Option<&'static str>,
    /// What the pool answers to a request's word (its method, type, identifier or message).
    pub(super) answers: &'static [(&'static str, &'static [&'static str])],
    /// The word after whose answer the miner gets jobs.
    pub(super) logs_in: &'static str,
    /// What the pool says unasked now and then.
    pub(super) notices: &'static [&'static str],
    /// New work.
    pub(super) job: &'static str,
}

/// The dialect's name in the signatures, by what is seen of a session first. Empty where that alone
/// says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The miner's opening and first share.
    pub opening: &'static str,
    /// A share of a session that has gone on for long.
    pub share: &'static str,
    /// The pool's answers and what follows.
    pub pool: &'static str,
    /// A job of a session that has gone on for long.
    pub job: &'static str,
}

/// Every part of a session tells the dialect.
pub(super) const fn told(name: &'static str) -> Told {
    Told { opening: name, share: name, pool: name, job: name }
}

/// A message of a script, with its id: none leaves the key away.
pub(super) fn message(text: &str, id: Option<&str>) -> Node {
    let text = text
        .replace("$WALLET", WALLET)
        .replace("$AGENT", XMRIG_AGENT)
        .replace("$HASH", HASH)
        .replace("$ETH", ETH_ACCOUNT)
        .replace("$V1_AGENT", V1_AGENT)
        .replace("$WORKER", V1_WORKER)
        .replace("\"$ID\"", id.unwrap_or("0"));
    let mut node = Node::parse(&text);
    if let (Node::Map(members), None) = (&mut node, id) {
        members.retain(|(key, _)| key != "id");
    }
    node
}

/// The id that a variant gives the request or answer with this number.
pub(super) fn id(number: u32, variant: &Variant) -> Option<String> {
    match variant.ids {
        Ids::Number => Some(number.to_string()),
        Ids::String => Some(format!("\"auth-{number}\"")),
        Ids::Float => Some(format!("{number}.0")),
        Ids::Null => Some("null".to_owned()),
        Ids::Missing => None,
    }
}
