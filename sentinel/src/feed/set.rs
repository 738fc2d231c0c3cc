//! All feeds together: what goes into the kernel, and what an event is about.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use sentinel_common::address::{self, Address};
use sentinel_common::feed::{EXEMPT, listing};
use sentinel_common::limits::{MAX_FEED_ADDRESSES, MAX_FEED_DOMAINS};
use sentinel_common::names::MAX_LABELS;
use serde::Serialize;

use super::FeedError;
use super::entry::Entry;
use super::network::Network;
use super::parse::Header;

/// A feed of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// What it calls itself, or its file's name.
    pub name: String,
    /// The file.
    pub file: String,
    /// Where it can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What one may do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// When it was brought up to date, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// How much of it is in force: what an earlier feed named first is not counted here.
    #[serde(flatten)]
    pub entries: Tally,
}

/// Numbers of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Domains.
    pub domains: usize,
    /// Addresses.
    pub addresses: usize,
    /// Prefixes.
    pub prefixes: usize,
}

/// Why something is a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The feed.
    pub feed: &'a Feed,
    /// Its entry: a domain, an address or a prefix.
    pub entry: String,
}

/// Feeds in force. Lists are sorted; the number beside an entry is its feed's, from 1 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedSet {
    feeds: Vec<Feed>,
    domains: Vec<(Box<str>, u16)>,
    addresses: Vec<(Address, u16)>,
    networks: Vec<(Network, u16)>,
    /// Lengths of the prefixes, so that a lookup tries no other.
    lens: BTreeSet<u8>,
}

impl FeedSet {
    /// The feeds, in the order of their numbers.
    #[must_use]
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Domains, sorted.
    #[must_use]
    pub fn domains(&self) -> &[(Box<str>, u16)] {
        &self.domains
    }

    /// Addresses, sorted; the number 0 marks one that is exempt ([`EXEMPT`]).
    #[must_use]
    pub fn addresses(&self) -> &[(Address, u16)] {
        &self.addresses
    }

    /// Prefixes, sorted.
    #[must_use]
    pub fn networks(&self) -> &[(Network, u16)] {
        &self.networks
    }

    /// How many entries there are.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            domains: self.domains.len(),
            addresses: self.addresses.len(),
            prefixes: self.networks.len(),
        }
    }

    /// The longest domain at the end of a name, which is lower-case and has no dot at its end.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<Hit<'_>> {
        let dots = name.rmatch_indices('.').map(|(at, _)| at + 1);
        let ends: Vec<usize> = dots.chain([0]).take(MAX_LABELS).collect();
        ends.iter().rev().find_map(|start| {
            let domain = name.get(*start..)?;
            let feed = value(&self.domains, |key| key.as_ref().cmp(domain))?;
            Some(Hit { feed: self.feed(feed)?, entry: domain.to_owned() })
        })
    }

    /// The address, or the longest prefix around it: what the kernel finds.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Option<Hit<'_>> {
        let remote = address::of(address);
        let mut around = None;
        let feed = listing(
            &remote,
            || value(&self.addresses, |key| key.cmp(&remote)).map(u32::from),
            || {
                around = self.network(&remote);
                around.map(|(_, feed)| u32::from(feed))
            },
        )?;
        let entry = around.map_or_else(
            || Ipv6Addr::from(remote).to_canonical().to_string(),
            |(network, _)| network.to_string(),
        );
        Some(Hit { feed: self.feed(u16::try_from(feed).ok()?)?, entry })
    }

    /// The longest prefix around an address.
    fn network(&self, address: &Address) -> Option<(Network, u16)> {
        self.lens.iter().rev().find_map(|len| {
            let network = Network::around(address, *len);
            value(&self.networks, |key| key.cmp(&network)).map(|feed| (network, feed))
        })
    }

    fn feed(&self, number: u16) -> Option<&Feed> {
        self.feeds.get(usize::from(number).checked_sub(1)?)
    }

    /// Marks addresses that no feed may speak against; those that none names need no mark.
    ///
    /// # Errors
    /// When the marks do not fit beside the addresses.
    pub fn exempt(&mut self, addresses: &[Address]) -> Result<(), FeedError> {
        for address in addresses {
            match self.addresses.binary_search_by(|(key, _)| key.cmp(address)) {
                Ok(at) => {
                    if let Some((_, feed)) = self.addresses.get_mut(at) {
                        *feed = EXEMPT as u16;
                    }
                }
                Err(at) if self.network(address).is_some() => {
                    self.addresses.insert(at, (*address, EXEMPT as u16));
                }
                Err(_) => {}
            }
        }
        fits(self.addresses.len(), ADDRESSES)
    }
}

/// The value beside a key, found by its order relative to the one looked for.
fn value<K>(list: &[(K, u16)], order: impl Fn(&K) -> std::cmp::Ordering) -> Option<u16> {
    let at = list.binary_search_by(|(key, _)| order(key)).ok()?;
    list.get(at).map(|(_, feed)| *feed)
}

const DOMAINS: (&str, usize) = ("domains", MAX_FEED_DOMAINS);
const ADDRESSES: (&str, usize) = ("addresses", MAX_FEED_ADDRESSES);
const PREFIXES: (&str, usize) = ("prefixes", MAX_FEED_ADDRESSES);

fn fits(found: usize, (what, limit): (&'static str, usize)) -> Result<(), FeedError> {
    if found > limit { Err(FeedError::TooMany { what, limit }) } else { Ok(()) }
}

/// A set that is being read.
#[derive(Debug, Default)]
pub(super) struct Builder(FeedSet);

impl Builder {
    /// Begins a feed, and returns its number.
    pub(super) fn begin(&mut self) -> u16 {
        u16::try_from(self.0.feeds.len() + 1).unwrap_or(u16::MAX)
    }

    pub(super) fn push(&mut self, entry: Entry, feed: u16) {
        match entry {
            Entry::Domain(name) => self.0.domains.push((name, feed)),
            Entry::Address(address) => self.0.addresses.push((address, feed)),
            Entry::Network(network) => self.0.networks.push((network, feed)),
        }
    }

    /// Keeps memory bounded: a list of twice what fits is rid of what it says twice, and if that
    /// does not help it is too long.
    pub(super) fn check(&mut self) -> Result<(), FeedError> {
        let FeedSet { domains, addresses, networks, .. } = &mut self.0;
        condense(domains, DOMAINS, 2)?;
        condense(addresses, ADDRESSES, 2)?;
        condense(networks, PREFIXES, 2)
    }

    /// Ends a feed.
    pub(super) fn describe(&mut self, file: &str, header: Header) {
        let Header { name, source, license, updated } = header;
        let stem = || {
            let stem = std::path::Path::new(file).file_stem();
            stem.map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
        };
        let name = name.unwrap_or_else(stem);
        let entries = Tally::default();
        let file = file.to_owned();
        self.0.feeds.push(Feed { name, file, source, license, updated, entries });
    }

    /// The set, each entry once.
    pub(super) fn finish(self) -> Result<FeedSet, FeedError> {
        let Self(mut set) = self;
        condense(&mut set.domains, DOMAINS, 0)?;
        condense(&mut set.addresses, ADDRESSES, 0)?;
        condense(&mut set.networks, PREFIXES, 0)?;
        set.lens = set.networks.iter().map(|(network, _)| network.len).collect();
        let FeedSet { feeds, domains, addresses, networks, .. } = &mut set;
        count(feeds, domains, |tally| &mut tally.domains);
        count(feeds, addresses, |tally| &mut tally.addresses);
        count(feeds, networks, |tally| &mut tally.prefixes);
        Ok(set)
    }
}

/// Sorts a list that has grown to `times` its limit and drops what it says twice: of two feeds the
/// first stays.
fn condense<K: Ord>(
    list: &mut Vec<(K, u16)>,
    limit: (&'static str, usize),
    times: usize,
) -> Result<(), FeedError> {
    if list.len() < times * limit.1 {
        return Ok(());
    }
    list.sort_unstable();
    list.dedup_by(|later, first| later.0 == first.0);
    if times == 0 {
        list.shrink_to_fit();
    }
    fits(list.len(), limit)
}

fn count<K>(feeds: &mut [Feed], list: &[(K, u16)], field: impl Fn(&mut Tally) -> &mut usize) {
    for (_, number) in list {
        let index = usize::from(*number).wrapping_sub(1);
        if let Some(feed) = feeds.get_mut(index) {
            *field(&mut feed.entries) += 1;
        }
    }
}
