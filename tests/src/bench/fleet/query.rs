//! What a request asks for, after its path.

use std::collections::BTreeMap;

/// Where a slice says whose ends it has.
const SERVICE: &str = "kubernetes.io/service-name";

/// A request's parameters.
#[derive(Debug)]
pub(super) struct Query {
    parameters: BTreeMap<String, String>,
    /// Services whose slices are asked for; `None` where all are.
    services: Option<Vec<String>>,
}

impl Query {
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let parameters: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
        let services = parameters.get("labelSelector").and_then(|selector| {
            let (key, list) = selector.split_once(" in (")?;
            let names = list.strip_suffix(')')?.split(',');
            (key == SERVICE).then(|| names.map(|name| name.trim().to_owned()).collect())
        });
        Self { parameters, services }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn has_selector(&self) -> bool {
        ["labelSelector", "fieldSelector"].iter().any(|name| self.parameters.contains_key(*name))
    }

    /// Whether an object is asked for that has the ends of this service, or those of none.
    pub(super) fn selects(&self, service: Option<&str>) -> bool {
        match (&self.services, service) {
            (Some(asked), Some(service)) => asked.iter().any(|one| one == service),
            _ => true,
        }
    }
}

/// `%2F` is `/`, and `+` a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit =
            |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16).unwrap_or(0);
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => (digit(rest.next()) * 16 + digit(rest.next())) as u8,
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_of_services_is_understood() {
        let query =
            Query::read("limit=500&labelSelector=kubernetes.io%2Fservice-name+in+%28a%2Cb%29");
        assert!(query.selects(Some("a")) && query.selects(None) && !query.selects(Some("c")));
        assert_eq!(query.number("limit"), Some(500));
        assert!(Query::read("watch=true").selects(Some("c")));
    }
}
