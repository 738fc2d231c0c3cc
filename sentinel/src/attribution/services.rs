//! Which Kubernetes service an address is of.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::cluster::Labels;

/// Addresses, with ports where a pod may be behind several services, that are known at a time.
pub const CAPACITY: usize = 131_072;

/// A service, as Kubernetes tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its addresses; none where it is headless.
    pub addresses: Vec<IpAddr>,
    /// Labels of the pods that it leads to; none where it selects nobody.
    pub selector: Arc<Labels>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a service, or of the ends behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// By which both are found to belong together; may be empty.
    pub name: String,
    /// Protocol number.
    pub protocol: u8,
    /// The port.
    pub number: u16,
}

/// Some of the ends behind a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The service, `namespace/name`.
    pub service: String,
    /// Addresses of pods, or of nodes.
    pub addresses: Vec<IpAddr>,
    /// Ports there.
    pub ports: Vec<ServicePort>,
}

/// All of them, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    own: HashMap<IpAddr, Arc<str>>,
    behind: HashMap<SocketAddr, Arc<str>>,
}

impl Services {
    /// The table of these services and ends, and how many addresses found no room. Services by
    /// `namespace/name`.
    #[must_use]
    pub fn of(
        services: &BTreeMap<String, Service>,
        slices: &BTreeMap<String, Slice>,
    ) -> (Self, usize) {
        let mut table = Self::default();
        let mut left_out = 0;
        for (name, service) in services {
            let name: Arc<str> = name.as_str().into();
            for address in &service.addresses {
                if table.own.len() < CAPACITY {
                    table.own.insert(*address, Arc::clone(&name));
                } else {
                    left_out += 1;
                }
            }
        }
        for slice in slices.values() {
            let name: Arc<str> = slice.service.as_str().into();
            let ends = slice.addresses.iter().flat_map(|address| {
                slice.ports.iter().map(|port| SocketAddr::new(*address, port.number))
            });
            for end in ends {
                if table.own.len() + table.behind.len() >= CAPACITY {
                    left_out += usize::from(!table.behind.contains_key(&end));
                    continue;
                }
                // Several services may lead to one port: always the same one is told.
                let known = table.behind.entry(end).or_insert_with(|| Arc::clone(&name));
                if name < *known {
                    *known = Arc::clone(&name);
                }
            }
        }
        (table, left_out)
    }

    /// The service that a destination is of, `namespace/name`; of several behind one port the first by name.
    #[must_use]
    pub fn at(&self, end: SocketAddr) -> Option<&str> {
        let address = end.ip().to_canonical();
        let end = SocketAddr::new(address, end.port());
        self.own.get(&address).or_else(|| self.behind.get(&end)).map(|name| &**name)
    }

    /// How many addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() + self.behind.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn slice(service: &str, address: &str, ports: &[u16]) -> Slice {
        let addresses = vec![address.parse().unwrap()];
        let port = |number: &u16| ServicePort { number: *number, ..ServicePort::default() };
        Slice { service: service.into(), addresses, ports: ports.iter().map(port).collect() }
    }

    #[test]
    fn an_address_leads_to_its_service() {
        let addresses = vec!["10.96.0.9".parse().unwrap()];
        let services =
            [("shop/web".to_owned(), Service { addresses, ..Service::default() })].into();
        let slices = [
            ("a".to_owned(), slice("shop/web", "10.0.0.5", &[8080])),
            ("b".to_owned(), slice("shop/metrics", "10.0.0.5", &[9090])),
            ("c".to_owned(), slice("shop/all", "10.0.0.5", &[8080])),
        ];
        let (table, left_out) = Services::of(&services, &slices.into());
        assert_eq!((left_out, table.len()), (0, 3));
        assert_eq!(table.at(at("10.96.0.9:1")), Some("shop/web"));
        assert_eq!(table.at(at("[::ffff:10.96.0.9]:1")), Some("shop/web"));
        assert_eq!(table.at(at("10.0.0.5:9090")), Some("shop/metrics"));
        assert_eq!(table.at(at("10.0.0.5:8080")), Some("shop/all"), "the first by name");
        assert_eq!(table.at(at("10.0.0.5:1")), None);
    }

    #[test]
    fn it_never_outgrows_its_bound() {
        let ports: Vec<u16> = (1..=60_000).collect();
        let slices = (0..3).map(|n| (n.to_string(), slice("a/b", &format!("10.0.0.{n}"), &ports)));
        let (table, left_out) = Services::of(&BTreeMap::new(), &slices.collect());
        assert_eq!((table.len(), left_out), (CAPACITY, 180_000 - CAPACITY));
    }
}
