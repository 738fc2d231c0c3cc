//! An answer as the kernel has told it: by the grammar that the kernel itself reads by, so that the two
//! never disagree on which addresses an answer names.

use std::net::{IpAddr, Ipv6Addr};

use sentinel_common::dns::{Act, Dns};
use sentinel_common::names::NameKey;

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked for, lower-case and dotted: what a policy's patterns are compared with,
    /// whatever aliases the answer goes through.
    pub name: String,
    /// Addresses, and for how many seconds they are good.
    pub addresses: Vec<(IpAddr, u32)>,
}

/// Bytes of a message before its question.
const HEADER: usize = 12;
/// Bytes of a question behind its name: type and class.
const BEHIND: usize = 4;

/// Reads the first bytes of a message that has `whole` of them. `None` when they hold no whole question, or one
/// for what is no host's name.
#[must_use]
pub fn read(message: &[u8], whole: u32) -> Option<Answer> {
    let mut dns = Dns::datagram(whole);
    let mut name = None;
    let mut addresses = Vec::new();
    for (at, byte) in message.iter().enumerate() {
        match dns.feed(NameKey::default(), *byte) {
            Act::None => {}
            Act::Question => name = host((at + 1).checked_sub(BEHIND), message),
            Act::Address => {
                let address = Ipv6Addr::from(dns.address()).to_canonical();
                addresses.push((address, dns.ttl()));
            }
            Act::Malformed => break,
        }
    }
    name.map(|name| Answer { name, addresses })
}

/// The name between the header and this place.
fn host(end: Option<usize>, message: &[u8]) -> Option<String> {
    let mut rest = message.get(HEADER..end?)?;
    let mut name = String::new();
    while let Some((len, behind)) = rest.split_first() {
        let label = behind.get(..usize::from(*len))?;
        rest = behind.get(usize::from(*len)..)?;
        if label.is_empty() {
            break;
        }
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The bytes of an answer to a question for this name, with these addresses, good for `ttl` seconds.
    pub(crate) fn message(name: &str, addresses: &[IpAddr], ttl: u32) -> Vec<u8> {
        let count = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x12, 0x34, 0x81, 0x80, 0, 1, count[0], count[1], 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(v4) => (1, v4.octets().to_vec()),
                IpAddr::V6(v6) => (28, v6.octets().to_vec()),
            };
            bytes.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1]);
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&[0, u8::try_from(data.len()).unwrap()]);
            bytes.extend_from_slice(&data);
        }
        bytes
    }

    fn whole(bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }

    #[test]
    fn an_answer_is_its_question_and_its_addresses() {
        let addresses: [IpAddr; 2] = ["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let bytes = message("API.Example.com", &addresses, 300);
        let answer = read(&bytes, whole(&bytes)).unwrap();
        assert_eq!(answer.name, "api.example.com");
        assert_eq!(answer.addresses, addresses.map(|address| (address, 300)));
    }

    #[test]
    fn what_is_cut_off_names_what_is_there_and_nothing_else() {
        let addresses: Vec<IpAddr> = (1..=40).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let bytes = message("a.example", &addresses, 1);
        for end in 0..=bytes.len() {
            let answer = read(&bytes[..end], whole(&bytes));
            let question = HEADER + "a.example".len() + 2 + BEHIND;
            assert_eq!(answer.is_some(), end >= question, "{end}");
            let count = end.saturating_sub(question) / 16;
            assert_eq!(answer.map_or(0, |answer| answer.addresses.len()), count, "{end}");
        }
    }

    #[test]
    fn a_label_that_no_host_has_is_no_name() {
        for name in ["a b.example", "a\n.example", "\u{e4}.example", "*.example"] {
            let bytes = message(name, &["192.0.2.1".parse().unwrap()], 1);
            assert_eq!(read(&bytes, whole(&bytes)), None, "{name}");
        }
        // A dot within a label is not one between labels.
        let mut bytes = message("a-b.example", &["192.0.2.1".parse().unwrap()], 1);
        bytes[14] = b'.';
        assert_eq!(read(&bytes, whole(&bytes)), None);
    }
}
