//! The dialects by name.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::script::{Script, Told};
use super::{browser, coins, cryptonote, ethereum, graph, node, v1};

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
    /// EthereumStratum/2.0.0 (EIP-1571): `mining.hello`.
    Ethereumstratum2,
    /// EthProxy as Claymore's miner wrote it: the method last.
    Claymore,
    /// V1 by NiceHash, with its signed subscription.
    Nicehash,
    /// Zcash (ZIP 301).
    Equihash,
    /// Ravencoin and other KawPow coins.
    Kawpow,
    /// Kaspa.
    Kaspa,
    /// Ergo's pools.
    Ergo,
    /// Conflux (Octopus).
    Conflux,
    /// Xelis.
    Xelis,
    /// Alephium's pools.
    Alephium,
    /// Iron Fish: `body` instead of `params`.
    IronFish,
    /// Monero as xmr-stak spoke it.
    XmrStak,
    /// Monero as older programs wrote it, with spaces and without `jsonrpc`.
    Cryptonote,
    /// Monero with MoneroOcean's speeds.
    Moneroocean,
    /// Monero with blocks that the miner makes itself.
    SelfSelect,
    /// Grin.
    Grin,
    /// Beam.
    Beam,
    /// CoinHive's protocol, inside a websocket.
    Coinhive,
    /// webminerpool, inside a websocket.
    Webminerpool,
    /// Nimiq's pools, inside a websocket.
    Nimiq,
    /// getwork, inside HTTP.
    Getwork,
    /// getblocktemplate, inside HTTP.
    Getblocktemplate,
    /// XMRig against a Monero node, inside HTTP.
    MoneroDaemon,
    /// `eth_getWork` against a node, inside HTTP.
    EthGetwork,
    /// Ergo's reference miner against a node, inside HTTP.
    ErgoNode,
}

impl Dialect {
    /// The dialects that most sessions speak, for tests that need a laboratory for each.
    pub const COMMON: [Dialect; 4] =
        [Dialect::StratumV1, Dialect::Xmrig, Dialect::Ethproxy, Dialect::Ethereumstratum];

    /// Every dialect.
    pub fn all() -> &'static [Dialect] {
        Dialect::value_variants()
    }

    /// The dialect's name as on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
    }

    /// What the built-in signatures call it.
    pub fn told(self) -> Told {
        self.script().told
    }

    pub(super) fn script(self) -> &'static Script {
        match self {
            Dialect::StratumV1 => &v1::BITCOIN,
            Dialect::Nicehash => &v1::NICEHASH,
            Dialect::Equihash => &v1::EQUIHASH,
            Dialect::Kawpow => &v1::KAWPOW,
            Dialect::Kaspa => &coins::KASPA,
            Dialect::Ergo => &coins::ERGO,
            Dialect::Conflux => &coins::CONFLUX,
            Dialect::Xelis => &coins::XELIS,
            Dialect::Alephium => &coins::ALEPHIUM,
            Dialect::IronFish => &coins::IRON_FISH,
            Dialect::Xmrig => &cryptonote::XMRIG,
            Dialect::XmrStak => &cryptonote::XMR_STAK,
            Dialect::Cryptonote => &cryptonote::OLDER,
            Dialect::Moneroocean => &cryptonote::MONEROOCEAN,
            Dialect::SelfSelect => &cryptonote::SELF_SELECT,
            Dialect::Grin => &graph::GRIN,
            Dialect::Beam => &graph::BEAM,
            Dialect::Ethproxy => &ethereum::ETHPROXY,
            Dialect::Claymore => &ethereum::CLAYMORE,
            Dialect::Ethereumstratum => &ethereum::STRATUM_1,
            Dialect::Ethereumstratum2 => &ethereum::STRATUM_2,
            Dialect::EthGetwork => &ethereum::GETWORK,
            Dialect::Coinhive => &browser::COINHIVE,
            Dialect::Webminerpool => &browser::WEBMINERPOOL,
            Dialect::Nimiq => &browser::NIMIQ,
            Dialect::Getwork => &node::GETWORK,
            Dialect::Getblocktemplate => &node::TEMPLATE,
            Dialect::MoneroDaemon => &node::MONERO,
            Dialect::ErgoNode => &node::ERGO,
        }
    }
}
