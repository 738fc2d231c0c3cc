//! `encryptedDNS: deny`: questions that nobody on the way can read are refused where they are known.
//!
//! DNS over TLS and over QUIC has a port of its own (RFC 7858, RFC 9250); over HTTPS (RFC 8484) it looks
//! like any other site, and only the addresses of known resolvers tell. Names are learned from answers
//! that can be read, so a workload that asks elsewhere is denied what its policy would allow: refusing
//! the question says so earlier and more plainly.

use std::net::IpAddr;

use ipnet::IpNet;
use sentinel_common::policy::{DENY, PortRange, TCP, UDP};
use serde_saphyr::Spanned;

use super::model::EncryptedDns;
use super::parse::Parsed;
use super::prefix::Prefix;
use super::rule::{Place, Resolved};
use super::set::RuleSource;

/// DNS over TLS, and over QUIC.
const DNS_OVER_TLS: u16 = 853;
const HTTPS: u16 = 443;
/// Where public resolvers answer over HTTPS.
const RESOLVERS: &str = include_str!("../../feeds/resolvers.txt");
/// How events name the rules.
pub(super) const LIST: &str = "encryptedDNS";

/// The denials that the key stands for: the port everywhere, and the known resolvers; `numbers` are
/// theirs in the policy.
pub(super) fn denials<'a>(
    parsed: &'a Parsed,
    said: &Spanned<EncryptedDns>,
    mut next: impl FnMut(&'static str, usize, bool) -> Place,
) -> Vec<Resolved<'a>> {
    let everywhere = vec![Prefix::V4, Prefix::ALL];
    let lists = [(everywhere, DNS_OVER_TLS), (resolvers(), HTTPS)];
    let name = &parsed.document.metadata.name;
    let line = u32::try_from(said.referenced.line()).unwrap_or(u32::MAX);
    let resolved = lists.into_iter().enumerate().map(|(index, (prefixes, port))| {
        let place = next(LIST, index, true);
        let range = |protocol| PortRange {
            first: port,
            last: port,
            protocol,
            flags: DENY,
            rule: place.number,
        };
        Resolved {
            parsed,
            to: prefixes.into_iter().map(|prefix| (prefix, name.referenced)).collect(),
            except: Vec::new(),
            fronts: Vec::new(),
            names: Vec::new(),
            private: false,
            ranges: vec![range(TCP), range(UDP)],
            source: RuleSource { file: parsed.file.to_string(), line, list: LIST, index },
        }
    });
    resolved.collect()
}

fn resolvers() -> Vec<Prefix> {
    let lines = RESOLVERS.lines().map(str::trim);
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries.filter_map(entry).collect()
}

/// An address or a prefix; the list is our own, and its test leaves nothing else in it.
fn entry(line: &str) -> Option<Prefix> {
    let address = || line.parse::<IpAddr>().ok().map(IpNet::from);
    line.parse::<IpNet>().ok().or_else(address).map(Prefix::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_understood_and_none_stands_there_twice() {
        let lines: Vec<&str> = RESOLVERS
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .collect();
        for line in &lines {
            assert!(entry(line.trim()).is_some(), "{line}");
        }
        let mut prefixes = resolvers();
        assert_eq!(prefixes.len(), lines.len());
        prefixes.sort_unstable();
        prefixes.dedup();
        assert_eq!(prefixes.len(), lines.len());
    }
}
