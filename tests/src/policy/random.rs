//! Policies at random, in a world so small that they meet.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_common::flow::Direction;
use sentinel_common::policy::{ICMP, SCTP, TCP, UDP};

use crate::random::Random;

/// A policy as its author thinks of it.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name; policies are named in this order where several say the same.
    pub name: String,
    /// A pattern of paths, or the whole node.
    pub cgroup: Option<&'static str>,
    /// Enforced, or only audited.
    pub enforce: bool,
    /// Its lists; an absent one says nothing.
    pub lists: [Option<Vec<Rule>>; 4],
}

/// The lists of a policy, in the order in which its rules are numbered.
pub const LISTS: [&str; 4] = ["egress", "egressDeny", "ingress", "ingressDeny"];

/// A rule as its author thinks of it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The networks it names.
    pub nets: Vec<Net>,
    /// Those among them that it does not mean.
    pub except: Vec<Net>,
    /// Its ports; all of them where there is no list.
    pub ports: Option<Vec<Ports>>,
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// Its first address.
    pub address: IpAddr,
    /// Leading bits.
    pub len: u8,
}

/// Ports of a protocol, every port where `range` is none.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The protocol's name in a policy, and its number; 0 is any.
    pub protocol: (&'static str, u8),
    /// First and last.
    pub range: Option<(u16, u16)>,
}

/// A packet's question.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Which way it goes.
    pub direction: Direction,
    /// The other end.
    pub remote: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The port that rules name, if it is known.
    pub port: Option<u16>,
}

const PROTOCOLS: [(&str, u8); 5] =
    [("TCP", TCP), ("UDP", UDP), ("SCTP", SCTP), ("ICMP", ICMP), ("ANY", 0)];
/// Paths around and at the workload that is asked about, and one that is not.
const CGROUPS: [&str; 5] = [
    "/work.slice/**",
    "/work.slice/*.service",
    "/work.slice",
    "/*.slice/one.service",
    "/other.slice",
];

/// Some policies.
pub fn policies(random: &mut Random) -> Vec<Written> {
    let count = 1 + random.below(5);
    let mut written: Vec<Written> = (0..count)
        .map(|number| Written {
            name: format!("p{number}"),
            cgroup: if random.one_in(2) { None } else { random.pick(&CGROUPS).copied() },
            enforce: random.one_in(2),
            lists: [0; 4].map(|_| {
                let rules = random.below(4);
                (!random.one_in(3)).then(|| (0..rules).map(|_| rule(random)).collect())
            }),
        })
        .collect();
    // Those for the node are named first.
    written.sort_by_key(|policy| (policy.cgroup.is_some(), policy.name.clone()));
    written
}

fn rule(random: &mut Random) -> Rule {
    let count = 1 + random.below(3);
    let nets: Vec<Net> = (0..count).map(|_| net(random)).collect();
    let holes = random.below(3);
    let mut except: Vec<Net> = (0..holes).map(|_| net(random)).collect();
    except.retain(|hole| nets.iter().any(|net| net.holds(hole.address) && net.len <= hole.len));
    let ports = random.below(4);
    let ports = (ports > 0).then(|| (1..ports).map(|_| self::ports(random)).collect());
    Rule { nets, except, ports }
}

fn ports(random: &mut Random) -> Ports {
    let protocol = random.pick(&PROTOCOLS).copied().unwrap_or(("ANY", 0));
    let first = 1 + random.below(6) as u16;
    let range =
        (protocol.1 != ICMP && !random.one_in(3)).then(|| (first, first + random.below(3) as u16));
    Ports { protocol, range }
}

fn address(random: &mut Random) -> IpAddr {
    let mut bits = || (random.below(4) as u8) << 6;
    let (high, low) = (bits(), bits());
    if random.one_in(3) {
        let [high, low] = [high, low].map(|bits| u16::from(bits) << 8);
        return Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, 1).into();
    }
    Ipv4Addr::new(10, high, low, 1).into()
}

fn net(random: &mut Random) -> Net {
    let address = address(random);
    let len = *random.pick(&[0, 1, 8, 9, 10, 16, 17, 18, 24, 32]).unwrap_or(&0);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            Net { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), len }
        }
        // The IPv6 half of the world branches four times as far down.
        IpAddr::V6(address) => {
            let len = if len == 0 { 0 } else { (len + 24).min(128) };
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            Net { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), len }
        }
    }
}

/// A packet's question at random.
pub fn flow(random: &mut Random) -> Asked {
    let remote = address(random);
    let protocol = *random.pick(&[TCP, UDP, SCTP, ICMP]).unwrap_or(&TCP);
    let port = match protocol {
        ICMP => Some(0),
        _ if random.one_in(8) => None,
        _ => Some(1 + random.below(8) as u16),
    };
    let direction = if random.one_in(3) { Direction::Ingress } else { Direction::Egress };
    Asked { direction, remote, protocol, port }
}

impl Net {
    /// Whether an address is of this network.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let differing = net.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.len)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let differing = net.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.len)
            }
            _ => false,
        }
    }
}

/// The policies as a user would write them.
#[must_use]
pub fn text(policies: &[Written]) -> String {
    let mut text = String::new();
    for policy in policies {
        let mode = if policy.enforce { "enforce" } else { "audit" };
        let _ = write!(
            text,
            "---\napiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\nmetadata: {{name: {}}}\n\
             spec:\n  mode: {mode}\n",
            policy.name
        );
        if let Some(cgroup) = policy.cgroup {
            let _ = writeln!(text, "  workload: {{cgroup: \"{cgroup}\"}}");
        }
        for (list, rules) in LISTS.iter().zip(&policy.lists) {
            let Some(rules) = rules else { continue };
            let key = if list.starts_with("egress") { "toCIDRs" } else { "fromCIDRs" };
            let rules: Vec<String> = rules.iter().map(|rule| rule.write(key)).collect();
            let _ = writeln!(text, "  {list}: [{}]", rules.join(", "));
        }
    }
    text
}

impl Rule {
    fn write(&self, key: &str) -> String {
        let list = |nets: &[Net]| {
            let nets = nets.iter().map(|net| format!("\"{}/{}\"", net.address, net.len));
            nets.collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("{{{key}: [{}], except: [{}]", list(&self.nets), list(&self.except));
        if let Some(ports) = &self.ports {
            let ports = ports.iter().map(|Ports { protocol: (protocol, _), range }| match range {
                None => format!("{{protocol: {protocol}}}"),
                Some((first, last)) => {
                    format!("{{port: {first}, endPort: {last}, protocol: {protocol}}}")
                }
            });
            let _ = write!(text, ", ports: [{}]", ports.collect::<Vec<_>>().join(", "));
        }
        text + "}"
    }
}
