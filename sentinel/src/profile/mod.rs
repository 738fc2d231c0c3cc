//! What workloads were seen to reach, and the policies that say so.
//!
//! ```text
//! open connections (watch::inventory), audited events (audit::Report) -> Profile -> text of policies
//! ```
//!
//! A flow is known by its address, and may be by names. A TLS handshake says what a client *called* its
//! peer and is told as a comment only. A lookup of the workload's own, answered with the address while the
//! flow was opened, explains it: where all flows to an address are explained, the rule is on the names.

mod merge;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::net::IpAddr;

use sentinel_common::address::is_loopback;

pub use write::{Origin, policies};

use crate::attribution::workload::{self, Runtime};
use sentinel_common::address;

/// Destinations that are kept, all workloads together; one takes about 200 bytes.
pub const DESTINATIONS: usize = 65_536;
/// Connections that are told apart; what comes later is counted at every look.
const COOKIES: usize = 131_072;

/// Whose policy it will be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// A systemd unit, wherever it runs.
    Unit(String),
    /// A cgroup, by its path.
    Cgroup(String),
}

impl Workload {
    /// The workload that a cgroup path is of: its innermost unit or container, or the cgroup itself.
    /// `None` for the root: a policy on it would be on everything.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let shape = workload::of_path(path);
        // The name of a machine's unit stays when the machine is made anew.
        let is_machine = shape.runtime == Some(Runtime::Nspawn) && shape.unit.is_some();
        if let Some(folder) = workload::container_folder(path).filter(|_| !is_machine) {
            return Some(Self::Cgroup(folder.to_owned()));
        }
        match shape.unit {
            Some(unit) => Some(Self::Unit(unit)),
            None if path.len() > 1 => Some(Self::Cgroup(path.to_owned())),
            None => None,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => write!(out, "unit:{unit}"),
            Self::Cgroup(path) => out.write_str(path),
        }
    }
}

/// Where a connection led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Its address, IPv4 as such.
    pub address: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// 0 where the protocol has none.
    pub port: u16,
}

/// What is known of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Connections; one that was open and of which the agent was told counts twice.
    pub count: u64,
    /// When the first was seen, in a form that sorts by time (RFC 3339, UTC).
    pub first: String,
    /// When the last was seen.
    pub last: String,
    /// What a client called it in a TLS handshake.
    pub called: Option<String>,
    /// The names that the workload had asked for and that led here, and how many connections each
    /// explains: with more than one, every connection counts for all of them.
    pub names: BTreeMap<String, u64>,
    /// Some connection is explained by no lookup.
    pub unexplained: bool,
}

/// What was seen of each workload.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    workloads: BTreeMap<Workload, BTreeMap<Destination, Seen>>,
    cookies: HashSet<u64>,
    destinations: usize,
    /// Connections that found no room.
    pub left_out: u64,
    /// Connections of the root cgroup.
    pub in_root: u64,
}

impl Profile {
    /// Takes a connection that is open; `cookie` tells it from others, 0 when unknown. Returns whether
    /// it was seen for the first time.
    pub fn connection(&mut self, path: &str, to: Destination, cookie: u64, time: &str) -> bool {
        let is_new = cookie == 0
            || (self.cookies.len() < COOKIES && self.cookies.insert(cookie))
            || !self.cookies.contains(&cookie);
        self.take(path, to, u64::from(is_new), (time, time));
        is_new
    }

    /// Takes so many connections, the first and the last at these times.
    pub fn take(&mut self, path: &str, to: Destination, count: u64, times: (&str, &str)) {
        if is_loopback(&address::of(to.address)) {
            return;
        }
        let Some(workload) = Workload::of(path) else {
            self.in_root += count;
            return;
        };
        let known = self.workloads.get(&workload).is_some_and(|seen| seen.contains_key(&to));
        if !known && self.destinations >= DESTINATIONS {
            self.left_out += count;
            return;
        }
        self.destinations += usize::from(!known);
        let (first, last) = times;
        let seen = self.workloads.entry(workload).or_default();
        let seen = seen.entry(to).or_insert_with(|| Seen {
            count: 0,
            first: first.to_owned(),
            last: last.to_owned(),
            called: None,
            names: BTreeMap::new(),
            unexplained: false,
        });
        seen.count += count;
        if first < seen.first.as_str() {
            first.clone_into(&mut seen.first);
        }
        if last > seen.last.as_str() {
            last.clone_into(&mut seen.last);
        }
    }

    /// Notes what a client of a workload called a destination.
    pub fn call(&mut self, path: &str, to: Destination, name: &str) {
        if let Some(seen) = self.seen(path, to) {
            seen.called.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Notes by which names a workload had asked for a destination before so many connections to it; no
    /// name explains none of them.
    pub fn explain<'a>(
        &mut self,
        path: &str,
        to: Destination,
        count: u64,
        names: impl IntoIterator<Item = &'a String>,
    ) {
        let Some(seen) = self.seen(path, to) else { return };
        let mut is_explained = false;
        for name in names {
            is_explained = true;
            *seen.names.entry(name.clone()).or_default() += count;
        }
        seen.unexplained |= !is_explained;
    }

    fn seen(&mut self, path: &str, to: Destination) -> Option<&mut Seen> {
        let workload = Workload::of(path)?;
        self.workloads.get_mut(&workload)?.get_mut(&to)
    }

    /// Keeps only workloads that this holds for.
    pub fn retain(&mut self, mut keep: impl FnMut(&Workload) -> bool) {
        self.workloads.retain(|workload, _| keep(workload));
    }

    /// The workloads, and what each reached.
    pub fn workloads(&self) -> impl Iterator<Item = (&Workload, &BTreeMap<Destination, Seen>)> {
        self.workloads.iter()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
    }
}

/// A name for each workload's policy: what Kubernetes takes, and no two alike.
fn names<'a>(workloads: impl Iterator<Item = &'a Workload>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for workload in workloads {
        let text = match workload {
            Workload::Unit(unit) => unit.rsplit_once('.').map_or(unit.as_str(), |(name, _)| name),
            Workload::Cgroup(path) => path.trim_matches('/'),
        };
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let text: String = text.to_ascii_lowercase().chars().map(letter).take(200).collect();
        let base = format!("learned-{}", text.trim_matches('-'));
        let mut name = base.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_its_unit_its_container_or_itself() {
        let unit = |text: &str| Some(Workload::Unit(text.to_owned()));
        let cgroup = |text: &str| Some(Workload::Cgroup(text.to_owned()));
        assert_eq!(Workload::of("/system.slice/shop.service/worker"), unit("shop.service"));
        let id = "3f29b1c7a4e5d6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819a2b3c4d5e6f7";
        let path = format!("/system.slice/docker-{id}.scope");
        assert_eq!(Workload::of(&format!("{path}/init")), cgroup(&path));
        assert_eq!(Workload::of("/lab/shop"), cgroup("/lab/shop"));
        assert_eq!(Workload::of("/"), None);
    }

    #[test]
    fn names_of_policies_do_not_meet() {
        let all = [
            Workload::Unit("shop.service".to_owned()),
            Workload::Unit("shop.scope".to_owned()),
            Workload::Cgroup("/a/b@1".to_owned()),
        ];
        assert_eq!(names(all.iter()), ["learned-shop", "learned-shop-2", "learned-a-b-1"]);
    }

    #[test]
    fn a_connection_is_counted_once_however_often_it_is_seen() {
        let mut profile = Profile::default();
        let to = |port| Destination { address: "192.0.2.1".parse().unwrap(), protocol: 6, port };
        for time in ["1", "2", "3"] {
            profile.connection("/x", to(443), 7, time);
        }
        profile.connection("/x", to(443), 8, "3");
        profile.connection("/", to(443), 9, "3");
        let local = Destination { address: "127.0.0.1".parse().unwrap(), ..to(443) };
        profile.connection("/x", local, 10, "3");
        profile.explain("/x", to(443), 2, &["a.example".to_owned()]);
        profile.call("/x", to(443), "b.example");
        let seen: Vec<_> = profile.workloads().flat_map(|(_, seen)| seen.values()).collect();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].count, seen[0].first.as_str(), seen[0].last.as_str()), (2, "1", "3"));
        assert_eq!(seen[0].names, BTreeMap::from([("a.example".to_owned(), 2)]));
        assert_eq!(seen[0].called.as_deref(), Some("b.example"));
        assert!(!seen[0].unexplained);
        assert_eq!(profile.in_root, 1);
        profile.explain("/x", to(443), 1, &[]);
        assert!(profile.workloads().all(|(_, seen)| seen[&to(443)].unexplained));
    }
}
