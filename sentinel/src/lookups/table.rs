//! The table itself: bounded, whatever is asked for.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::Lookup;
use crate::names::Holding;

/// Addresses of workloads that are kept, all together; one takes about 300 bytes.
pub const ADDRESSES: usize = 32_768;
/// Names of one address of a workload.
pub const NAMES: usize = 16;
/// Servers of workloads that are kept, all together.
pub const SERVERS: usize = 4096;

/// What a server is known by.
type Server = (IpAddr, u8);

/// What was forgotten before its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Addresses, because there are too many.
    pub addresses: u64,
    /// Names, because an address has too many.
    pub names: u64,
    /// Servers, because there are too many.
    pub servers: u64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    of: HashMap<(u64, IpAddr), Known>,
    /// The oldest first.
    order: BTreeMap<u64, (u64, IpAddr)>,
    servers: BTreeMap<u64, BTreeMap<Server, u64>>,
    server_count: usize,
    last: u64,
}

#[derive(Debug, Default)]
struct Known {
    place: u64,
    /// The last first.
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    name: Arc<str>,
    /// Until when the answer holds, nanoseconds of `CLOCK_MONOTONIC`.
    until: u64,
}

impl Table {
    pub(super) fn take(&mut self, lookup: &Lookup) -> Forgotten {
        let mut forgotten = Forgotten::default();
        self.serve(lookup, &mut forgotten);
        let name: Arc<str> = lookup.answer.name.as_str().into();
        for (address, ttl) in &lookup.answer.addresses {
            let until = lookup.time.saturating_add(holds(*ttl));
            self.know((lookup.cgroup, *address), &name, (lookup.time, until), &mut forgotten);
        }
        forgotten
    }

    fn know(
        &mut self,
        key: (u64, IpAddr),
        name: &Arc<str>,
        (now, until): (u64, u64),
        forgotten: &mut Forgotten,
    ) {
        self.last += 1;
        let known = self.of.entry(key).or_default();
        self.order.remove(&known.place);
        known.place = self.last;
        self.order.insert(self.last, key);
        let before = known.names.iter().find(|known| known.name == *name).map(|known| known.until);
        known.names.retain(|known| known.name != *name && known.until > now);
        // An answer that is good for longer is still good.
        let until = before.map_or(until, |before| before.max(until));
        known.names.insert(0, Name { name: Arc::clone(name), until });
        forgotten.names += known.names.len().saturating_sub(NAMES) as u64;
        known.names.truncate(NAMES);
        if self.order.len() > ADDRESSES
            && let Some((_, oldest)) = self.order.pop_first()
            && let Some(known) = self.of.remove(&oldest)
        {
            forgotten.addresses += u64::from(known.names.iter().any(|name| name.until > now));
        }
    }

    fn serve(&mut self, lookup: &Lookup, forgotten: &mut Forgotten) {
        let servers = self.servers.entry(lookup.cgroup).or_default();
        let server = (lookup.server, lookup.protocol);
        if let Some(count) = servers.get_mut(&server) {
            *count += 1;
            return;
        }
        servers.insert(server, 1);
        self.server_count += 1;
        // Cgroups' ids grow: the lowest is the oldest, and most likely gone.
        if self.server_count > SERVERS
            && let Some((_, gone)) = self.servers.pop_first()
        {
            self.server_count -= gone.len();
            forgotten.servers += gone.len() as u64;
        }
    }

    pub(super) fn names(&self, cgroup: u64, address: IpAddr, now: u64) -> Vec<String> {
        let known = self.of.get(&(cgroup, address));
        let names = known.into_iter().flat_map(|known| &known.names);
        names.filter(|name| name.until > now).map(|name| name.name.to_string()).collect()
    }

    pub(super) fn servers(&self, cgroup: u64) -> Vec<(IpAddr, u8, u64)> {
        let servers = self.servers.get(&cgroup).into_iter().flatten();
        servers.map(|((address, protocol), count)| (*address, *protocol, *count)).collect()
    }
}

/// Nanoseconds for which an answer opens its addresses: as long as the kernel has it.
fn holds(ttl: u32) -> u64 {
    let Holding { floor, ceiling, grace } = Holding::default();
    let seconds = u64::from(ttl.clamp(floor, ceiling)) + u64::from(grace);
    seconds * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn lookup(cgroup: u64, time: u64, name: &str, address: IpAddr) -> Lookup {
        let answer = Answer { name: name.to_owned(), addresses: vec![(address, 60)] };
        let server = IpAddr::from([192, 0, 2, 53]);
        Lookup { time, cgroup, server, protocol: 17, truncated: false, answer }
    }

    #[test]
    fn names_are_a_workloads_own_the_last_first_and_for_as_long_as_they_hold() {
        let mut table = Table::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        for (time, name) in [(1, "a.example"), (100, "b.example"), (200, "a.example")] {
            let forgotten = table.take(&lookup(7, time * SECOND, name, address));
            assert_eq!(forgotten, Forgotten::default());
        }
        let at = |cgroup, second: u64| table.names(cgroup, address, second * SECOND);
        assert_eq!(at(7, 201), ["a.example", "b.example"]);
        assert!(at(8, 201).is_empty(), "another workload has asked for nothing");
        assert!(table.names(7, IpAddr::from([192, 0, 2, 2]), SECOND).is_empty());
        // Sixty seconds and the grace.
        assert_eq!(at(7, 459), ["a.example", "b.example"]);
        assert_eq!(at(7, 461), ["a.example"]);
        assert!(at(7, 561).is_empty());
        assert_eq!(table.servers(7), [(IpAddr::from([192, 0, 2, 53]), 17, 3)]);
    }

    #[test]
    fn a_shorter_answer_takes_nothing_from_a_longer_one() {
        let mut table = Table::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut long = lookup(7, 0, "a.example", address);
        long.answer.addresses = vec![(address, 3600)];
        table.take(&long);
        table.take(&lookup(7, SECOND, "a.example", address));
        assert_eq!(table.names(7, address, 3000 * SECOND), ["a.example"]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_before_its_time_is_counted() {
        let mut table = Table::default();
        let mut forgotten = 0;
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let many = u32::try_from(ADDRESSES).unwrap() + 10;
        for number in 0..many {
            let lookup = lookup(u64::from(number), SECOND, "a.example", address(number));
            forgotten += table.take(&lookup).addresses;
        }
        assert_eq!((table.of.len(), table.order.len(), forgotten), (ADDRESSES, ADDRESSES, 10));
        assert!(table.names(9, address(9), SECOND).is_empty());
        assert_eq!(table.names(10, address(10), SECOND).len(), 1);
        assert!(table.server_count <= SERVERS && table.servers.len() <= SERVERS);
        // What is over anyway is no loss.
        let late = lookup(1, 10_000 * SECOND, "a.example", address(1));
        assert_eq!(table.take(&late).addresses, 0);
        let mut names = 0;
        for number in 0..NAMES as u64 + 3 {
            let name = format!("n{number}.example");
            names += table.take(&lookup(2, SECOND, &name, address(2))).names;
        }
        assert_eq!((table.names(2, address(2), SECOND).len(), names), (NAMES, 3));
    }
}
