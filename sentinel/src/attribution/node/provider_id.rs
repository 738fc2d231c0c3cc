//! `spec.providerID` of a node's object: which machine of which cloud it is, in the cloud's own words.

use super::clean;
use crate::event::node::Node;

/// Bytes of the longest id that is read.
const LONGEST: usize = 1024;

/// Reads an id. Of a scheme that is not known, the scheme is the provider and what stands last the instance.
pub(super) fn read(id: &str) -> Option<Node> {
    if id.len() > LONGEST {
        return None;
    }
    let (scheme, rest) = id.split_once("://")?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if !(1..=32).contains(&scheme.len()) || !scheme.bytes().all(is_word) {
        return None;
    }
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    Some(match scheme {
        "aws" => aws(&parts),
        "gce" => gce(&parts),
        "azure" => azure(&parts),
        other => Node { provider: clean(other), instance: last(&parts), ..Node::default() },
    })
}

fn last(parts: &[&str]) -> Option<String> {
    clean(parts.last()?)
}

/// `aws:///eu-central-1a/i-0abc`.
fn aws(parts: &[&str]) -> Node {
    let zone = if let [zone, _, ..] = parts { clean(zone) } else { None };
    Node { provider: Some("aws".into()), instance: last(parts), zone, ..Node::default() }
}

/// `gce://project/europe-west1-b/name`.
fn gce(parts: &[&str]) -> Node {
    let provider = Some("gcp".to_owned());
    match parts {
        [project, zone, name] => Node {
            provider,
            instance: clean(name),
            account: clean(project),
            zone: clean(zone),
            ..Node::default()
        },
        _ => Node { provider, ..Node::default() },
    }
}

/// `azure:///subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/virtualMachines/NAME`, or
/// `.../virtualMachineScaleSets/SET/virtualMachines/NUMBER`, whose machine is called `SET_NUMBER`.
fn azure(parts: &[&str]) -> Node {
    let behind = |key: &str| {
        let at = parts.iter().position(|part| part.eq_ignore_ascii_case(key))?;
        parts.get(at + 1).copied()
    };
    let instance = match (behind("virtualMachineScaleSets"), behind("virtualMachines")) {
        (Some(set), Some(number)) => clean(&format!("{set}_{number}")),
        (None, Some(name)) => clean(name),
        (_, None) => None,
    };
    let account = behind("subscriptions").and_then(clean);
    Node { provider: Some("azure".into()), instance, account, ..Node::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Provider, instance, account, zone.
    fn words(id: &str) -> [Option<String>; 4] {
        let node = read(id).unwrap();
        [node.provider, node.instance, node.account, node.zone]
    }

    #[test]
    fn the_clouds_ids_are_read() {
        let machine = "/subscriptions/0f3e-11/resourceGroups/rg/providers/Microsoft.Compute";
        let azure_vm = format!("azure://{machine}/virtualMachines/vm-1");
        let azure_set = format!("azure://{machine}/virtualMachineScaleSets/pool/virtualMachines/3");
        let cases = [
            ("aws:///eu-central-1a/i-0abc", ["aws", "i-0abc", "", "eu-central-1a"]),
            ("aws://i-0abc", ["aws", "i-0abc", "", ""]),
            ("gce://shop-prod/europe-west1-b/n-1", ["gcp", "n-1", "shop-prod", "europe-west1-b"]),
            ("gce://half", ["gcp", "", "", ""]),
            (azure_vm.as_str(), ["azure", "vm-1", "0f3e-11", ""]),
            (azure_set.as_str(), ["azure", "pool_3", "0f3e-11", ""]),
            ("azure:///subscriptions", ["azure", "", "", ""]),
            ("hcloud://123", ["hcloud", "123", "", ""]),
            ("kind://docker/kind/control-plane", ["kind", "control-plane", "", ""]),
            ("openstack:///0f3e-22", ["openstack", "0f3e-22", "", ""]),
        ];
        for (id, expected) in cases {
            let expected = expected.map(|word| (!word.is_empty()).then(|| word.to_owned()));
            assert_eq!(words(id), expected, "{id}");
        }
        for id in ["", "aws", "://x", "a b://x", &format!("aws:///{}", "x".repeat(LONGEST))] {
            assert_eq!(read(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_id_makes_it_fail(scheme in "(aws|gce|azure|.{0,8})", rest in "[a-zA-Z/:_.\\PC-]{0,80}") {
            let _ = read(&format!("{scheme}://{rest}"));
            let _ = read(&rest);
        }
    }
}
