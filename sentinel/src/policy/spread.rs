//! Rules on prefixes to what a trie must hold.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_common::limits::MAX_PORT_RANGES;
use sentinel_common::policy::{ANY_PORT, DENY, PortRange, PrefixRules, SERVER_NAME};

use serde_saphyr::Location;

use super::diagnostic::Diagnostic;
use super::prefix::Prefix;
use super::rule::{Resolved, reaches};

/// What a rule comes to at some addresses.
struct Grant<'a> {
    rule: &'a Resolved<'a>,
    to: &'a [(Prefix, Location)],
    ranges: &'a [PortRange],
}

fn grants<'a>(rule: &'a Resolved<'a>) -> impl Iterator<Item = Grant<'a>> {
    let fronts = rule.fronts.iter().map(|front| (&front.to, &front.ranges));
    let all = [(&rule.to, &rule.ranges)].into_iter().chain(fronts);
    all.map(move |(to, ranges)| Grant { rule, to, ranges })
}

/// Every prefix that a rule names or excepts, with the ranges of all rules that reach it.
///
/// For an address whose longest prefix is `p`, a rule's CIDR (or exception) holds the address
/// exactly when it covers `p`: were it longer, it would be the longest itself.
pub(super) fn spread(
    rules: &[Resolved<'_>],
    findings: &mut Vec<Diagnostic>,
) -> BTreeMap<Prefix, PrefixRules> {
    let mut by_prefix: BTreeMap<Prefix, Vec<usize>> = BTreeMap::new();
    let mut holes = BTreeSet::new();
    let grants: Vec<Grant<'_>> = rules.iter().flat_map(grants).collect();
    for (index, grant) in grants.iter().enumerate() {
        for (prefix, _) in grant.to {
            by_prefix.entry(*prefix).or_default().push(index);
            // What an IPv6 prefix around the mapped addresses allows must not reach IPv4.
            if prefix.covers(Prefix::V4) && *prefix != Prefix::V4 {
                holes.insert(Prefix::V4);
            }
        }
    }
    holes.extend(rules.iter().flat_map(|rule| &rule.except));
    for hole in holes {
        by_prefix.entry(hole).or_default();
    }
    let lens: BTreeSet<u8> = by_prefix.keys().map(|prefix| prefix.len()).collect();
    by_prefix
        .keys()
        .map(|&prefix| (prefix, gather(prefix, &grants, &by_prefix, &lens, findings)))
        .collect()
}

/// The ranges of all rules that reach `prefix`, in the order of their numbers.
fn gather(
    prefix: Prefix,
    grants: &[Grant<'_>],
    by_prefix: &BTreeMap<Prefix, Vec<usize>>,
    lens: &BTreeSet<u8>,
    findings: &mut Vec<Diagnostic>,
) -> PrefixRules {
    let around = lens.iter().filter_map(|&len| prefix.widened(len));
    let reaching: BTreeSet<usize> = around
        .filter(|outer| reaches(*outer, prefix))
        .filter_map(|outer| by_prefix.get(&outer))
        .flatten()
        .copied()
        .collect();
    let reaching = reaching.into_iter().filter_map(|index| grants.get(index));
    let mut ranges: Vec<PortRange> = Vec::new();
    let mut last = None;
    let is_excepted =
        |grant: &&Grant<'_>| grant.rule.except.iter().any(|hole| reaches(*hole, prefix));
    for grant in reaching.filter(|grant| !is_excepted(grant)) {
        for range in grant.ranges {
            // The first range of a kind that fits answers: one behind a wider one is never reached.
            if !ranges.iter().any(|earlier| contains(earlier, range)) {
                ranges.push(*range);
                last = Some(grant);
            }
        }
    }
    if let (true, Some(grant)) = (ranges.len() > MAX_PORT_RANGES, last) {
        let message = format!(
            "{prefix} and the prefixes around it come to {} port ranges, there is room for {MAX_PORT_RANGES}",
            ranges.len()
        );
        let place = grant.to.iter().find(|(outer, _)| outer.covers(prefix)).or(grant.to.first());
        let help = "join ports into ranges with endPort".to_owned();
        let parsed = grant.rule.parsed;
        findings.extend(place.map(|(_, place)| parsed.finding_at(*place, message, Some(help))));
    }
    pack(ranges)
}

/// The first ranges there is room for.
pub(super) fn pack(ranges: Vec<PortRange>) -> PrefixRules {
    let mut packed = PrefixRules::NONE;
    packed.count = ranges.len().min(MAX_PORT_RANGES) as u32;
    for (slot, range) in packed.ranges.iter_mut().zip(ranges) {
        *slot = range;
    }
    packed
}

/// Whether a range says nothing that one before it has not said.
pub(super) fn contains(outer: &PortRange, inner: &PortRange) -> bool {
    let protocol = outer.protocol == 0 || outer.protocol == inner.protocol;
    let ports = outer.flags & ANY_PORT != 0
        || (inner.flags & ANY_PORT == 0 && outer.first <= inner.first && inner.last <= outer.last);
    // What is allowed on a condition says nothing of what is allowed without.
    let condition = outer.flags & SERVER_NAME <= inner.flags & SERVER_NAME;
    protocol && ports && condition && outer.flags & DENY == inner.flags & DENY
}
