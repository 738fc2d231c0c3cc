//! Destinations to rules: the same ports together, many neighbours as one prefix, many ports as one range.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use sentinel_common::learn::Scope;

use super::{Destination, Seen};
use sentinel_common::address;

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
    /// Its addresses.
    pub(super) at: BTreeSet<IpAddr>,
    pub(super) count: u64,
    pub(super) first: String,
    pub(super) last: String,
    /// What clients called it.
    pub(super) called: BTreeSet<String>,
    /// Of a name, those that led to an address of it as well; of an address, those that led there
    /// before some of the connections, but not before all.
    pub(super) others: BTreeSet<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) sides: Vec<Evidence>,
    pub(super) ranges: Vec<Range>,
    /// Its names lead to private addresses too.
    pub(super) private: bool,
}

/// Rules that allow all that was seen. From `merge` neighbours with the same ports on, the whole /24 or
/// /64 is allowed; 0 is never.
pub(super) fn rules(seen: &BTreeMap<Destination, Seen>, merge: usize) -> Vec<Rule> {
    let mut sides: BTreeMap<Side, (BTreeSet<(u8, u16)>, Evidence)> = BTreeMap::new();
    let mut private: BTreeSet<String> = BTreeSet::new();
    for (to, seen) in seen {
        for (side, count) in sides_of(to, seen) {
            if let Side::Name(name) = &side
                && Scope::of(&address::of(to.address)) == Scope::Private
            {
                private.insert(name.clone());
            }
            let (ports, evidence) = sides
                .entry(side.clone())
                .or_insert_with(|| (BTreeSet::new(), Evidence::none(side, seen)));
            ports.insert((to.protocol, to.port));
            evidence.add(to, seen, count);
        }
    }
    let mut rules: BTreeMap<(Vec<Range>, bool), Vec<Evidence>> = BTreeMap::new();
    for (ports, evidence) in sides.into_values() {
        let is_private = matches!(&evidence.side, Side::Name(name) if private.contains(name));
        rules.entry((ranges(&ports), is_private)).or_default().push(evidence);
    }
    let rule = |((ranges, private), sides)| Rule { ranges, private, sides: joined(sides, merge) };
    rules.into_iter().map(rule).collect()
}

/// What a rule on a destination names, and how many connections stand behind each: all names that led there
/// where they explain every connection and a rule on names may open the address, and itself otherwise.
fn sides_of(to: &Destination, seen: &Seen) -> Vec<(Side, u64)> {
    let scope = Scope::of(&address::of(to.address));
    let can_be_named = matches!(scope, Scope::Public | Scope::Private);
    if seen.unexplained || seen.names.is_empty() || !can_be_named {
        return vec![(Side::Prefix(IpNet::from(to.address)), seen.count)];
    }
    seen.names.iter().map(|(name, count)| (Side::Name(name.clone()), *count)).collect()
}

impl Evidence {
    fn none(side: Side, seen: &Seen) -> Self {
        let (first, last) = (seen.first.clone(), seen.last.clone());
        let (called, others) = (BTreeSet::new(), BTreeSet::new());
        Self { side, at: BTreeSet::new(), count: 0, first, last, called, others }
    }

    fn add(&mut self, to: &Destination, seen: &Seen, count: u64) {
        self.count += count;
        self.at.insert(to.address);
        if seen.first < self.first {
            self.first.clone_from(&seen.first);
        }
        if seen.last > self.last {
            self.last.clone_from(&seen.last);
        }
        self.called.extend(seen.called.clone());
        let others = seen.names.keys();
        let others = others.filter(|name| !matches!(&self.side, Side::Name(own) if own == *name));
        self.others.extend(others.cloned());
    }

    fn join(&mut self, other: Self) {
        self.at.extend(other.at);
        self.count += other.count;
        self.first = std::mem::take(&mut self.first).min(other.first);
        self.last = std::mem::take(&mut self.last).max(other.last);
        self.called.extend(other.called);
        self.others.extend(other.others);
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

    fn seen(names: &[&str]) -> Seen {
        let names: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), 2)).collect();
        let unexplained = names.is_empty();
        let (first, last) = ("1".to_owned(), "2".to_owned());
        Seen { count: 2, first, last, called: None, names, unexplained }
    }

    fn to(last: u8, port: u16) -> Destination {
        Destination { address: IpAddr::from([192, 0, 2, last]), protocol: 6, port }
    }

    #[test]
    fn many_neighbours_with_the_same_ports_are_one_prefix() {
        let all: BTreeMap<_, _> = (1..=8).map(|last| (to(last, 443), seen(&[]))).collect();
        let merged = rules(&all, 8);
        assert_eq!(merged.len(), 1);
        let side = &merged[0].sides[0];
        assert_eq!(side.side, Side::Prefix("192.0.2.0/24".parse().unwrap()));
        assert_eq!((merged[0].sides.len(), side.at.len(), side.count), (1, 8, 16));
        assert_eq!(rules(&all, 9)[0].sides.len(), 8);
        assert_eq!(rules(&all, 0)[0].sides.len(), 8);
    }

    #[test]
    fn many_ports_are_one_range_and_ports_that_differ_are_rules_that_differ() {
        let mut all: BTreeMap<_, _> = (0..5).map(|more| (to(1, 8000 + more), seen(&[]))).collect();
        all.insert(to(2, 443), seen(&[]));
        let found = rules(&all, 8);
        let ranges: Vec<_> = found.iter().map(|rule| rule.ranges.clone()).collect();
        let range = |first, last| Range { protocol: 6, first, last };
        assert_eq!(ranges, [vec![range(443, 443)], vec![range(8000, 8004)]]);
    }

    #[test]
    fn a_looked_up_name_is_the_rule_and_a_handshakes_a_remark() {
        let called = Seen { called: Some("www.example.com".to_owned()), ..seen(&[]) };
        let all = BTreeMap::from([
            (to(1, 443), seen(&["api.example.com"])),
            (to(2, 443), seen(&["api.example.com"])),
            (to(3, 443), called),
        ]);
        let found = rules(&all, 8);
        assert_eq!(found.len(), 1);
        let sides: Vec<_> = found[0].sides.iter().map(|side| &side.side).collect();
        let address = Side::Prefix("192.0.2.3/32".parse().unwrap());
        assert_eq!(sides, [&address, &Side::Name("api.example.com".to_owned())]);
        assert!(found[0].sides[0].called.contains("www.example.com"));
        assert_eq!((found[0].sides[1].count, found[0].sides[1].at.len()), (4, 2));
    }

    #[test]
    fn an_address_that_some_connection_reached_without_a_lookup_stays_an_address() {
        let part = Seen { unexplained: true, ..seen(&["api.example.com"]) };
        let all = BTreeMap::from([(to(1, 443), part), (to(2, 443), seen(&["api.example.com"]))]);
        let found = rules(&all, 8);
        let sides: Vec<_> = found[0].sides.iter().map(|side| &side.side).collect();
        let address = Side::Prefix("192.0.2.1/32".parse().unwrap());
        assert_eq!(sides, [&address, &Side::Name("api.example.com".to_owned())]);
        assert!(found[0].sides[0].others.contains("api.example.com"));
        // Nor is one that no rule on names opens.
        let own = Destination { address: "169.254.169.254".parse().unwrap(), ..to(0, 80) };
        let found = rules(&BTreeMap::from([(own, seen(&["metadata.internal"]))]), 8);
        assert!(matches!(found[0].sides[0].side, Side::Prefix(_)));
    }

    #[test]
    fn names_of_one_address_are_all_there_and_private_ones_apart() {
        let own = Destination { address: "10.0.0.7".parse().unwrap(), ..to(0, 443) };
        let all = BTreeMap::from([
            (to(1, 443), seen(&["a.example", "b.example"])),
            (own, seen(&["db.internal"])),
        ]);
        let found = rules(&all, 8);
        let of = |rule: &Rule| {
            let sides = rule.sides.iter().map(|side| side.others.len());
            (rule.private, rule.sides.len(), sides.sum::<usize>())
        };
        assert_eq!(found.iter().map(of).collect::<Vec<_>>(), [(false, 2, 2), (true, 1, 0)]);
    }
}
