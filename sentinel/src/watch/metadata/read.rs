//! Answers of metadata services made into a node: bytes from outside, of which single words are taken.

use serde::Deserialize;

use super::MetadataError;
use crate::attribution::node::{Cloud, clean};
use crate::event::node::Node;

/// Bytes of the longest word that is an answer by itself, such as a token.
const WORD: usize = 1024;

/// An answer that is one word, printable and without spaces.
pub(super) fn word(body: &[u8]) -> Result<String, MetadataError> {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_word = (1..=WORD).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if is_word { Ok(text.to_owned()) } else { Err(MetadataError::Foreign("it is no word")) }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    instance_id: Option<String>,
    account_id: Option<String>,
    region: Option<String>,
    availability_zone: Option<String>,
}

/// Amazon's instance identity document.
pub(super) fn aws(body: &[u8]) -> Result<Node, MetadataError> {
    let document: Document = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    told(Node {
        instance: document.instance_id,
        account: document.account_id,
        region: document.region,
        zone: document.availability_zone,
        ..of(Cloud::Aws)
    })
}

/// Google's words; a zone comes as `projects/123/zones/europe-west1-b`.
pub(super) fn gcp(instance: String, project: String, zone: &str) -> Node {
    let zone = zone.rsplit('/').next().and_then(clean);
    let region = zone.as_deref().and_then(|zone| zone.rsplit_once('-'));
    Node {
        instance: clean(&instance),
        account: clean(&project),
        region: region.and_then(|(region, _)| clean(region)),
        zone,
        ..of(Cloud::Gcp)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Compute {
    vm_id: Option<String>,
    subscription_id: Option<String>,
    location: Option<String>,
    zone: Option<String>,
}

/// Azure's; a zone comes as a number, which Kubernetes writes behind the region.
pub(super) fn azure(body: &[u8]) -> Result<Node, MetadataError> {
    let compute: Compute = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    let zone = compute.zone.filter(|zone| !zone.is_empty());
    let zone = zone.zip(compute.location.as_ref()).map(|(zone, region)| format!("{region}-{zone}"));
    told(Node {
        instance: compute.vm_id,
        account: compute.subscription_id,
        region: compute.location,
        zone,
        ..of(Cloud::Azure)
    })
}

const UNREADABLE: MetadataError = MetadataError::Foreign("it is not the JSON that is expected");

fn of(cloud: Cloud) -> Node {
    Node { provider: Some(cloud.word().to_owned()), ..Node::default() }
}

/// An answer without an instance is another's.
fn told(node: Node) -> Result<Node, MetadataError> {
    let names_one = node.instance.as_deref().and_then(clean).is_some();
    if names_one { Ok(node) } else { Err(MetadataError::Foreign("it names no instance")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(node: Node) -> [Option<String>; 4] {
        [node.instance, node.account, node.region, node.zone]
    }

    fn some(words: [&str; 4]) -> [Option<String>; 4] {
        words.map(|word| (!word.is_empty()).then(|| word.to_owned()))
    }

    #[test]
    fn answers_are_read() {
        let document = br#"{"accountId":"123456789012","architecture":"x86_64",
            "availabilityZone":"eu-central-1a","instanceId":"i-0abc","kernelId":null,
            "region":"eu-central-1","version":"2017-09-30"}"#;
        let expected = some(["i-0abc", "123456789012", "eu-central-1", "eu-central-1a"]);
        assert_eq!(words(aws(document).unwrap()), expected);
        let node = gcp("77".into(), "shop-prod".into(), "projects/1/zones/europe-west1-b");
        assert_eq!(words(node), some(["77", "shop-prod", "europe-west1", "europe-west1-b"]));
        let compute = br#"{"location":"westeurope","subscriptionId":"0f3e","vmId":"ab-12",
            "zone":"2","tags":"a:b","publicKeys":[]}"#;
        let expected = some(["ab-12", "0f3e", "westeurope", "westeurope-2"]);
        assert_eq!(words(azure(compute).unwrap()), expected);
        let regional = br#"{"location":"westeurope","vmId":"ab-12","zone":""}"#;
        let expected = some(["ab-12", "", "westeurope", ""]);
        assert_eq!(words(azure(regional).unwrap()), expected);
    }

    #[test]
    fn what_is_no_answer_is_told_from_one() {
        let bodies: [&[u8]; 6] =
            [b"", b"<html>", b"{}", b"[]", b"{\"instanceId\":7}", b"{\"instanceId\":\"\"}"];
        for body in bodies {
            assert!(matches!(aws(body), Err(MetadataError::Foreign(_))), "{body:?}");
            assert!(matches!(azure(body), Err(MetadataError::Foreign(_))), "{body:?}");
        }
        assert_eq!(word(b"AQAEAO==\n").as_deref(), Ok("AQAEAO=="));
        for body in [b"".as_slice(), b"a b", b"a\nb", b"\xff", &[b'a'; WORD + 1]] {
            assert!(word(body).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_fail(body: Vec<u8>, zone: String) {
            let _ = (word(&body), aws(&body), azure(&body));
            let node = gcp(zone.clone(), zone.clone(), &zone);
            prop_assert!(node.zone.is_none_or(|zone| !zone.contains('/')));
        }
    }
}
