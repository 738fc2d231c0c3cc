//! Destinations to rules: the same ports together, many neighbours as one prefix, many ports as one range.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Destination, NameSource, Seen};

/// Port ranges of one destination; a prefix has room for twice as many, since those of a prefix around
/// it count there too ([`sentinel_common::limits::MAX_PORT_RANGES`]).
const RANGES: usize = 8;
/// Ports of a protocol that are named one by one; more become one range from the first to the last.
const PORTS: usize = 4;

/// Ports of one protocol, the last inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) protocol: u8,
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Whom a rule names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Prefix(IpNet),
    Name(String),
}

/// What was seen of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) side: Side,
    pub(super) addresses: usize,
    pub(super) count: u64,
    pub(super) first: String,
    pub(super) last: String,
    /// What clients called it.
    pub(super) called: BTreeSet<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) sides: Vec<Evidence>,
    pub(super) ranges: Vec<Range>,
}

/// Rules that allow all that was seen. From `merge` neighbours with the same ports on, the whole /24 or
/// /64 is allowed; 0 is never.
pub(super) fn rules(seen: &BTreeMap<Destination, Seen>, merge: usize) -> Vec<Rule> {
    let mut sides: BTreeMap<Side, (BTreeSet<(u8, u16)>, Evidence)> = BTreeMap::new();
    for (to, seen) in seen {
        let side = match &seen.name {
            Some((NameSource::Lookup, name)) => Side::Name(name.clone()),
            _ => Side::Prefix(IpNet::from(to.address)),
        };
        let (ports, evidence) = sides
            .entry(side.clone())
            .or_insert_with(|| (BTreeSet::new(), Evidence::none(side, seen)));
        ports.insert((to.protocol, to.port));
        evidence.add(seen);
    }
    let mut rules: BTreeMap<Vec<Range>, Vec<Evidence>> = BTreeMap::new();
    for (ports, evidence) in sides.into_values() {
        rules.entry(ranges(&ports)).or_default().push(evidence);
    }
    let rule = |(ranges, sides)| Rule { ranges, sides: joined(sides, merge) };
    rules.into_iter().map(rule).collect()
}

impl Evidence {
    fn none(side: Side, seen: &Seen) -> Self {
        let (first, last) = (seen.first.clone(), seen.last.clone());
        Self { side, addresses: 1, count: 0, first, last, called: BTreeSet::new() }
    }

    fn add(&mut self, seen: &Seen) {
        self.count += seen.count;
        if seen.first < self.first {
            self.first.clone_from(&seen.first);
        }
        if seen.last > self.last {
            self.last.clone_from(&seen.last);
        }
        if let Some((NameSource::Handshake, name)) = &seen.name {
            self.called.insert(name.clone());
        }
    }

    fn join(&mut self, other: Self) {
        self.addresses += other.addresses;
        self.count += other.count;
        self.first = std::mem::take(&mut self.first).min(other.first);
        self.last = std::mem::take(&mut self.last).max(other.last);
        self.called.extend(other.called);
    }
}

fn ranges(ports: &BTreeSet<(u8, u16)>) -> Vec<Range> {
    let mut by_protocol: BTreeMap<u8, Vec<u16>> = BTreeMap::new();
    for (protocol, port) in ports {
        by_protocol.entry(*protocol).or_default().push(*port);
    }
    let most = if ports.len() > RANGES { 1 } else { PORTS };
    let mut ranges = Vec::new();
    for (protocol, ports) in by_protocol {
        match (ports.first(), ports.last()) {
            (Some(&first), Some(&last)) if ports.len() > most => {
                ranges.push(Range { protocol, first, last });
            }
            _ => ranges.extend(ports.into_iter().map(|port| Range {
                protocol,
                first: port,
                last: port,
            })),
        }
    }
    ranges
}

/// The /24 of an IPv4 address, the /64 of an IPv6 one.
fn neighbourhood(side: &Side) -> Option<IpNet> {
    let Side::Prefix(prefix) = side else { return None };
    let len = match prefix.addr() {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    IpNet::new(prefix.addr(), len).ok().map(|net| net.trunc())
}

fn joined(sides: Vec<Evidence>, merge: usize) -> Vec<Evidence> {
    let mut around: BTreeMap<Option<IpNet>, Vec<Evidence>> = BTreeMap::new();
    for side in sides {
        around.entry(neighbourhood(&side.side)).or_default().push(side);
    }
    let mut all = Vec::new();
    for (net, sides) in around {
        let is_many = merge > 0 && sides.len() >= merge;
        let Some(net) = net.filter(|_| is_many) else {
            all.extend(sides);
            continue;
        };
        let mut sides = sides.into_iter();
        let Some(mut whole) = sides.next() else { continue };
        whole.side = Side::Prefix(net);
        sides.for_each(|side| whole.join(side));
        all.push(whole);
    }
    all.sort_by(|one, other| one.side.cmp(&other.side));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: Option<(NameSource, &str)>) -> Seen {
        let name = name.map(|(source, name)| (source, name.to_owned()));
        Seen { count: 2, first: "1".to_owned(), last: "2".to_owned(), name }
    }

    fn to(last: u8, port: u16) -> Destination {
        Destination { address: IpAddr::from([192, 0, 2, last]), protocol: 6, port }
    }

    #[test]
    fn many_neighbours_with_the_same_ports_are_one_prefix() {
        let all: BTreeMap<_, _> = (1..=8).map(|last| (to(last, 443), seen(None))).collect();
        let merged = rules(&all, 8);
        assert_eq!(merged.len(), 1);
        let side = &merged[0].sides[0];
        assert_eq!(side.side, Side::Prefix("192.0.2.0/24".parse().unwrap()));
        assert_eq!((merged[0].sides.len(), side.addresses, side.count), (1, 8, 16));
        assert_eq!(rules(&all, 9)[0].sides.len(), 8);
        assert_eq!(rules(&all, 0)[0].sides.len(), 8);
    }

    #[test]
    fn many_ports_are_one_range_and_ports_that_differ_are_rules_that_differ() {
        let mut all: BTreeMap<_, _> = (0..5).map(|more| (to(1, 8000 + more), seen(None))).collect();
        all.insert(to(2, 443), seen(None));
        let found = rules(&all, 8);
        let ranges: Vec<_> = found.iter().map(|rule| rule.ranges.clone()).collect();
        let range = |first, last| Range { protocol: 6, first, last };
        assert_eq!(ranges, [vec![range(443, 443)], vec![range(8000, 8004)]]);
    }

    #[test]
    fn a_looked_up_name_is_the_rule_and_a_handshakes_a_remark() {
        let lookup = Some((NameSource::Lookup, "api.example.com"));
        let all = BTreeMap::from([
            (to(1, 443), seen(lookup)),
            (to(2, 443), seen(lookup)),
            (to(3, 443), seen(Some((NameSource::Handshake, "www.example.com")))),
        ]);
        let found = rules(&all, 8);
        assert_eq!(found.len(), 1);
        let sides: Vec<_> = found[0].sides.iter().map(|side| &side.side).collect();
        let address = Side::Prefix("192.0.2.3/32".parse().unwrap());
        assert_eq!(sides, [&address, &Side::Name("api.example.com".to_owned())]);
        assert!(found[0].sides[0].called.contains("www.example.com"));
    }
}
