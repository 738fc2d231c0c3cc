//! One line of a feed to what it means.

use std::net::IpAddr;

use sentinel_common::address::Address;
use sentinel_common::names::{MAX_LABELS, MAX_NAME};

use super::host;
use super::network::{self, Network};

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// This name and every name below it.
    Domain(Box<str>),
    /// This address.
    Address(Address),
    /// Every address under this prefix.
    Network(Network),
}

/// Why a line was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this is not UTF-8; write names in ASCII")]
    NotUtf8,
    #[error("the line has more than {0} bytes: is this a feed?")]
    LongLine(usize),
    #[error("this is no domain, address or prefix; write one, alone on its line")]
    NoName,
    #[error("a name in other letters than ASCII; write its xn-- form")]
    NotAscii,
    #[error("a name has at most {MAX_NAME} characters")]
    LongName,
    #[error("a domain has at most {MAX_LABELS} labels here; write the domain above it")]
    ManyLabels,
    #[error("anyone can register a name below this one; write the pool's own domain")]
    PublicSuffix,
    #[error("what follows the colon is no port from 1 to 65535")]
    NoPort,
    #[error("this is no prefix; write e.g. 198.51.100.0/24 or 2001:db8::/32")]
    NoPrefix,
    #[error("bits are set behind the prefix's length; write {network}")]
    HostBits { network: String },
    #[error(
        "this prefix is too wide to be a pool's; write one of at least {v4} bits for IPv4, {v6} for IPv6"
    )]
    WidePrefix { v4: u8, v6: u8 },
    #[error("{network} is {what}, where no public pool is; take the line out")]
    Reserved { network: String, what: &'static str },
    #[error(
        "two words on a line are a hosts-file line, which begins with 0.0.0.0, 127.0.0.1, :: or ::1"
    )]
    TwoWords,
}

/// Where hosts files send names that must not be reached.
const SINKS: [&str; 4] = ["0.0.0.0", "127.0.0.1", "::", "::1"];
/// What hosts files name besides.
const OWN_NAMES: [&str; 2] = ["localhost.localdomain", "localhost6.localdomain6"];

/// Reads a line without its comment and the spaces around it; not empty. A hosts-file line may
/// mean several things, and the names of this host, which such files begin with, mean none.
pub(super) fn read(text: &str, take: &mut impl FnMut(Entry)) -> Result<(), Refusal> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let mut names = words.peekable();
    if names.peek().is_none() {
        take(one(first)?);
        return Ok(());
    }
    if !SINKS.contains(&first) {
        return Err(Refusal::TwoWords);
    }
    for name in names {
        let is_own = !name.contains('.') || OWN_NAMES.contains(&name) || SINKS.contains(&name);
        if !is_own {
            take(Entry::Domain(host::domain(name)?));
        }
    }
    Ok(())
}

fn one(word: &str) -> Result<Entry, Refusal> {
    // Most feeds are addresses, and most lines of the others are plain domains.
    if let Ok(address) = word.parse::<IpAddr>() {
        return network::address(address).map(Entry::Address);
    }
    if word.contains('/') && !word.contains("://") {
        let network = network::network(word)?;
        let alone = network.len == 128;
        return Ok(if alone { Entry::Address(network.address) } else { Entry::Network(network) });
    }
    let host = host::of(word)?;
    match host.parse::<IpAddr>() {
        Ok(address) => network::address(address).map(Entry::Address),
        Err(_) => host::domain(host).map(Entry::Domain),
    }
}
