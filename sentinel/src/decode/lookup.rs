//! Records of lookups, told from events by their length.

use std::mem::offset_of;
use std::net::Ipv6Addr;

use sentinel_common::address::Address;
use sentinel_common::lookup::Lookup as Record;

use crate::lookups::{Lookup, read};

/// Whether a record of this length tells of a lookup.
#[must_use]
pub const fn is_lookup(bytes: &[u8]) -> bool {
    bytes.len() == size_of::<Record>()
}

/// Reads one record. `None` when its message holds no question for a host's name.
#[must_use]
pub fn lookup(bytes: &[u8]) -> Option<Lookup> {
    let len: u32 = u32::from_ne_bytes(at(bytes, offset_of!(Record, len))?);
    let whole = u32::from_ne_bytes(at(bytes, offset_of!(Record, whole))?);
    let message = bytes.get(offset_of!(Record, message)..)?.get(..usize::try_from(len).ok()?)?;
    let server: Address = at(bytes, offset_of!(Record, server))?;
    Some(Lookup {
        time: u64::from_ne_bytes(at(bytes, offset_of!(Record, time))?),
        cgroup: u64::from_ne_bytes(at(bytes, offset_of!(Record, cgroup))?),
        server: Ipv6Addr::from(server).to_canonical(),
        protocol: u8::try_from(u32::from_ne_bytes(at(bytes, offset_of!(Record, protocol))?))
            .ok()?,
        truncated: whole > len,
        answer: read(message, whole)?,
    })
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookups::answer_of;

    fn record(message: &[u8], whole: u32) -> Vec<u8> {
        let mut record = vec![0; size_of::<Record>()];
        let mut put = |offset: usize, value: &[u8]| {
            record[offset..offset + value.len()].copy_from_slice(value);
        };
        put(offset_of!(Record, time), &5_u64.to_ne_bytes());
        put(offset_of!(Record, cgroup), &7_u64.to_ne_bytes());
        put(offset_of!(Record, whole), &whole.to_ne_bytes());
        put(offset_of!(Record, len), &u32::try_from(message.len()).unwrap().to_ne_bytes());
        put(offset_of!(Record, protocol), &17_u32.to_ne_bytes());
        put(offset_of!(Record, server), &sentinel_common::address::from_v4([192, 0, 2, 53]));
        put(offset_of!(Record, message), message);
        record
    }

    #[test]
    fn a_record_is_read_field_by_field() {
        let message = answer_of("www.example.com", &["192.0.2.7".parse().unwrap()], 30);
        let bytes = record(&message, u32::try_from(message.len()).unwrap());
        assert!(is_lookup(&bytes) && !is_lookup(&bytes[1..]));
        let found = lookup(&bytes).unwrap();
        assert_eq!((found.time, found.cgroup, found.protocol, found.truncated), (5, 7, 17, false));
        assert_eq!(found.server.to_string(), "192.0.2.53");
        assert_eq!(found.answer.name, "www.example.com");
        assert_eq!(found.answer.addresses, [("192.0.2.7".parse().unwrap(), 30)]);
        assert!(lookup(&record(&message, 4000)).unwrap().truncated);
    }

    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        let mut bytes = record(b"", 0);
        bytes[offset_of!(Record, len)..][..4].copy_from_slice(&513_u32.to_ne_bytes());
        assert_eq!(lookup(&bytes), None);
        assert_eq!(lookup(&record(b"", 0)), None);
    }
}
